"""Context data in headers, for extensions with a transport of their own."""

from types import SimpleNamespace

from rpcnode.containers import WorkerContext
from rpcnode.extensions import DependencyProvider, Entrypoint
from rpcnode.messaging import (
    HeaderDecoder,
    HeaderEncoder,
    decode_from_headers,
    encode_to_headers,
)


class Sender(HeaderEncoder, DependencyProvider):
    pass


class Receiver(HeaderDecoder, Entrypoint):
    pass


class Private(HeaderEncoder, HeaderDecoder):
    header_prefix = "shop"


def test_context_data_goes_from_one_extension_to_another(mock_container):
    sender = Sender().bind(mock_container, "sender")
    receiver = Receiver().bind(mock_container, "receive")
    data = {"language": "de", "nothing": None, "call_id_stack": ["a.b.1"]}
    context = WorkerContext(mock_container, None, receiver, data=data)

    headers = sender.get_message_headers(context)
    received = receiver.unpack_message_headers(SimpleNamespace(headers={**headers, "x-y": 1}))

    assert headers == {"nameko.language": "de", "nameko.call_id_stack": context.call_id_stack}
    assert received == {"language": "de", "call_id_stack": context.call_id_stack}


def test_prefix_may_be_another(mock_container):
    context = WorkerContext(mock_container, None, Entrypoint().bind(mock_container, "method"))
    context.data["language"] = "de"
    del context.data["call_id_stack"]

    headers = Private().get_message_headers(context)

    assert headers == {"shop.language": "de"}
    assert Private().unpack_message_headers(SimpleNamespace(headers=headers)) == {"language": "de"}
    assert decode_from_headers(encode_to_headers({"a": 1}, "shop"), "shop") == {"a": 1}
