"""Dispatching events from programs that are no service."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from rpcnode.amqp.entities import event_exchange
from rpcnode.config import Config, as_config
from rpcnode.publish_options import PublishOptions
from rpcnode.standalone.event_client import EventClient, check_options
from rpcnode.standalone.messages import standalone_config
from rpcnode.standalone.waiting import outcome_of

__all__ = ["event_dispatcher", "get_event_exchange"]


class Dispatcher:
    """Dispatches events as any service: `dispatch("orders", "placed", {"id": 1})`.

    It returns when the broker has the event. Any number of threads may use one dispatcher. It
    connects when it is used first, and lets go of everything at `stop`, at the end of a `with`,
    or when nobody has it any more.
    """

    def __init__(self, config: Config, options: PublishOptions) -> None:
        self.client = EventClient(config)
        self._options = options
        self._is_stopped = False

    def __repr__(self) -> str:
        return f"<Dispatcher {self.client.engine.settings.safe_uri}>"

    def __call__(
        self, service_name: str, event_type: str, event_data: Any = None, **options: Any
    ) -> None:
        """Dispatch an event; the options are those of PublishOptions.

        Raises BrokerUnavailable (nothing was sent in time), PublishTimeout and ConnectionLost
        (the outcome is unknown), BrokerRefused, PublishRejected, UndeliverableMessage (mandatory,
        and no queue takes it), UnserializableValueError, ClientNotRunning after `stop`.
        """
        chosen = check_options(self._options.but(**options)) if options else self._options
        if not self.client.engine.is_running and not self._is_stopped:
            self.client.start(None)
        budget = self.client.budget(chosen)
        self.client.engine.wait_for_room(budget.left())
        outcome_of(self.client.dispatch, service_name, event_type, event_data, chosen, budget)

    def start(self, *, wait: bool = True) -> Self:
        """Connect now; see `ClusterRpcProxy.start`."""
        self._is_stopped = False
        if wait:
            outcome_of(self.client.start)
        else:
            self.client.start(None)
        return self

    def stop(self) -> None:
        """Let go of everything, once the broker has what was dispatched."""
        self._is_stopped = True
        outcome_of(self.client.stop)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def event_dispatcher(
    config: Config | Mapping[str, Any] | None = None, **options: Any
) -> Dispatcher:
    """Return a dispatcher of events; without `config`, with the configuration of the process.

    The options are those of PublishOptions, for all events, and Nameko 3's `uri`, `ssl`,
    `login_method` and `serializer`, which take the place of the configuration's keys.
    """
    effective = standalone_config(config, options)
    return Dispatcher(effective, check_options(PublishOptions().but(**options)))


def get_event_exchange(service_name: str, config: Config | Mapping[str, Any] | None = None) -> Any:
    """Return the `kombu.Exchange` to which a service dispatches its events."""
    effective = as_config(config)
    return event_exchange(
        service_name,
        auto_delete=effective["AUTO_DELETE_EVENT_EXCHANGES"],
        no_declare=not effective["DECLARE_EVENT_EXCHANGES"],
    )
