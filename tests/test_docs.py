"""The documentation: its snippets are tested code, and its table of keys is complete."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest
from kombu import Exchange, Queue

from rpcnode.config_keys import KEYS
from rpcnode.messaging import Publisher, consume
from rpcnode.rpc import rpc
from rpcnode.testing import dummy, entrypoint_hook, entrypoint_waiter

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def page_id(page):
    return page.name


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_no_page_has_python_that_nobody_tests(page):
    text = page.read_text(encoding="utf-8")

    assert re.findall(r"^```\{?(?:python|py|code|yaml)\b", text, flags=re.MULTILINE) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_snippet_comes_from_a_file_that_is_tested(page):
    text = page.read_text(encoding="utf-8")

    for included in re.findall(r"^```\{literalinclude\} (\S+)", text, flags=re.MULTILINE):
        path = (DOCS / included).resolve().relative_to(ROOT)
        is_test = path.parts[0] in ("tests", "conftest.py")
        test = ROOT / "tests" / "examples" / f"test_{path.stem}.py"
        assert is_test or test.exists(), path


def test_every_example_is_run_by_a_test():
    examples = {path.stem for path in (ROOT / "examples").glob("*") if path.is_file()}

    tests = {path.stem.removeprefix("test_") for path in (ROOT / "tests/examples").glob("test_*")}

    assert examples - {"__init__"} <= tests


def test_the_table_of_keys_has_a_row_for_each(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))

    rows = import_module("config_table").table()[2:]

    assert [row.split("`")[1] for row in rows] == [key.name for key in KEYS]
    assert all(row.count(" | ") == 3 for row in rows)


def test_the_table_of_fixtures_has_a_row_for_each():
    text = (DOCS / "testing.md").read_text(encoding="utf-8")
    modules = [ROOT / "rpcnode" / name for name in ("pytest_plugin.py", "pytest_rabbit.py")]
    plugin = "".join(module.read_text(encoding="utf-8") for module in modules)

    _before, _heading, rest = text.partition("\n## All fixtures\n")
    names = re.findall(r"^\| (`.*?`) \|", rest.partition("\n## ")[0], flags=re.MULTILINE)

    listed = {name for cell in names for name in re.findall(r"`(\w+)", cell)}
    made = set(re.findall(r"^@pytest\.fixture.*\ndef ([a-z]\w+)\(", plugin, flags=re.MULTILINE))
    assert listed == made


def test_every_page_is_in_the_table_of_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")

    entries = re.findall(r"^([a-z_-]+)$", index, flags=re.MULTILINE)

    assert {page.stem for page in PAGES} - {"index"} <= set(entries)


def test_every_link_of_the_readme_leads_somewhere():
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    links = [each for each in re.findall(r"\]\(([^)]+)\)", text) if "://" not in each]

    assert [each for each in links if not (ROOT / each).exists()] == []


PROTOCOL = (DOCS / "protocol.md").read_text(encoding="utf-8")
REQUEST, REPLY, ERROR_REPLY = map(
    json.loads, re.findall(r"^```json\n(.*?)^```", PROTOCOL, flags=re.MULTILINE | re.DOTALL)
)
EXCHANGE = Exchange("nameko-rpc", type="topic")


class Maths:
    name = "maths"

    @rpc
    def add(self, first, second):
        return first + second

    @rpc
    def fail(self, *_):
        raise ValueError("too large")


class Peer:
    """Knows of rpcnode's RPC what the page tells."""

    name = "peer"
    publish = Publisher(EXCHANGE)

    @dummy
    def send(self, method, body):
        key = f"maths.{method}"
        self.publish(body, routing_key=key, reply_to="a-uuid", correlation_id="42", mandatory=True)

    @consume(Queue("rpc.reply-peer-a-uuid", exchange=EXCHANGE, routing_key="a-uuid"))
    def receive(self, body):
        return body


@pytest.mark.parametrize(("method", "expected"), [("add", REPLY), ("fail", ERROR_REPLY)])
def test_a_peer_that_follows_the_protocol_page_is_answered_so(
    runner_factory, memory_config, method, expected
):
    runner = runner_factory(memory_config, Maths, Peer)
    runner.start()
    peer = runner.service_map["peer"]
    correlation_ids = []

    def note(worker_ctx, _result, _exc_info):
        correlation_ids.append(worker_ctx.message.properties["correlation_id"])
        return True

    with (
        entrypoint_waiter(peer, "receive", timeout=5, callback=note) as reply,
        entrypoint_hook(peer, "send") as send,
    ):
        send(method, REQUEST)

    assert reply.get() == expected
    assert correlation_ids == ["42"]
