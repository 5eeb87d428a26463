"""Messages of any kind: consume any queue, publish to any exchange."""

from rpcnode.extensions.headers import (
    HeaderDecoder,
    HeaderEncoder,
    decode_from_headers,
    encode_to_headers,
)
from rpcnode.extensions.messaging import Consumer, Publisher, consume

__all__ = [
    "Consumer",
    "HeaderDecoder",
    "HeaderEncoder",
    "Publisher",
    "consume",
    "decode_from_headers",
    "encode_to_headers",
]
