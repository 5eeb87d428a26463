"""The page that lists the public names: each is there, once, and can be imported."""

import importlib
import inspect
import re
from pathlib import Path
from typing import TypeVar

import pytest

from tests.imports import imports_of, read_package
from tests.test_layering import PUBLIC_MODULES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
# Everything in these is public, not in part.
COMPLETE = {
    "rpcnode.extensions",
    "rpcnode.containers",
    "rpcnode.runners",
    "rpcnode.exceptions",
    "rpcnode.testing",
    "rpcnode.testing.utils",
    "rpcnode.utils",
    "rpcnode.utils.concurrency",
    "rpcnode.utils.retry",
    *(
        f"rpcnode.{path.stem}"
        for path in (ROOT / "rpcnode").glob("*.py")
        if f"rpcnode.{path.stem}" in PUBLIC_MODULES
    ),
}
NAMES_ONLY_DESCRIBED = {"rpcnode.constants"}  # the page has a sentence for all of them
NOT_PUBLIC = {"registry"}  # of remote exceptions; use `deserialize_to_instance`
TWO_THINGS = {"wait_for_call"}  # Nameko has two functions of that name
# Nameko has these errors beside what raises them, and the HTTP entrypoint elsewhere. What a
# handler raises is an exception, and is used beside its policy.
TWO_PATHS = {
    "EventHandlerConfigurationError",
    "HttpRequestHandler",
    "Reject",
    "RetryLater",
    "UndeliverableMessage",
    "http",
}


def listed():
    sections = re.split(r"^## `(rpcnode[\w.]*)`$", PAGE, flags=re.MULTILINE)[1:]
    for module_name, text in zip(sections[::2], sections[1::2], strict=True):
        for row in re.findall(r"^\| (`.*?`) \|", text, flags=re.MULTILINE):
            yield from ((module_name, name) for name in re.findall(r"`(\w+)`", row))


def public_names(module):
    if hasattr(module, "__all__"):
        return set(module.__all__)
    return {
        name
        for name, value in vars(module).items()
        if not (name.startswith("_") or name in NOT_PUBLIC or isinstance(value, TypeVar))
        and getattr(value, "__module__", None) == module.__name__
    }


@pytest.mark.parametrize(("module_name", "name"), list(listed()))
def test_every_listed_name_can_be_imported(module_name, name):
    module = importlib.import_module(module_name)

    assert hasattr(module, name)


@pytest.mark.parametrize("module_name", sorted(COMPLETE - NAMES_ONLY_DESCRIBED))
def test_every_public_name_of_a_module_is_listed(module_name):
    module = importlib.import_module(module_name)

    names = {name for listed_in, name in listed() if listed_in == module_name}

    assert names == public_names(module)


def test_every_name_is_listed_under_one_path():
    names = [name for _module_name, name in listed() if name not in TWO_THINGS | TWO_PATHS]

    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("name", sorted(TWO_PATHS))
def test_a_name_under_two_paths_is_one_thing(name):
    paths = [module_name for module_name, listed_name in listed() if listed_name == name]

    assert len(paths) == 2
    assert len({getattr(importlib.import_module(path), name) for path in paths}) == 1


def test_every_public_module_has_a_section():
    sections = set(re.findall(r"^## `(rpcnode[\w.]*)`$", PAGE, flags=re.MULTILINE))

    assert sections >= COMPLETE


def test_every_listed_class_and_function_says_what_it_is():
    objects = [getattr(importlib.import_module(module), name) for module, name in listed()]

    silent = [each for each in objects if inspect.isroutine(each) and not inspect.getdoc(each)]

    assert silent == []


def test_examples_import_nothing_that_is_not_listed():
    sections = set(re.findall(r"^## `(rpcnode[\w.]*)`$", PAGE, flags=re.MULTILINE))

    imports = imports_of(read_package(ROOT / "examples"))

    ours = [each for each in imports if each.package == "rpcnode"]
    assert [str(each) for each in ours if each.target not in sections] == []
