"""Dead letters from the outside: read, replay, purge, write to a file and back."""

from rpcnode.deadletters.box import DeadLetters
from rpcnode.deadletters.conditions import matching
from rpcnode.deadletters.letter import DeadLetter
from rpcnode.deadletters.replaying import Replayed

__all__ = ["DeadLetter", "DeadLetters", "Replayed", "matching"]
