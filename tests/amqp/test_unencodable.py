"""Messages that AMQP cannot carry: the culprit is named; `test_codec.py` has the rest."""

from rpcnode.amqp.message import Outgoing
from rpcnode.amqp.unencodable import encoding_error


def test_encoding_error_without_a_culprit_names_exchange_and_key():
    message = Outgoing("orders.events", "placed", b"", {"message_id": "m-1"})

    error = encoding_error(message, ValueError("odd"))

    assert "exchange 'orders.events', routing key 'placed'" in str(error)
    assert "odd" in str(error)
