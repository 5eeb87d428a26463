"""The switch between the codec by hand and py-amqp's."""

import logging
from pathlib import Path

import amqp
import kombu
import pytest

from rpcnode.amqp import codec, stock
from rpcnode.amqp.fastpath import TESTED, choose_codec, is_tested
from rpcnode.amqp.settings import settings_from
from rpcnode.config import as_config
from tests.amqp.broker import linked, outgoing, wait_until
from tests.fast_path import FAST_PATH

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fresh_process():
    """Has not warned yet."""
    is_tested.cache_clear()
    yield
    is_tested.cache_clear()


def test_what_is_installed_here_was_tested():
    assert kombu.__version__ in TESTED["kombu"]
    assert amqp.__version__ in TESTED["py-amqp"]
    assert choose_codec(True) is codec


def test_documentation_and_tools_name_the_versions():
    page, setup = (
        (ROOT / path).read_text(encoding="utf-8") for path in ("docs/configuration.md", "setup.py")
    )

    for name, versions in TESTED.items():
        assert f"{name} {', '.join(versions[:-1])}".rstrip(" ,") in page
        assert versions[-1] in page
        assert f'"{name.removeprefix("py-")}=={versions[-1]}"' in setup


@pytest.mark.parametrize("module", [kombu, amqp])
def test_other_versions_are_left_to_py_amqp_with_one_warning(
    monkeypatch, caplog, fresh_process, module
):
    name = "kombu" if module is kombu else "py-amqp"
    monkeypatch.setattr(module, "__version__", "99.1")

    chosen = [choose_codec(True) for _ in range(3)]

    assert chosen == [stock] * 3
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for part in (
        *("kombu 5.5.4 or 5.6.2 or 5.7.0 and py-amqp 5.4.2", f"{name} 99.1"),
        *("Install those versions", "set AMQP_FAST_PATH to false"),
    ):
        assert part in record.getMessage()


def test_switched_off_nothing_is_said_about_versions(monkeypatch, caplog, fresh_process):
    monkeypatch.setattr(amqp, "__version__", "99.1")

    assert choose_codec(False) is stock
    assert caplog.records == []


@pytest.mark.parametrize("value", [True, False])
def test_configuration_reaches_the_connection(vhost_uri, value):
    settings = settings_from(as_config({"AMQP_URI": vhost_uri, "AMQP_FAST_PATH": value}))

    with linked(vhost_uri, fast_path=settings.fast_path) as link:
        assert link._driver.codec is (codec if value else stock)


def test_tests_of_messaging_use_the_codec_that_they_say(vhost_uri):
    with linked(vhost_uri) as link:
        assert link._driver.codec is (codec if FAST_PATH else stock)


@pytest.mark.parametrize(
    ("sender", "receiver"), [(True, False), (False, True)], ids=["to stock", "from stock"]
)
def test_messages_pass_between_both(vhost_uri, sender, receiver):
    received = []
    headers = {"text": "é", "stack": ["a"], "number": 2**40, "none": None, "bytes": b"\xff"}
    with (
        linked(vhost_uri, fast_path=sender) as ours,
        linked(vhost_uri, fast_path=receiver) as theirs,
    ):
        listening = theirs.channel()
        listening.queue_declare("q", durable=True, auto_delete=False)
        listening.basic_consume("q", consumer_tag="t", callback=received.append)
        ours.channel().publish(outgoing("q", b"x" * 300_000, headers=headers, app_id="caller"))

        wait_until(lambda: received)
        listening.basic_ack(received[0].delivery_tag)
        listening.basic_cancel("t")
        listening.close()

        left = ours.channel().queue_declare("q", passive=True).message_count
    (message,) = received
    assert message.body == b"x" * 300_000
    assert message.properties["application_headers"] == headers
    assert message.properties["app_id"] == "caller"
    assert left == 0
