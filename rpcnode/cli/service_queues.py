"""The dead queues of services, as their classes tell."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from rpcnode.amqp.message import Delivery
from rpcnode.amqp.naming import dead_queue, rpc_queue
from rpcnode.cli.services import find_services
from rpcnode.config import Config
from rpcnode.containers import ServiceContainer
from rpcnode.extensions.messaging import MessageHandler
from rpcnode.extensions.rpc import Rpc


@dataclass(frozen=True)
class _FromQueue:
    """As much of a delivery as tells where it ends."""

    queue: str


def dead_queues_of(targets: Iterable[str], config: Config) -> list[str]:
    """Return the names of the dead queues that services may use; nothing is connected to.

    Raises CommandError when something cannot be imported, or has no service.
    """
    found: dict[str, None] = {}
    for service_cls in find_services(targets):
        container = ServiceContainer(service_cls, config)
        for entrypoint in container.entrypoints:
            name = _dead_queue_of(entrypoint, container.service_name)
            if name is not None:
                found[name] = None
    return sorted(found)


def _dead_queue_of(entrypoint: Any, service_name: str) -> str | None:
    if isinstance(entrypoint, Rpc):
        return dead_queue(rpc_queue(service_name))
    if isinstance(entrypoint, MessageHandler):
        queue = entrypoint.make_queue().name
        return entrypoint.dead_queue(cast("Delivery", _FromQueue(queue)))
    return None
