"""The exchanges and queues of the wire contract, as kombu entities.

The arguments of classic queues are Nameko's: a broker refuses a queue that exists with others.
"""

from dataclasses import dataclass
from typing import Any

from kombu import Exchange, Queue

from rpcnode.amqp import naming

DEFAULT_EXCHANGE = Exchange("")
CLASSIC = "classic"
QUORUM = "quorum"
DELIVERY_LIMIT = 20  # returns of one message that a quorum queue stands


def rpc_exchange(name: str) -> Exchange:
    """Return the exchange that requests and replies go through."""
    return Exchange(name, type="topic", durable=True)


def rpc_queue(service: str, exchange: Exchange, queue_type: str = CLASSIC) -> Queue:
    """Return the request queue of a service."""
    name = naming.rpc_queue(service)
    return Queue(
        name,
        exchange,
        routing_key=naming.rpc_binding(service),
        durable=True,
        queue_arguments=_owner_arguments(name, queue_type),
    )


def reply_queue(service: str, listener_id: str, exchange: Exchange) -> Queue:
    """Return the queue on which a container awaits replies; `listener_id` is its routing key."""
    return Queue(
        naming.reply_queue(service, listener_id),
        exchange,
        routing_key=listener_id,
        durable=True,
        queue_arguments={"x-expires": naming.REPLY_QUEUE_TTL},
    )


def event_exchange(service: str, *, auto_delete: bool, no_declare: bool) -> Exchange:
    """Return the exchange to which a service dispatches its events."""
    return Exchange(
        naming.event_exchange(service),
        type="topic",
        durable=True,
        auto_delete=auto_delete,
        no_declare=no_declare,
    )


@dataclass(frozen=True, slots=True)
class QueueLife:
    """Who may consume an event queue, whether it goes with its last consumer, and its type."""

    exclusive: bool = False
    auto_delete: bool = False
    type: str = CLASSIC


def event_queue(name: str, exchange: Exchange, event_type: str, life: QueueLife) -> Queue:
    """Return the queue of an event handler."""
    return Queue(
        name,
        exchange,
        routing_key=event_type,
        durable=True,
        exclusive=life.exclusive,
        auto_delete=life.auto_delete,
        queue_arguments=_owner_arguments(name, life.type),
    )


def dead_queue(name: str, max_length: int, queue_type: str = CLASSIC) -> Queue:
    """Return the queue where failed messages end; a full one refuses more."""
    arguments = {
        **type_arguments(queue_type),
        "x-max-length": max_length,
        "x-overflow": "reject-publish",
    }
    return Queue(name, DEFAULT_EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)


def type_arguments(queue_type: str) -> dict[str, Any]:
    """Return the arguments that make a queue one of that type; a classic one has none."""
    return {"x-queue-type": QUORUM} if queue_type == QUORUM else {}


def queue_type_of(queue: Queue) -> str:
    """Return the type of a queue, as it is declared."""
    is_quorum = (queue.queue_arguments or {}).get("x-queue-type") == QUORUM
    return QUORUM if is_quorum else CLASSIC


def dead_queue_of(queue: Queue) -> str | None:
    """Return the name of the dead queue that must be there before `queue`, if one must.

    The broker itself copies a message there that was returned too often: without that queue it
    would keep it.
    """
    arguments = queue.queue_arguments or {}
    name = naming.dead_queue(queue.name)
    is_ours = arguments.get("x-dead-letter-exchange") == "" and name == arguments.get(
        "x-dead-letter-routing-key"
    )
    return name if is_ours else None


def _owner_arguments(name: str, queue_type: str) -> dict[str, Any] | None:
    if queue_type != QUORUM:
        return None
    return {
        **type_arguments(queue_type),
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": naming.dead_queue(name),
        # Without these two what is returned too often would vanish.
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def hold_queue(owner: str, milliseconds: int, queue_type: str) -> Queue:
    """Return a queue where messages of the queue `owner` wait until they are delivered again.

    It never expires: a quorum queue would take what waits there with it.
    """
    name = naming.hold_queue(owner, milliseconds, queue_type)
    arguments: dict[str, Any] = {
        **type_arguments(queue_type),
        "x-message-ttl": milliseconds,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": owner,
    }
    if queue_type == QUORUM:
        arguments["x-dead-letter-strategy"] = "at-least-once"
        arguments["x-overflow"] = "reject-publish"
    return Queue(name, DEFAULT_EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)


def delay_queue(exchange: str, milliseconds: int) -> Queue:
    """Return the queue, bound to an exchange of its own, where messages wait for `exchange`.

    It is a classic one, also where queues are quorum queues: these keep for ever what nobody
    is bound for when it is due, if they dead-letter at-least-once, and hold up all behind it.
    """
    return Queue(
        naming.delay_queue(exchange, milliseconds),
        Exchange(naming.delay_exchange(exchange, milliseconds), type="topic", durable=True),
        routing_key="#",
        durable=True,
        queue_arguments={"x-dead-letter-exchange": exchange, "x-message-ttl": milliseconds},
    )
