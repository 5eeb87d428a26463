"""`rpcnode retry`: the queues where messages wait."""

import json
from contextlib import closing

import pytest

from rpcnode.amqp.entities import delay_queue, hold_queue, rpc_exchange
from rpcnode.amqp.session import Session
from rpcnode.amqp.settings import settings_from
from rpcnode.cli.main import main
from rpcnode.config import as_config
from rpcnode.events import event_handler
from rpcnode.retry import Retry
from tests.cli.processes import eventually
from tests.deadletters.broker import Broker
from tests.hosting import hosted, wait_until

HOUR = 3_600_000


@pytest.fixture
def broker(vhost_uri):
    """The test's broker, with the queue `orders`."""
    with Broker({"AMQP_URI": vhost_uri}) as broker:
        yield broker


@pytest.fixture
def run(vhost_uri, rabbit_api_uri, capfd):
    """Return a function that runs the command; it returns exit code, output and errors."""

    def run_command(*arguments):
        options = ["--broker", vhost_uri, "--management-uri", rabbit_api_uri]
        code = main(["retry", *arguments, *options])
        return code, *capfd.readouterr()

    return run_command


def test_status_lists_what_waits_and_what_waits_in_vain(broker, run):
    broker.session.declare(hold_queue("orders", HOUR, "classic"))
    broker.session.declare(hold_queue("gone", HOUR, "quorum"))
    broker.session.declare(delay_queue("shop.events", HOUR))
    broker.session.declare(delay_queue("amq.topic", HOUR))
    for name in (f"orders.c.{HOUR}", f"shop.events.{HOUR}"):
        broker.put(f"rpcnode.hold.{name}")

    code, output, _errors = run("status", "--format", "json")

    assert code == 1
    assert [
        (each["waits_for"], each["messages"], each["state"]) for each in json.loads(output)
    ] == [
        ("exchange amq.topic", 0, "ok"),
        ("queue gone", 0, "nothing to wait for"),
        ("queue orders", 1, "ok"),
        ("exchange shop.events", 1, "stuck"),
    ]
    assert {each["delay"] for each in json.loads(output)} == {3600.0}


def test_status_tells_what_a_quorum_queue_keeps_for_ever(broker, run):
    broker.session.declare(hold_queue("gone", 50, "quorum"))
    broker.put("rpcnode.hold.gone.q.50")

    def line():
        return run("status")[1].splitlines()[-1].split()

    eventually(lambda: line()[-2:] == ["1", "stuck"])


def test_names_of_queues_and_exchanges_are_not_taken_for_each_other(broker, run):
    broker.session.declare(rpc_exchange("odd.c"))
    broker.session.declare(delay_queue("odd.c", HOUR))
    broker.session.declare(hold_queue("orders.dead", HOUR, "classic"))
    broker.make_queue("rpcnode.hold.stranger.c.1000")

    output = run("status")[1]

    lines = [line.split() for line in output.splitlines()[1:]]
    assert [line[1:3] for line in lines] == [["exchange", "odd.c"], ["queue", "orders.dead"]]


def test_gc_deletes_what_is_empty_and_nothing_else(broker, run):
    broker.session.declare(hold_queue("orders", HOUR, "classic"))
    broker.session.declare(hold_queue("orders", HOUR, "quorum"))
    broker.session.declare(hold_queue("orders", 2 * HOUR, "classic"))
    broker.session.declare(delay_queue("shop.events", HOUR))
    broker.put(f"rpcnode.hold.orders.c.{2 * HOUR}")

    dry = run("gc", "--dry-run")
    code, output, errors = run("gc")

    empty = [f"rpcnode.hold.orders.c.{HOUR}", f"rpcnode.hold.shop.events.{HOUR}"]
    assert dry[1].splitlines() == [f"would delete {name!r}" for name in empty]
    assert code == 0
    assert output.splitlines() == [f"deleted {name!r}" for name in empty]
    assert f"'rpcnode.hold.orders.c.{2 * HOUR}': messages that wait there: 1" in errors
    assert "quorum queue" in errors
    assert not broker.session.has_exchange(f"rpcnode.delay.shop.events.{HOUR}")
    assert broker.session.has_queue(f"rpcnode.hold.orders.q.{HOUR}")
    assert broker.session.has_queue("orders")


def test_queue_that_got_a_message_meanwhile_is_not_deleted(broker, vhost_uri):
    broker.session.declare(hold_queue("orders", HOUR, "classic"))
    name = f"rpcnode.hold.orders.c.{HOUR}"

    with closing(Session(settings_from(as_config({"AMQP_URI": vhost_uri})), 10)) as collector:
        assert collector.count(name) == 0
        broker.put(name)

        assert not collector.delete_unused_queue(name)
    assert broker.session.count(name) == 1


def test_service_makes_its_hold_queue_anew_after_it_was_deleted(vhost_uri, run):
    class Mailer:
        name = "mailer"
        attempts = []

        @event_handler("caller", "placed", retry=Retry(2, delay=[0.2]))
        def send(self, payload):
            self.attempts.append(payload)
            if self.attempts.count(payload) == 1:
                raise ValueError("not yet")

    with hosted({"AMQP_URI": vhost_uri}, Mailer) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: Mailer.attempts.count(1) == 2)
        collected = run("gc")[1]
        services.dispatch("placed", 2)
        wait_until(lambda: Mailer.attempts.count(2) == 2)

    assert collected == "deleted 'rpcnode.hold.evt-caller-placed--mailer.send.c.200'\n"


def test_service_makes_its_delay_queue_anew_after_it_was_deleted(vhost_uri, run):
    class Mailer:
        name = "mailer"
        sent = []

        @event_handler("caller", "placed")
        def send(self, payload):
            self.sent.append(payload)

    with hosted({"AMQP_URI": vhost_uri}, Mailer) as services:
        services.dispatch("placed", 1, delay=0.2)
        wait_until(lambda: Mailer.sent == [1])
        collected = run("gc")[1]
        services.dispatch("placed", 2, delay=0.2)
        wait_until(lambda: Mailer.sent == [1, 2])

    assert "deleted 'rpcnode.hold.caller.events." in collected


def test_command_that_cannot_be_is_refused(capsys):
    assert main(["retry", "statsu"]) == 2
    assert "did you mean 'status'?" in capsys.readouterr().err
    assert main(["retry", "--help"]) == 0


def test_api_that_is_away_is_named(vhost_uri, capsys):
    options = ["--broker", vhost_uri, "--management-uri", "http://guest:secret@127.0.0.1:1"]

    assert main(["retry", "status", *options]) == 1
    errors = capsys.readouterr().err
    assert "no management API at http://guest:********@127.0.0.1:1" in errors
