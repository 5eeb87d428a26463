"""Whether arguments fit a method."""

import functools

import pytest

from rpcnode.exceptions import IncorrectSignature
from rpcnode.signatures import SHAPES_REMEMBERED, Signature


def plain(self, a, b=1, *, c=2): ...


def anything(self, *args, **kwargs): ...


def nothing(self): ...


static = staticmethod(lambda a: None)


@pytest.mark.parametrize(
    ("method", "args", "kwargs"),
    [
        (plain, (1,), {}),
        (plain, [1, 2], {"c": 3}),
        (plain, (), {"a": 1, "b": 2, "c": 3}),
        (anything, (1, 2), {"x": 3}),
        (nothing, (), {}),
        (static, (1,), {}),
        (functools.lru_cache(plain), (1,), {}),
        (functools.partial(lambda a: None), (1,), {}),
    ],
)
def test_arguments_fit(method, args, kwargs):
    signature = Signature("shop.buy", method)

    for _ in range(2):  # the second time from memory
        signature.check(args, kwargs)


@pytest.mark.parametrize(
    ("method", "args", "kwargs", "reason"),
    [
        (plain, (), {}, "missing a required argument: 'a'"),
        (plain, (1, 2, 3), {}, "too many positional arguments"),
        (plain, (1,), {"a": 1}, "multiple values for argument 'a'"),
        (plain, (1,), {"d": 1}, "unexpected keyword argument 'd'"),
        (plain, (), {"self": 1, "a": 2}, "multiple values for argument 'self'"),
        (plain, (1,), {b"c": 1}, "keywords must be strings"),
        (nothing, (1,), {}, "too many positional arguments"),
        (static, (), {}, "missing a required argument: 'a'"),
    ],
)
def test_arguments_do_not_fit(method, args, kwargs, reason):
    signature = Signature("shop.buy", method)

    for _ in range(2):
        with pytest.raises(IncorrectSignature, match=f"shop.buy: .*{reason}"):
            signature.check(args, kwargs)


def test_memory_of_what_fits_is_bounded():
    signature = Signature("shop.buy", anything)

    for number in range(10 * SHAPES_REMEMBERED):
        signature.check((), {f"name{number}": 1})

    assert len(signature._fitting) == SHAPES_REMEMBERED


def test_arguments_are_shown_by_the_names_of_their_parameters():
    arguments = Signature("shop.buy", plain).arguments((1,), {"c": 3})

    assert arguments == {"a": 1, "b": 1, "c": 3}
    assert Signature("shop.buy", static).arguments((1,), {}) == {"a": 1}
