"""How many dead letters there are of a kind."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from rpcnode.deadletters.letter import DeadLetter


@dataclass(slots=True)
class Kind:
    """The letters of a queue that died of the same: how many, and when the first and last did."""

    reason: str
    exc_type: str
    handler: str
    letters: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    def add(self, letter: DeadLetter) -> None:
        """Count a letter."""
        self.letters += 1
        when = letter.last_failed
        if when is not None:
            self.oldest = when if self.oldest is None else min(self.oldest, when)
            self.newest = when if self.newest is None else max(self.newest, when)


def kinds_of(letters: Iterable[DeadLetter]) -> list[Kind]:
    """Return the kinds of letters, the most frequent first."""
    kinds: dict[tuple[str, str, str], Kind] = {}
    for letter in letters:
        key = (letter.reason, letter.exc_type, letter.handler)
        kinds.setdefault(key, Kind(*key)).add(letter)
    return sorted(kinds.values(), key=lambda kind: -kind.letters)
