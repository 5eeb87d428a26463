"""Looking at what services have left in queues."""

from collections.abc import Sequence
from typing import Any

from rpcnode.amqp.fetching import fetch
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.amqp.sharing import SharedConnection

PATIENCE = 5.0  # seconds for a broker to let us in


def message_from_queue(
    uri: str,
    queue_name: str,
    ack: bool = True,
    block: bool = True,
    timeout: float | None = 1,
    accept: Sequence[str] | None = None,
) -> Any:
    """Return the next message of a queue on the broker at `uri`; see `amqp.fetching.fetch`.

    Without `block` it must be there already. Raises BrokerUnavailable when the broker does not
    let us in within seconds.
    """
    connection = SharedConnection(BrokerSettings(uri))
    link = connection.consuming
    link.start()
    try:
        link.wait_connected(PATIENCE)
        return fetch(
            link,
            queue_name,
            ack=ack,
            timeout=timeout if block else 0,
            accept=accept,
        )
    finally:
        connection.close()
