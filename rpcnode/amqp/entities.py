"""The exchanges and queues of the wire contract, as kombu entities.

Their arguments are Nameko's: a broker refuses a queue that exists with others.
"""

from dataclasses import dataclass

from kombu import Exchange, Queue

from rpcnode.amqp import naming

DEFAULT_EXCHANGE = Exchange("")


def rpc_exchange(name: str) -> Exchange:
    """Return the exchange that requests and replies go through."""
    return Exchange(name, type="topic", durable=True)


def rpc_queue(service: str, exchange: Exchange) -> Queue:
    """Return the request queue of a service."""
    return Queue(
        naming.rpc_queue(service), exchange, routing_key=naming.rpc_binding(service), durable=True
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
    """Who may consume an event queue, and whether it goes with its last consumer."""

    exclusive: bool = False
    auto_delete: bool = False


def event_queue(name: str, exchange: Exchange, event_type: str, life: QueueLife) -> Queue:
    """Return the queue of an event handler."""
    return Queue(
        name,
        exchange,
        routing_key=event_type,
        durable=True,
        exclusive=life.exclusive,
        auto_delete=life.auto_delete,
    )


def dead_queue(name: str, max_length: int) -> Queue:
    """Return the queue where failed messages end; a full one refuses more."""
    arguments = {"x-max-length": max_length, "x-overflow": "reject-publish"}
    return Queue(name, DEFAULT_EXCHANGE, routing_key=name, durable=True, queue_arguments=arguments)
