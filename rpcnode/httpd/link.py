"""What carries the bytes of a connection."""

from typing import Any, Protocol

NEVER = float("inf")


class Link(Protocol):
    """A socket, with or without TLS, or two buffers in memory.

    It tells its connection of what happens: `received(data)`, `ended()` when the client sends no
    more, `drained()` when all is sent, `lost()` once, when it breaks or was aborted. Nothing of it
    blocks. `stalled_since` is the moment since which the client has taken nothing of what is to be
    sent, NEVER while nothing is.
    """

    scheme: str
    remote: tuple[str, int]
    local: tuple[str, int]
    unsent: int  # bytes that wait for the client to take what is before them
    is_reading: bool
    can_send_files: bool
    stalled_since: float

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The certificate of the client, if it had to show one."""

    def send(self, data: bytes) -> None:
        """Send bytes, as many as the client takes now, and the rest later."""

    def send_file(self, number: int, offset: int, size: int) -> int | None:
        """Send of an open file what the client takes now; return how many bytes that was.

        Nothing may be unsent. Returns 0 at the end of the file, and None where the client takes
        nothing: then `unsent` is 1 until it does.
        """

    def read_on(self, *, is_on: bool) -> None:
        """Go on reading, or stop."""

    def end(self) -> None:
        """Tell the client that nothing follows; it may still send."""

    def close(self) -> None:
        """Close in good order; nothing is told any more."""

    def abort(self) -> None:
        """Cut it, dropping what was not sent."""

    def is_broken(self) -> bool:
        """Return whether the client has reset it, for when nothing is read."""
