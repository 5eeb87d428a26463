"""The wire contract: names of exchanges, queues, routing keys and headers.

The names are Nameko's, so that both can share a broker; `docs/protocol.md` lists them.
"""

from rpcnode.exceptions import ConfigurationError

REPLY_QUEUE_TTL = 300_000  # milliseconds without a consumer
LONGEST_NAME = 200  # bytes; AMQP ends at 255, and hold and dead queues append to a name


def rpc_queue(service: str) -> str:
    """Return the name of a service's request queue."""
    return checked(f"rpc-{service}")


def rpc_binding(service: str) -> str:
    """Return the binding key of a service's request queue."""
    return f"{service}.*"


def rpc_routing_key(service: str, method: str) -> str:
    """Return the routing key of a request."""
    return f"{service}.{method}"


def reply_queue(service: str, listener_id: str) -> str:
    """Return the name of the queue on which a container awaits replies."""
    return checked(f"rpc.reply-{service}-{listener_id}")


def reply_queue_of(app_id: object, listener_id: str) -> str | None:
    """Return the reply queue of whoever sent a request, if its properties tell that.

    Only rpcnode's requests carry `app_id`, the name of their service.
    """
    if not app_id:
        return None
    name = f"rpc.reply-{app_id}-{listener_id}"
    return name if len(name) <= LONGEST_NAME and name.isascii() else None


def event_exchange(service: str) -> str:
    """Return the name of the exchange to which a service dispatches its events."""
    return checked(f"{service}.events")


def event_queue(source: str, event_type: str, handler: str = "", broadcast_id: str = "") -> str:
    """Return the name of an event handler's queue.

    `handler` is `service.method`, or empty for a singleton; `broadcast_id` tells the queues of
    a broadcast handler's instances apart.
    """
    name = f"evt-{source}-{event_type}"
    if handler:
        name += f"--{handler}"
    if broadcast_id:
        name += f"-{broadcast_id}"
    return checked(name)


def hold_queue(queue: str, milliseconds: int, queue_type: str) -> str:
    """Return the name of the queue where messages of `queue` wait so long for another attempt.

    Everything that a broker compares is part of it, so that a change makes another queue.
    """
    return f"rpcnode.hold.{queue}.{queue_type[0]}.{milliseconds}"


def dead_queue(queue: str) -> str:
    """Return the name of the queue where the failed messages of `queue` end."""
    return f"{queue}.dead"


def delay_exchange(exchange: str, milliseconds: int) -> str:
    """Return the name of the exchange for what reaches `exchange` so much later."""
    return f"rpcnode.delay.{exchange}.{milliseconds}"


def delay_queue(exchange: str, milliseconds: int) -> str:
    """Return the name of the queue where it waits."""
    return f"rpcnode.hold.{exchange}.{milliseconds}"


def checked(name: str) -> str:
    """Return `name`; raise ConfigurationError when it is too long for a broker."""
    size = len(name.encode())
    if size > LONGEST_NAME:
        raise ConfigurationError(
            f"the name {name!r} has {size} bytes, more than the {LONGEST_NAME} that fit"
        )
    return name
