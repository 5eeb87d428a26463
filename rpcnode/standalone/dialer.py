"""Connecting beside the I/O thread, which must not wait for networks and name servers."""

import logging
import random
import threading
from collections.abc import Callable

from rpcnode.amqp.failover import Brokers
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.exceptions import BrokerError, BrokerRefused, BrokerUnavailable, ConfigurationError
from rpcnode.standalone.session import Plan, Session

logger = logging.getLogger(__name__)

FIRST_DELAY = 0.2  # seconds until the first attempt to reconnect
THREAD_NAME = "rpcnode-client-dial"

Outcome = Session | list[Exception]  # a connection, or why each broker could not be had


class Dialer:
    """Makes one attempt at a time, in a thread of its own.

    `deliver(outcome)`, which must be set, is called in that thread; when it returns False,
    nobody wants the connection any more.
    """

    deliver: Callable[[Outcome], bool]

    def __init__(self, brokers: Brokers, longest_delay: float) -> None:
        self._brokers = brokers
        self._longest_delay = longest_delay
        self._delay = FIRST_DELAY
        self.failures: list[Exception] = []

    def start(self, plan: Plan) -> None:
        """Begin an attempt to connect."""
        brokers = self._brokers.in_order()
        thread = threading.Thread(
            target=self._run, args=(brokers, plan), name=THREAD_NAME, daemon=True
        )
        try:
            thread.start()
        except RuntimeError as exc:  # there are too many; later, there may be fewer
            self.deliver([BrokerUnavailable(f"cannot connect: {exc}")])

    def next_pause(self) -> float:
        """Return the seconds until the next attempt, more each time."""
        delay = self._delay
        self._delay = min(delay * 2, self._longest_delay)
        return delay * random.uniform(0.5, 1)

    def succeeded(self) -> None:
        """Begin with short pauses again."""
        self._delay = FIRST_DELAY

    def failed(self, failures: list[Exception], *, is_first: bool) -> Exception | None:
        """Take note of a failed attempt; return the error when another one is hopeless.

        A broker that refuses us is hopeless only before the first connection: later, somebody
        is probably mending something.
        """
        self.failures = failures
        for failure in failures:
            log = logger.warning if isinstance(failure, BrokerUnavailable) else logger.error
            log("%s", failure)
        hopeless = (ConfigurationError, BrokerRefused) if is_first else ConfigurationError
        return failures[-1] if all(isinstance(each, hopeless) for each in failures) else None

    @property
    def reason(self) -> str:
        """Why there is no connection."""
        broker = self._brokers.in_use.safe_uri
        if self.failures:
            return "; ".join(map(str, self.failures))
        return f"no connection to the broker {broker}"

    def _run(self, brokers: list[BrokerSettings], plan: Plan) -> None:
        outcome = _connect(brokers, plan)
        if not self.deliver(outcome) and isinstance(outcome, Session):
            outcome.discard()


def _connect(brokers: list[BrokerSettings], plan: Plan) -> Outcome:
    failures: list[Exception] = []
    for broker in brokers:
        try:
            return Session.open(broker, plan)
        except (BrokerError, ConfigurationError) as exc:
            failures.append(exc)
        except Exception as exc:  # a bug, but those who wait must hear of it
            logger.error("connecting failed", exc_info=True)
            failures.append(BrokerUnavailable(f"connecting failed: {exc!r}"))
    return failures
