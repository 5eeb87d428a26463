"""Which codec a connection uses: ours, where it was tested, or py-amqp's."""

import logging
from functools import cache
from typing import Any, Protocol

import amqp
import kombu

from rpcnode.amqp import codec, stock
from rpcnode.amqp.content import Content
from rpcnode.amqp.message import Outgoing

logger = logging.getLogger(__name__)

# The versions that the codec was compared with, and the one place that says so.
TESTED = {"kombu": ("5.5.4", "5.6.2", "5.7.0"), "py-amqp": ("5.4.2",)}


class Codec(Protocol):
    """The hot AMQP methods; see `rpcnode.amqp.codec`, and `rpcnode.amqp.stock`."""

    def write_publish(self, channel: Any, message: Outgoing) -> None:
        """Append a whole publish to what is sent next."""

    def write_ack(self, channel: Any, tag: int, multiple: bool = False) -> None:
        """Append an ack to what is sent next."""

    def read_delivery(
        self, data: bytes, channel_id: int, start: int, end: int
    ) -> tuple[Content, int] | None:
        """Return a delivery that is there as a whole, and where it ends; None for others."""

    def read_deliver(self, arguments: bytes) -> dict[str, Any]:
        """Return the delivery info in the arguments of a Basic.Deliver."""

    def read_ack(self, arguments: bytes) -> tuple[int, bool]:
        """Return tag and "multiple" in the arguments of a Basic.Ack."""

    def decode_properties(self, header: bytes) -> dict[str, Any]:
        """Return the properties in the payload of a header frame."""


def choose_codec(fast_path: bool) -> Codec:
    """Return the codec by hand, if it is wanted and was tested with what is installed."""
    installed = (("kombu", kombu.__version__), ("py-amqp", amqp.__version__))
    return codec if fast_path and is_tested(installed) else stock


@cache  # so that a process warns once
def is_tested(installed: tuple[tuple[str, str], ...]) -> bool:
    """Return whether the codec was tested with these versions; log a warning where it was not."""
    if all(version in TESTED[name] for name, version in installed):
        return True
    logger.warning(
        "AMQP is encoded and decoded by py-amqp, which takes longer: the fast path was tested "
        "with %s, and this is %s. Install those versions to be faster; set AMQP_FAST_PATH to "
        "false to go on without this warning",
        " and ".join(f"{name} {' or '.join(versions)}" for name, versions in TESTED.items()),
        " and ".join(" ".join(each) for each in installed),
    )
    return False
