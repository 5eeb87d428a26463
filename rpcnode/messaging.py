"""Messages of any kind: consume any queue, publish to any exchange."""

from rpcnode.extensions.messaging import Consumer, Publisher, consume

__all__ = ["Consumer", "Publisher", "consume"]
