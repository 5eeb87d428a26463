"""Whether arguments fit a method, found out fast."""

import functools
import inspect
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rpcnode.exceptions import IncorrectSignature

SHAPES_REMEMBERED = 64
LONGEST_NAME = 100  # characters of a name that is remembered
LONGEST_TEXT = 500  # characters of an error, which may name what a stranger sent


class Signature:
    """The parameters of a method as its class holds it; `label` names it in errors."""

    def __init__(self, label: str, method: Any) -> None:
        self._label = label
        self._signature = inspect.signature(function_of(method))
        self._before: tuple[None, ...] = (None,) if _takes_self(method) else ()
        self._fitting: set[tuple[Any, ...]] = set()

    def check(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Raise IncorrectSignature unless the method can be called with these arguments."""
        # Whether they fit depends on how many there are and on their names, on nothing else;
        # remembering what did is ten times as fast as binding again.
        shape = (len(args), *kwargs)
        if shape in self._fitting:
            return
        self._bind(args, kwargs)
        # **kwargs take any number of names, and any length.
        if len(self._fitting) < SHAPES_REMEMBERED and all(map(_is_short, kwargs)):
            self._fitting.add(shape)

    def arguments(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return what each parameter gets, defaults included, without `self`.

        Raises IncorrectSignature when the arguments do not fit.
        """
        bound = self._bind(args, kwargs)
        bound.apply_defaults()
        return dict(list(bound.arguments.items())[len(self._before) :])

    def _bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
        try:
            return self._signature.bind(*self._before, *args, **kwargs)
        except TypeError as exc:
            raise IncorrectSignature(f"{self._label}: {str(exc)[:LONGEST_TEXT]}") from exc


def _takes_self(method: Any) -> bool:
    # A partial has `__get__` as of Python 3.13, but becomes a method as of 3.14 only.
    if isinstance(method, functools.partial) and sys.version_info < (3, 14):
        return False
    return not isinstance(method, staticmethod) and hasattr(method, "__get__")


def _is_short(name: str) -> bool:
    return len(name) <= LONGEST_NAME


def function_of(method: Any) -> Any:
    """Return the function inside a static or class method; anything else as it is."""
    return method.__func__ if isinstance(method, (staticmethod, classmethod)) else method
