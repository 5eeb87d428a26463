"""The arithmetic of the measurements: percentiles, ratios, medians and intervals."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """The median of several values, and between which of them the true median lies.

    It does so with at least 95 % probability if there are six values or more; of fewer these
    are the smallest and the largest, and `confidence` says what they are worth.
    """

    median: float
    low: float
    high: float
    confidence: float


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """Return the smallest of the values that `percent` % of them do not exceed.

    This is the nearest-rank definition; the values must be in ascending order. None for none.
    """
    if not ordered:
        return None
    return ordered[max(1, math.ceil(len(ordered) * percent / 100)) - 1]


def interval(values: Iterable[float | None]) -> Interval | None:
    """Return the interval of what could be measured; None when nothing could.

    It is made of order statistics, and assumes nothing of how the values are distributed: the
    true median lies below the k-th of n with the probability of fewer than k heads in n tosses
    of a coin (David and Nagaraja, Order Statistics, section 7.1), and as often above the k-th
    from the end.
    """
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    rank = 1
    while rank < (len(known) + 1) // 2 and _confidence(len(known), rank + 1) >= CONFIDENCE:
        rank += 1
    confidence = _confidence(len(known), rank)
    return Interval(median(known), known[rank - 1], known[-rank], confidence)


def _confidence(count: int, rank: int) -> float:
    """Return how probably the median lies from the `rank`-th of `count` values to its mirror."""
    tosses = 1 << count
    tail = sum(math.comb(count, heads) for heads in range(rank)) / tosses
    return 1 - 2 * tail


def ratios(
    ours: Mapping[int, float | None], theirs: Mapping[int, float | None]
) -> dict[int, float]:
    """Return ours / theirs for each round in which both are known."""
    pairs = {number: (one, theirs.get(number)) for number, one in ours.items()}
    return {number: one / other for number, (one, other) in pairs.items() if one and other}
