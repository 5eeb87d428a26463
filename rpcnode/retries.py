"""When something that failed is tried again: policies, pure computation.

Nothing here waits or sends; whoever tries asks `Retry.next_delay`.
"""

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rpcnode.backoff import (
    Attempt,
    Delay,
    Exponential,
    Fixed,
    Linear,
    check_delay,
    is_delay,
    is_number,
)
from rpcnode.exceptions import ConfigurationError

logger = logging.getLogger(__name__)

_EXITS = (SystemExit, KeyboardInterrupt, GeneratorExit)
DEFAULT_DELAY = Exponential(1)


@dataclass(frozen=True, slots=True)
class Pause:
    """The time until the next attempt, in seconds.

    `longest` is what it would be without chance, where the policy knows but a few: these have
    hold queues of their own.
    """

    seconds: float
    longest: float | None = None


Exceptions = type[BaseException] | tuple[type[BaseException], ...]


@dataclass(frozen=True)
class Retry:
    """How often, and when, something that failed is tried again.

    - `max_attempts`: the first one included.
    - `delay`: `Exponential`, `Linear`, `Fixed`, a list of seconds (its last one is repeated), or
      a function of the `Attempt` that failed, which returns seconds.
    - `jitter`: the part of a delay that is left to chance: with 0.2, a delay of 10 s takes 8 to
      10 s. It keeps what failed together from coming back together.
    - `on`: the exceptions that are worth another attempt, subclasses included; `Exception`
      stands for timeouts as well, although these are no subclasses.
    - `give_up_on`: those of them that are not.
    - `max_age`: the seconds after the first failure in which another attempt may begin.

    Raises ConfigurationError for what cannot work.
    """

    max_attempts: int = 5
    delay: Delay | Sequence[float] = DEFAULT_DELAY
    jitter: float = 0.2
    on: Exceptions = (Exception,)
    give_up_on: Exceptions = ()
    max_age: float | None = None

    def __post_init__(self) -> None:
        is_count = isinstance(self.max_attempts, int) and not isinstance(self.max_attempts, bool)
        if not is_count or self.max_attempts < 1:
            raise ConfigurationError(
                "Retry: max_attempts must be a whole number of at least 1, not "
                f"{self.max_attempts!r}"
            )
        if not is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ConfigurationError(
                f"Retry: jitter must be a number from 0 to 1, not {self.jitter!r}"
            )
        if self.max_age is not None and (not is_number(self.max_age) or self.max_age <= 0):
            raise ConfigurationError(
                f"Retry: max_age must be a number of seconds above 0, not {self.max_age!r}"
            )
        # It is frozen for others: what they wrote is kept in the one form that is read.
        object.__setattr__(self, "delay", _checked_delay(self.delay))
        object.__setattr__(self, "on", _exceptions("on", self.on))
        object.__setattr__(self, "give_up_on", _exceptions("give_up_on", self.give_up_on))

    def allows(self, error: BaseException) -> bool:
        """Return whether `error` is worth another attempt, however many there were."""
        if isinstance(error, self.give_up_on):
            return False
        is_timeout = Exception in _as_tuple(self.on) and not isinstance(error, _EXITS)
        return is_timeout or isinstance(error, self.on)

    def next_delay(self, error: BaseException, attempt: Attempt, now: float) -> float | None:
        """Return the seconds until the next attempt; None when there is none.

        `attempt` has failed with `error` at `now`, in Unix seconds.
        """
        pause = self.pause(attempt, now) if self.allows(error) else None
        return None if pause is None else pause.seconds

    def pause(self, attempt: Attempt, now: float, delay: float | None = None) -> Pause | None:
        """Return the same for an error that is worth another attempt, after `delay` if given."""
        if attempt.attempt >= self.max_attempts:
            return None
        pause = self._drawn(attempt) if delay is None else Pause(delay)
        first_at = now if attempt.first_at is None else attempt.first_at
        if self.max_age is not None and now + pause.seconds > first_at + self.max_age:
            return None
        return pause

    def _drawn(self, attempt: Attempt) -> Pause:
        seconds = self._declared(attempt)
        is_known = isinstance(self.delay, (Fixed, tuple))
        left = 1 - self.jitter * random.random()
        return Pause(seconds * left, seconds if is_known else None)

    def _declared(self, attempt: Attempt) -> float:
        if isinstance(self.delay, tuple):
            return float(self.delay[min(attempt.attempt, len(self.delay)) - 1])
        assert callable(self.delay)
        try:
            seconds = self.delay(attempt)
            if is_delay(seconds):
                return seconds
            logger.error("%r returned %r, which is no delay", self.delay, seconds)
        except Exception:  # it is the user's; what failed must be tried again all the same
            logger.error("%r failed", self.delay, exc_info=True)
        return DEFAULT_DELAY(attempt)


def policy_from(mapping: Mapping[str, Any], name: str) -> Retry:
    """Return the policy that a configuration describes; `name` is the key, for errors.

    `{max_attempts: 5, delay: {exponential: 1, factor: 2, max: 300}, jitter: 0.2, max_age: 3600}`;
    the delay may also be `{linear: 5, step: 5, max: 60}`, `{fixed: 10}` or a list of seconds.
    Raises ConfigurationError.
    """
    options = dict(mapping)
    try:
        if isinstance(options.get("delay"), Mapping):
            options["delay"] = _delay_from(options["delay"])
        elif callable(options.get("delay")):
            raise ConfigurationError("delay must be a mapping or a list")
        return Retry(**_known(options, "max_attempts", "delay", "jitter", "max_age"))
    except ConfigurationError as exc:
        raise ConfigurationError(f"{name}: {exc}") from exc


_DELAYS: dict[str, tuple[Callable[..., Delay], str, tuple[str, ...]]] = {
    "exponential": (Exponential, "first", ("factor", "max")),
    "linear": (Linear, "first", ("step", "max")),
    "fixed": (Fixed, "seconds", ()),
}


def _delay_from(mapping: Mapping[str, Any]) -> Delay:
    kinds = [kind for kind in _DELAYS if kind in mapping]
    if len(kinds) != 1:
        raise ConfigurationError(f"delay must have one of the keys {', '.join(_DELAYS)}")
    make, first, more = _DELAYS[kinds[0]]
    options = _known(mapping, kinds[0], *more)
    options[first] = options.pop(kinds[0])
    if kinds[0] == "linear":
        options.setdefault("step", options[first])
    return make(**options)


def _known(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    for key in mapping:
        if key not in names:
            raise ConfigurationError(f"there is no {key!r}; the keys are {', '.join(names)}")
    return dict(mapping)


def _checked_delay(delay: Any) -> Any:
    if isinstance(delay, Sequence) and not isinstance(delay, str) and delay:
        for number, each in enumerate(delay):
            check_delay(f"Retry: delay {number + 1}", each)
        return tuple(delay)
    if callable(delay) and not isinstance(delay, type):
        return delay
    hint = f": write Fixed({delay})" if is_delay(delay) else ""
    raise ConfigurationError(
        "Retry: delay must be Exponential(...), Linear(...), Fixed(...), a list of seconds or a "
        f"function, not {delay!r}{hint}"
    )


def _exceptions(option: str, value: Any) -> tuple[type[BaseException], ...]:
    exceptions = _as_tuple(value)
    for each in exceptions:
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise ConfigurationError(f"Retry: {option} must be exception classes, not {each!r}")
    return exceptions


def _as_tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)
