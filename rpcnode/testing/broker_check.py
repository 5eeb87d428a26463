"""What keeps a test from waiting for a broker that is not there."""

from collections.abc import Callable, Hashable
from typing import TypeVar

from rpcnode.amqp.sharing import SharedConnection
from rpcnode.concurrency import Timeout
from rpcnode.config import Config
from rpcnode.exceptions import BrokerUnavailable
from rpcnode.resources import Resources
from rpcnode.testing.rabbit import check_reachable

T = TypeVar("T")

PATIENCE = 5.0  # seconds for a broker to let us in
NOT_NAMED = (
    "the service needs a broker, and its configuration names none (AMQP_URI): "
    "pass memory_config or rabbit_config"
)
WAYS_OUT = "start it, or test on the embedded broker: pass memory_config"


class CheckedResources(Resources):
    """Resources of a test: a container that needs a broker has it soon, or fails to start.

    A broker is used only if the configuration names it: the one that happens to run on this
    machine is not the test's. `fail(text)` makes the error that ends the test.
    """

    def __init__(self, config: Config, fail: Callable[[str], BaseException]) -> None:
        super().__init__()
        self._is_named = config.origins["AMQP_URI"] != "default"
        self._fail = fail

    def acquire(
        self, key: Hashable, make: Callable[[], T], close: Callable[[T], object] | None = None
    ) -> T:
        """Return the thing known as `key`; a connection to the broker is open then."""
        thing = super().acquire(key, make, close)
        if isinstance(thing, SharedConnection):
            try:
                self._open(thing)
            except BaseException:
                self.release(key)
                raise
        return thing

    def _open(self, connection: SharedConnection) -> None:
        if not self._is_named:
            raise self._fail(NOT_NAMED)
        settings = connection.settings
        if settings.is_amqp and ";" not in settings.uri:  # else another one may be there
            try:
                check_reachable(settings.uri)
            except BrokerUnavailable as exc:
                raise self._fail(f"{exc}; {WAYS_OUT}") from None
        with Timeout(PATIENCE, False):
            connection.open()
            return
        raise self._fail(f"{connection.consuming.unavailable()}; {WAYS_OUT}")
