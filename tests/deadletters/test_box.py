"""Dead letters for programs: on the embedded broker, and on RabbitMQ."""

import io
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from rpcnode.dead import DeadLetters, matching
from rpcnode.events import SINGLETON, event_handler
from rpcnode.exceptions import (
    BrokerUnavailable,
    CommandError,
    ConfigurationError,
    PublishRejected,
    QueueNotFound,
)
from rpcnode.rpc import rpc
from tests.deadletters.notes import notes
from tests.hosting import hosted, wait_until


def mailer_class():
    """Return a service that fails until it is mended, and notes what it did."""

    class Mailer:
        name = "mailer"
        is_mended = False
        sent = []

        @event_handler("caller", "placed")
        def send(self, payload):
            if not self.is_mended:
                raise ValueError("no such sku")
            self.sent.append(payload)

    return Mailer


QUEUE = "evt-caller-placed--mailer.send"


def test_letter_tells_what_happened_to_a_message(config, dead):
    mailer = mailer_class()
    with hosted(config, mailer) as services:
        services.dispatch("placed", {"sku": "plum"})
        wait_until(lambda: is_dead(dead, QUEUE))

        (letter,) = dead.read(QUEUE)

    assert (letter.queue, letter.owner) == (f"{QUEUE}.dead", QUEUE)
    assert (letter.reason, letter.handler, letter.attempts) == ("exhausted", "mailer.send", 1)
    assert (letter.exc_type, letter.exc_message) == ("ValueError", "no such sku")
    assert "raise ValueError" in letter.traceback
    assert (letter.origin_exchange, letter.origin_key) == ("caller.events", "placed")
    assert letter.body == b'{"sku":"plum"}'
    assert letter.properties["content_type"] == "application/json"
    assert datetime.now(UTC) - letter.last_failed < timedelta(seconds=10)
    assert 0 <= letter.age < 10
    assert "plum" not in repr(letter)


def test_replayed_event_is_handled_as_if_it_had_just_come(config, dead):
    mailer = mailer_class()
    with hosted(config, mailer) as services:
        services.dispatch("placed", {"sku": "plum"})
        wait_until(lambda: is_dead(dead, QUEUE))
        mailer.is_mended = True

        result = dead.replay(QUEUE)

        wait_until(lambda: mailer.sent)
    assert (result.matched, result.replayed, result.failures) == (1, 1, {})
    assert mailer.sent == [{"sku": "plum"}]
    assert dead.count(QUEUE) == 0


def test_letter_that_dies_again_says_that_it_was_replayed_and_is_not_replayed_for_ever(
    config, dead
):
    mailer = mailer_class()
    with hosted(config, mailer) as services:
        services.dispatch("placed", {"sku": "plum"})
        wait_until(lambda: is_dead(dead, QUEUE))
        (before,) = dead.read(QUEUE)

        first = dead.replay(QUEUE)
        wait_until(lambda: is_dead(dead, QUEUE))
        second = dead.replay(QUEUE)
        wait_until(lambda: is_dead(dead, QUEUE))
        (letter,) = dead.read(QUEUE)

    assert (first.replayed, second.replayed) == (1, 1)
    assert (letter.replayed, letter.attempts, letter.id) == (2, 1, before.id)
    assert before.replayed == 0


def test_replayed_request_finds_its_method(config, dead):
    class Stock:
        name = "stock"
        is_mended = False
        reserved = []

        @rpc
        def reserve(self, sku):
            if not self.is_mended:
                raise ValueError("no such sku")
            self.reserved.append(sku)

    with hosted(config, Stock) as services:
        services.rpc.stock.reserve.cast("plum")
        wait_until(lambda: is_dead(dead, "rpc-stock"))
        Stock.is_mended = True

        result = dead.replay("rpc-stock")

        wait_until(lambda: Stock.reserved)
    assert result.replayed == 1
    assert Stock.reserved == ["plum"]


def is_dead(dead, queue):
    try:
        return dead.count(queue) > 0
    except QueueNotFound:
        return False


def test_limit_of_none_at_all_does_nothing(broker, dead):
    broker.put("orders.dead", headers=notes())

    assert list(dead.read("orders", limit=0)) == []
    assert dead.replay("orders", limit=0).matched == 0
    assert dead.purge("orders", limit=0) == 0
    assert dead.export_to(io.StringIO(), "orders", limit=0) == 0
    with pytest.raises(CommandError, match="rate"):
        dead.replay("orders", rate=0)
    assert dead.count("orders") == 1


def test_letters_are_read_in_their_order_and_stay(broker, dead):
    ids = [broker.put("orders.dead", headers=notes()) for _ in range(50)]

    first = [letter.id for letter in dead.read("orders")]
    again = list(dead.read("orders.dead"))

    assert first == ids
    assert [letter.id for letter in again] == ids
    assert all(letter.redelivered for letter in again)
    assert dead.count("orders") == 50


def test_reading_can_stop_at_any_letter(broker, dead):
    ids = [broker.put("orders.dead", headers=notes()) for _ in range(50)]

    few = [letter.id for letter in dead.read("orders", limit=3)]
    one = next(dead.read("orders")).id

    assert few == ids[:3]
    assert one == ids[0]
    assert broker.ids("orders.dead") == ids


def test_what_comes_while_somebody_reads_is_not_read(broker, dead):
    broker.put("orders.dead", headers=notes())

    read = []
    for letter in dead.read("orders"):
        read.append(letter)
        broker.put("orders.dead", headers=notes())

    assert len(read) == 1
    assert dead.count("orders") == 2


def test_messages_that_no_service_has_written_are_letters_too(broker, dead):
    broker.put("orders.dead", headers={"rpcnode-attempts": "many", "rpcnode-last-failed": 2**62})
    died = datetime(2024, 2, 29, 12)
    death = {"reason": "delivery_limit", "exchange": "x", "routing-keys": ["k"], "time": died}
    broker.put("orders.dead", headers={"x-death": [death]})

    stranger, brokers_own = dead.read("orders")

    assert (stranger.reason, stranger.attempts, stranger.last_failed) == ("unknown", 0, None)
    assert stranger.age is None
    assert (brokers_own.reason, brokers_own.origin_exchange, brokers_own.origin_key) == (
        "crashed",
        "x",
        "k",
    )
    assert brokers_own.last_failed == died.replace(tzinfo=UTC)


def test_replay_takes_only_what_is_meant(broker, dead):
    kept = broker.put("orders.dead", headers=notes(exc_type="KeyError"))
    ids = [broker.put("orders.dead", headers=notes()) for _ in range(3)]

    where = matching("exc-type=Value*")
    dry = dead.replay("orders", where=where, limit=2, dry_run=True)
    result = dead.replay("orders", where=where, limit=2)

    assert (dry.matched, dry.replayed) == (2, 0)
    assert (result.matched, result.replayed) == (2, 2)
    assert broker.ids("orders") == ids[:2]
    assert broker.ids("orders.dead") == [kept, ids[2]]


def test_replayed_message_is_the_old_one_without_its_notes(broker, dead):
    headers = {
        **notes(),
        "rpcnode-not-after": 5,
        "rpcnode-deadline": 5,
        "rpcnode-redeliveries": 19,
        "x-death": [],
        "CC": ["orders.dead"],
        "nameko.language": "de",
    }
    broker.put(
        "orders.dead", b"\x00\xff", headers, expiration="60000", priority=3, type="t", app_id="shop"
    )

    dead.replay("orders")

    (message,) = broker.take("orders")
    marks = {name: message.headers.pop(f"rpcnode-replayed{name}") for name in ("", "-at")}
    assert message.headers == {
        "rpcnode-origin-exchange": "shop.events",
        "rpcnode-origin-key": "placed",
        "nameko.language": "de",
    }
    assert marks[""] == 1
    assert marks["-at"] > 1_700_000_000_000
    assert message.body == b"\x00\xff"
    known = {key: message.properties.get(key) for key in ("priority", "type", "app_id")}
    assert known == {"priority": 3, "type": "t", "app_id": "shop"}
    assert "expiration" not in message.properties


def test_request_goes_back_through_the_exchange_that_it_came_through(broker, dead):
    broker.make_queue("rpc-stock", "nameko-rpc", "stock.*")
    broker.make_dead_queue("rpc-stock.dead")
    origin = {"origin_exchange": "nameko-rpc", "origin_key": "stock.reserve"}
    broker.put("rpc-stock.dead", headers=notes(**origin))
    broker.put("rpc-stock.dead", headers=notes(origin_exchange="nameko-rpc", origin_key="other.x"))
    broker.put("rpc-stock.dead", headers=notes(**{**origin, "origin_exchange": "gone"}))

    result = dead.replay("rpc-stock")

    assert [(each.exchange, each.routing_key) for each in broker.take("rpc-stock")] == [
        ("nameko-rpc", "stock.reserve"),
        ("", "rpc-stock"),
    ]
    assert result.failures == {"there is no exchange 'gone'": 1}
    assert dead.count("rpc-stock") == 1


def test_letters_whose_queue_is_gone_stay_dead(broker, dead):
    broker.make_dead_queue("evt-a-b--c.d.dead")
    broker.put("evt-a-b--c.d.dead", headers=notes())

    with pytest.raises(QueueNotFound, match=r"'evt-a-b--c\.d' .* broadcast handler"):
        dead.replay("evt-a-b--c.d")

    assert dead.count("evt-a-b--c.d") == 1


def test_letters_can_be_replayed_to_other_queues(broker, dead):
    broker.make_queue("one")
    broker.make_queue("two")
    broker.put("orders.dead", headers=notes(), message_id="a")

    result = dead.replay("orders", to=["one", "two"])

    assert result.replayed == 1
    assert (broker.ids("one"), broker.ids("two"), broker.ids("orders")) == (["a"], ["a"], [])
    with pytest.raises(QueueNotFound, match="'three'"):
        dead.replay("orders", to=["three"])
    with pytest.raises(CommandError, match="into it"):
        dead.replay("orders", to=["orders.dead"])


@pytest.mark.parametrize(
    "forged",
    [
        {"rpcnode-replayed-at": 4_000_000_000_000},
        {"rpcnode-replayed": 2**63 - 1},
        {"rpcnode-replayed": 1, "rpcnode-replayed-at": 2**63 - 1},
        {"rpcnode-origin-exchange": "x" * 300, "rpcnode-origin-key": "k" * 300},
    ],
)
@pytest.mark.parametrize("owner", ["orders", "rpc-k"])
def test_notes_of_a_stranger_do_not_keep_a_letter_from_being_replayed(broker, dead, owner, forged):
    broker.make_queue("rpc-k", "nameko-rpc", "k.*")
    broker.make_dead_queue("rpc-k.dead")
    key = forged.get("rpcnode-origin-key", "method")
    headers = {**forged, "rpcnode-origin-key": f"k.{key}"}
    message_id = broker.put(f"{owner}.dead", headers=headers)

    result = dead.replay(owner)

    assert (result.replayed, result.failures) == (1, {})
    assert broker.ids(owner) == [message_id]


def test_rate_is_kept(broker, dead):
    for _ in range(6):
        broker.put("orders.dead", headers=notes())

    begin = datetime.now(UTC)
    dead.replay("orders", rate=10)

    assert datetime.now(UTC) - begin >= timedelta(seconds=0.4)


def test_purge_takes_what_is_meant_or_all(broker, dead):
    ids = [broker.put("orders.dead", headers=notes(reason=reason)) for reason in ("a", "b", "b")]

    assert dead.purge("orders", where=matching("reason=b"), limit=1) == 1
    assert broker.ids("orders.dead") == [ids[0], ids[2]]
    assert dead.purge("orders") == 2
    assert dead.count("orders") == 0


def test_queue_where_work_waits_is_not_purged_whatever_its_name_is(config, dead):
    class Game:
        name = "game"

        @event_handler("caller", "player.dead", handler_type=SINGLETON)
        def bury(self, payload): ...

    with hosted(config, Game), pytest.raises(CommandError, match=r"player\.dead\.dead"):
        dead.purge("evt-caller-player.dead")


def test_what_was_exported_and_removed_can_be_imported(broker, dead):
    headers = notes(traceback="a\nb\x1b", extra={"list": [1, None, True, 2.5]})
    for body in (b"{}", b"\x00\xff", b""):
        broker.put("orders.dead", body, headers, priority=3, expiration="3600000")
    file = io.StringIO()
    before = dead.export_to(file, "orders")
    exported = broker.take("orders.dead")

    assert dead.import_from(file) == before == 3
    assert dead.import_from(file, first_line=3) == 1

    imported = broker.take("orders.dead")
    assert [each.body for each in imported] == [b"{}", b"\x00\xff", b"", b""]
    assert [each.encoded for each in imported[:3]] == [each.encoded for each in exported]


def test_export_removes_what_is_on_disk(broker, dead, tmp_path):
    ids = [broker.put("orders.dead", headers=notes()) for _ in range(3)]

    with (tmp_path / "letters").open("w") as file:
        assert dead.export_to(file, "orders", limit=2, remove=True) == 2

    assert broker.ids("orders.dead") == ids[2:]
    assert len((tmp_path / "letters").read_text().splitlines()) == 2


def test_export_to_what_is_no_file_removes_nothing(broker, dead):
    broker.put("orders.dead", headers=notes())

    with pytest.raises(OSError, match="fileno"):
        dead.export_to(io.StringIO(), "orders", remove=True)

    assert dead.count("orders") == 1


def test_import_makes_a_dead_queue_that_is_not_there(broker, dead, config):
    broker.put("orders.dead", headers=notes())
    file = io.StringIO()
    dead.export_to(file, "orders")

    dead.import_from(file, to="elsewhere")

    assert dead.count("elsewhere") == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "line 2 is no dead letter: Expecting"),
        ("[]", "line 2 .*it is no object"),
        ('{"queue": "orders", "properties": {}, "body": ""}', "'orders' is no dead queue"),
        ('{"queue": "orders.dead", "properties": {"nope": 1}, "body": ""}', "no property 'nope'"),
        ('{"queue": "orders.dead", "properties": {}}', "'body' is missing"),
        ('{"queue": "orders.dead", "properties": {}, "body_base64": "*"}', "no base64"),
        ('{"queue": "a.dead", "properties": {"headers": {"a": {"I": "1"}}}, "body": ""}', "'I'"),
        ('{"queue": "a.dead", "properties": {"expiration": "soon"}, "body": ""}', "expiration"),
        ('{"queue": "a.dead", "properties": {"priority": 256}, "body": ""}', "256"),
        ('{"queue": "a.dead", "properties": {}, "body": "\\ud800"}', "surrogates"),
        (f'{{"queue": "{"q" * 251}.dead", "properties": {{}}, "body": ""}}', "queue is too long"),
    ],
)
def test_file_with_a_line_that_is_no_letter_is_refused_as_a_whole(broker, dead, line, problem):
    good = '{"queue": "orders.dead", "properties": {}, "body": ""}'
    file = io.StringIO(f"{good}\n{line}\n{good}\n")

    with pytest.raises(CommandError, match=problem):
        dead.import_from(file)

    assert dead.count("orders") == 0


def test_import_that_a_full_queue_ends_tells_which_lines_it_has(broker, dead):
    broker.make_dead_queue("small.dead", max_length=1)
    line = '{"queue": "small.dead", "properties": {}, "body": ""}\n'

    with pytest.raises(PublishRejected) as caught:
        dead.import_from(io.StringIO(line * 3))

    assert caught.value.__notes__[0].startswith("the broker has the lines up to 3, without ")


def test_imported_letter_goes_to_its_queue_alone(broker, dead):
    line = (
        '{"queue": "orders.dead", "body": "", "properties": {"user_id": "somebody", '
        '"headers": {"CC": {"A": ["orders"]}, "a": "b"}}}'
    )

    dead.import_from(io.StringIO(line))

    (letter,) = dead.read("orders")
    assert (dict(letter.headers), letter.properties.get("user_id")) == ({"a": "b"}, None)
    assert broker.ids("orders") == []


def test_missing_dead_queue_is_named(dead):
    with pytest.raises(QueueNotFound, match=r"'nothing\.dead'"):
        list(dead.read("nothing"))


def test_broker_that_is_away_is_named_without_its_password():
    with (
        DeadLetters({"AMQP_URI": "amqp://guest:secret@127.0.0.1:1"}) as dead,
        pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1") as caught,
    ):
        dead.count("orders")

    assert "secret" not in str(caught.value)


def test_other_transports_have_no_dead_letters():
    with (
        DeadLetters({"AMQP_URI": "redis://localhost"}) as dead,
        pytest.raises(ConfigurationError, match="redis"),
    ):
        dead.count("orders")


def test_program_that_uses_it_loads_no_green_threads():
    code = "import sys, rpcnode.dead; sys.exit('eventlet' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 0
