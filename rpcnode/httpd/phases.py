"""What a connection may be doing."""

from enum import Enum, auto


class Phase(Enum):
    """What a connection does."""

    IDLE = auto()  # between two requests
    HEAD = auto()  # the head of a request is arriving
    BUSY = auto()  # a request is being answered
    DROPPING = auto()  # the rest of an answered request is read and dropped
    LINGERING = auto()  # all was said; whatever still comes is dropped
    CLOSED = auto()


# In Python 3.11 to ask the class costs more than all else that a connection does with them.
IDLE, HEAD, BUSY, DROPPING, LINGERING, CLOSED = Phase
