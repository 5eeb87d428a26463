"""The arithmetic of the measurements: percentiles, ratios, medians and spreads."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """The median of several values, and the smallest and the largest of them."""

    median: float
    low: float
    high: float


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """Return the smallest of the values that `percent` % of them do not exceed.

    This is the nearest-rank definition; the values must be in ascending order. None for none.
    """
    if not ordered:
        return None
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


def spread(values: Iterable[float | None]) -> Spread | None:
    """Return the spread of what could be measured; None when nothing could."""
    known = [value for value in values if value is not None]
    return Spread(median(known), min(known), max(known)) if known else None


def ratios(
    ours: Mapping[int, float | None], theirs: Mapping[int, float | None]
) -> dict[int, float]:
    """Return ours / theirs for each round in which both are known."""
    pairs = {number: (one, theirs.get(number)) for number, one in ours.items()}
    return {number: one / other for number, (one, other) in pairs.items() if one and other}
