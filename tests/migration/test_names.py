"""The table of names that are not here stays true."""

import re
from pathlib import Path

import pytest

from rpcnode.migration import catalogue
from rpcnode.migration.names import HOMONYMS, INSTEAD

PAGE = (Path(__file__).parents[2] / "docs" / "nameko-names.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("dotted", INSTEAD)
def test_name_with_an_advice_is_not_there(dotted):
    assert not catalogue.has(dotted)


def test_page_of_names_and_this_table_speak_of_the_same():
    first_table = PAGE.partition("## What is not here")[2].partition("\n## ")[0]
    rows = [line.split(" | ")[0] for line in first_table.splitlines() if line.startswith("| `")]

    told = {name for row in rows for name in re.findall(r"`rpcnode\.([\w.]+?)(?:\.\*)?`", row)}

    assert {f"nameko.{name}" for name in told} | {"nameko.cli"} == set(INSTEAD)


@pytest.mark.parametrize("dotted", HOMONYMS)
def test_module_that_is_something_else_has_an_advice(dotted):
    assert catalogue.advice(dotted)
    assert not catalogue.has(f"{dotted}.main")


@pytest.mark.parametrize(
    "dotted",
    [
        "nameko.rpc.rpc",
        "nameko.web.handlers.http",
        "nameko.containers.ServiceContainer.spawn_worker",
        "nameko.testing.services.entrypoint_hook",
        "nameko.constants.AMQP_URI_CONFIG_KEY",
        "nameko.timer",
        "nameko.__version__",
        "nameko",
    ],
)
def test_name_that_rpcnode_has_is_found(dotted):
    assert catalogue.has(dotted)


def test_advice_speaks_of_all_that_is_below():
    assert catalogue.advice("nameko.config.setup.x") == INSTEAD["nameko.config"]
    assert catalogue.advice("nameko.configuration") is None
