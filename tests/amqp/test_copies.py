"""Copies of failed messages for hold queues, and what they tell when they come back."""

import pytest

from rpcnode.amqp.copies import History, as_published, history_of, not_after, origin_of
from rpcnode.amqp.crashes import redeliveries_of
from rpcnode.amqp.message import Delivery
from rpcnode.amqp.retry import BUCKETS, Hold, bucket_of, check_room, hold_copy, without_texts
from rpcnode.exceptions import UnserializableHeader

NOW = 1_700_000_000_000  # Unix milliseconds


class Message:
    """What a channel gives."""

    def __init__(self, exchange, routing_key, properties, headers, redelivered=False):
        self.body = b"body"
        self.properties = {**properties, "application_headers": headers}
        self.delivery_info = {
            "delivery_tag": 7,
            "redelivered": redelivered,
            "exchange": exchange,
            "routing_key": routing_key,
        }
        self.channel = None


def delivery(exchange="shop.events", routing_key="placed", headers=None, redelivered=False, **more):
    message = Message(exchange, routing_key, more, dict(headers or {}), redelivered)
    return Delivery(message, "q", lambda *_args: None)


def held(original, attempts=1, milliseconds=1000, now=NOW, error=OSError("disk")):  # noqa: B008
    return hold_copy(original, "hold", Hold(error, "mailer.send", attempts, milliseconds), now)


def come_back(copy):
    """Return the delivery of a copy that has expired in its hold queue."""
    death = [{"reason": "expired", "queue": "hold"}]
    headers = {**copy.headers, "x-death": death, "x-first-death-queue": "hold"}
    properties = {name: value for name, value in copy.properties.items() if name != "expiration"}
    return delivery("", "q", headers, **properties)


def test_copy_is_the_message_and_tells_of_the_attempt():
    copy = held(delivery(headers={"mine": "x" * 5000}, message_id="m", priority=3, delivery_mode=1))

    assert (copy.exchange, copy.routing_key, copy.body, copy.mandatory) == (
        "",
        "hold",
        b"body",
        True,
    )
    assert copy.properties == {
        "message_id": "m",
        "priority": 3,
        "delivery_mode": 2,
        "expiration": "1000",
    }
    assert copy.headers == {
        "mine": "x" * 5000,
        "rpcnode-attempts": 1,
        "rpcnode-exc-type": "OSError",
        "rpcnode-exc-message": "disk",
        "rpcnode-first-failed": NOW,
        "rpcnode-last-failed": NOW,
        "rpcnode-handler": "mailer.send",
        "rpcnode-origin-exchange": "shop.events",
        "rpcnode-origin-key": "placed",
        "rpcnode-delayed-ms": 1000,
    }


def test_next_copy_adds_to_what_the_first_one_told():
    back = come_back(held(delivery()))
    copy = held(back, attempts=2, milliseconds=500, now=NOW + 1500, error=ValueError("worse"))

    assert history_of(back) == History(1, NOW, 1000, None, "OSError: disk")
    assert copy.headers["rpcnode-attempts"] == 2
    assert copy.headers["rpcnode-first-failed"] == NOW
    assert copy.headers["rpcnode-last-failed"] == NOW + 1500
    assert copy.headers["rpcnode-delayed-ms"] == 1500
    assert copy.headers["rpcnode-exc-message"] == "worse"
    assert copy.headers["rpcnode-origin-key"] == "placed"
    assert not [name for name in copy.headers if name.startswith("x-")]


def test_message_that_came_back_is_shown_as_it_was_sent():
    back = come_back(held(delivery()))

    shown = as_published(back)

    assert (back.exchange, back.routing_key) == ("", "q")
    assert (shown.exchange, shown.routing_key, shown.queue) == ("shop.events", "placed", "q")
    assert (shown.body, shown.id, shown.headers) == (back.body, back.id, back.headers)
    fresh = delivery("", "q")
    assert as_published(fresh) is fresh


def test_notes_of_others_neither_count_nor_travel():
    forged = held(delivery()).headers | {"rpcnode-not-after": 5, "kept": 1}
    message = delivery(headers=forged)

    assert history_of(message) == History()
    assert origin_of(message) == ("shop.events", "placed")
    assert not_after(message, NOW) is None
    copy = held(message)
    assert copy.headers["rpcnode-attempts"] == 1
    assert copy.headers["kept"] == 1
    assert "rpcnode-not-after" not in copy.headers


NO_NUMBERS = ["x", -1, 2.5, [1], {"a": 1}, None, True, b"1"]
TOO_LARGE = ["9" * 50, "9" * 19, 2**70, 2**63 - 1]  # what is added to it would fit into no header


@pytest.mark.parametrize("wrong", NO_NUMBERS + TOO_LARGE)
def test_notes_that_make_no_sense_are_as_good_as_none(wrong):
    names = ("attempts", "first-failed", "delayed-ms", "not-after", "exc-type", "origin-key")
    message = delivery("", "q", {f"rpcnode-{name}": wrong for name in names})

    history = history_of(message)

    assert (history.attempts, history.first_failed, history.delayed_ms) == (0, None, 0)
    assert history.last_error is None
    assert held(message).headers["rpcnode-first-failed"] == NOW


def test_origin_that_no_broker_has_names_for_is_not_believed():
    headers = {"rpcnode-origin-exchange": "shop.events", "rpcnode-origin-key": "k" * 256}

    assert origin_of(delivery("", "q", headers)) == ("", "q")


def test_message_that_may_have_been_run_before_stays_marked():
    copy = held(delivery(redelivered=True))

    back = come_back(copy)

    assert back.redelivered
    assert redeliveries_of(back) == 1
    assert redeliveries_of(come_back(held(back, 2))) == 1


@pytest.mark.parametrize(
    ("timestamp", "ends"),
    [
        (None, NOW + 60_000),  # nobody knows how old it is
        (NOW // 1000 - 20, NOW + 41_000),  # it has whole seconds
        (NOW // 1000 - 3600, NOW + 60_000),  # its clock must be wrong: it would have expired
        (NOW // 1000 + 3600, NOW + 60_000),
        ("yesterday", NOW + 60_000),
    ],
)
def test_message_expires_when_its_sender_said(timestamp, ends):
    properties = {} if timestamp is None else {"timestamp": timestamp}
    message = delivery(expiration="60000", **properties)

    assert not_after(message, NOW) == ends
    copy = held(message)
    assert copy.headers["rpcnode-not-after"] == ends
    assert copy.headers["rpcnode-origin-expiration"] == "60000"
    assert copy.properties["expiration"] == "1000"
    assert not_after(come_back(copy), NOW + 5000) == ends


@pytest.mark.parametrize(
    ("milliseconds", "bucket"),
    [
        (1, 500),
        (500, 500),
        (501, 750),
        (1000, 1125),
        (10**12, BUCKETS[-1]),
    ],
)
def test_bucket_is_the_next_longer_one(milliseconds, bucket):
    assert bucket_of(milliseconds) == bucket


def test_few_buckets_cover_a_day_and_all_cover_a_month():
    assert len([each for each in BUCKETS if each < 86_400_000]) == 30
    assert BUCKETS[-1] >= 30 * 86_400_000
    assert BUCKETS[-1] < 2**32


def test_copy_leaves_room_for_what_the_broker_adds():
    copy = held(delivery(headers={"large": "x" * 128_000}))

    check_room(copy, 131_072)
    copy.headers["more"] = "x" * 1000
    with pytest.raises(UnserializableHeader, match="headers take"):
        check_room(copy, 131_072)


def test_copy_without_texts_still_tells_the_attempt():
    copy = without_texts(held(delivery(headers={"mine": 1})))

    assert copy.headers["rpcnode-attempts"] == 1
    assert copy.headers["mine"] == 1
    assert not [name for name in copy.headers if "-exc-" in name]


@pytest.mark.parametrize("largest", [2**63 - 1, "9" * 19])
def test_numbers_without_room_for_more_are_as_good_as_none(largest):
    names = ("attempts", "first-failed", "delayed-ms", "not-after")
    message = delivery("", "q", {f"rpcnode-{name}": largest for name in names})

    assert history_of(message) == History()


def test_origin_that_is_too_long_for_a_name_does_not_count():
    headers = {"rpcnode-origin-exchange": "x", "rpcnode-origin-key": "k" * 256}

    assert origin_of(delivery("", "q", headers)) == ("", "q")
