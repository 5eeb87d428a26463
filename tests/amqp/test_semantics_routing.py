"""Both brokers: exchanges, bindings, returns, and what a message carries."""

from datetime import datetime
from decimal import Decimal

import pytest

from rpcnode.amqp.codec import ENCODING_ERRORS
from tests.amqp.conformance import bodies

KINDS = ("direct", "topic", "fanout", "headers")


def bound(client, exchange, key="", name="q", arguments=None):
    """Declare a queue and bind it; return its name."""
    client.declare(name)
    client.channel.queue_bind(name, exchange, key, arguments=arguments)
    return name


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_exchange_is_there_before_anybody_declares_it(client, kind):
    bound(client, f"amq.{kind}", "key")

    client.publish("key", exchange=f"amq.{kind}")

    assert client.count() == 1


def test_default_exchange_leads_to_the_queue_of_that_name(client):
    client.declare("one")
    client.declare("two")

    client.publish("two", b"for two")

    assert (client.take_all("one"), client.take_all("two")) == ([], [b"for two"])


@pytest.mark.parametrize(
    ("pattern", "taken", "refused"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "a.c", ""]),
        ("a.*", ["a.b", "a."], ["a", "a.b.c", "b.a"]),
        ("*", ["a"], ["a.b", ""]),
        ("*.*", ["a.b", "."], ["a", "a.b.c"]),
        ("#", ["", "a", "a.b.c"], []),
        ("a.#", ["a", "a.b", "a.b.c"], ["b", "ab", ""]),
        ("#.c", ["c", "a.c", "a.b.c"], ["a.c.b", ""]),
        ("a.#.d", ["a.d", "a.b.d", "a.b.c.d"], ["a", "d"]),
        ("a.#.*.d", ["a.b.d", "a.b.c.d"], ["a.d"]),
        ("#.b.#", ["b", "a.b", "b.c", "a.b.c"], ["a", ""]),
        ("#.*", ["a", "a.b"], [""]),
        ("*.#", ["a", "a.b"], [""]),
        ("a.b*", ["a.b*"], ["a.bc"]),
        ("", [""], ["a"]),
    ],
)
def test_topic_exchange_matches_word_by_word(client, pattern, taken, refused):
    client.exchange("x", "topic")
    bound(client, "x", pattern)

    keys = [*taken, *refused]

    assert {key: client.is_routed(key, "x") for key in keys} == {
        **dict.fromkeys(taken, True),
        **dict.fromkeys(refused, False),
    }


def test_direct_exchange_wants_the_whole_key(client):
    client.exchange("x", "direct")
    bound(client, "x", "a.*")

    assert [client.is_routed(key, "x") for key in ("a.*", "a.b", "a", "")] == [
        True,
        False,
        False,
        False,
    ]


def test_fanout_exchange_ignores_keys(client):
    client.exchange("x", "fanout")
    bound(client, "x", "one", "one")
    bound(client, "x", "two", "two")

    client.publish("three", exchange="x")

    assert (client.count("one"), client.count("two")) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "headers", "is_match"),
    [
        ({"x-match": "all", "a": 1, "b": "2"}, {"a": 1, "b": "2", "c": 3}, True),
        ({"x-match": "all", "a": 1, "b": "2"}, {"a": 1}, False),
        ({"a": 1, "b": "2"}, {"a": 1}, False),
        ({"x-match": "any", "a": 1, "b": "2"}, {"b": "2"}, True),
        ({"x-match": "any", "a": 1, "b": "2"}, {"b": "3", "c": 1}, False),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"x-match": "all"}, {"a": 1}, True),
        ({"a": None}, {"a": "anything"}, True),
        ({"a": None}, {"b": 1}, False),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"x-other": 1}, {}, True),
        ({"x-match": "all-with-x", "x-other": 1}, {}, False),
        ({"x-match": "any-with-x", "x-other": 1, "a": 1}, {"x-other": 1}, True),
        ({"a": 1}, None, False),
    ],
)
def test_headers_exchange_compares_headers(client, arguments, headers, is_match):
    bound(client, "amq.headers", arguments=arguments)

    client.publish("", exchange="amq.headers", headers=headers)

    assert client.count() == is_match


def test_headers_exchange_tells_messages_of_one_key_apart(client):
    bound(client, "amq.headers", arguments={"a": 1})

    for value in (1, 2, 1):
        client.publish("key", exchange="amq.headers", headers={"a": value})

    assert client.count() == 2


def test_exchanges_can_be_bound_to_exchanges_in_a_circle(client):
    client.exchange("first", "topic")
    client.exchange("second", "direct")
    client.channel.exchange_bind("second", "first", "a.#")
    client.channel.exchange_bind("first", "second", "a.b")
    bound(client, "second", "a.b")

    assert [client.is_routed(key, "first") for key in ("a.b", "a.c", "b")] == [True, False, False]
    assert client.count() == 1


def test_binding_between_exchanges_can_be_removed(client):
    client.exchange("first", "fanout")
    client.exchange("second", "fanout")
    client.channel.exchange_bind("second", "first", "key")
    bound(client, "second")
    before = client.is_routed("", "first")

    client.channel.exchange_unbind("second", "first", "key")

    assert (before, client.is_routed("", "first")) == (True, False)


def test_message_reaches_a_queue_once_however_many_bindings_match(client):
    client.declare()
    for key in ("#", "a.*", "a.b"):
        client.channel.queue_bind("q", "amq.topic", key)
        client.channel.queue_bind("q", "amq.topic", key)

    client.publish("a.b", exchange="amq.topic")

    assert client.count() == 1


def test_unbinding_takes_away_one_binding(client):
    client.declare()
    client.channel.queue_bind("q", "amq.direct", "kept")
    client.channel.queue_bind("q", "amq.direct", "removed")
    before = client.is_routed("removed", "amq.direct")

    client.channel.queue_unbind("q", "amq.direct", "removed")
    client.channel.queue_unbind("q", "amq.direct", "never bound")

    after = [client.is_routed(key, "amq.direct") for key in ("kept", "removed")]
    assert (before, after) == (True, [True, False])


def test_bindings_with_other_arguments_are_others(client):
    client.declare()
    for value in (1, 2):
        client.channel.queue_bind("q", "amq.headers", "", arguments={"a": value})

    client.channel.queue_unbind("q", "amq.headers", "", arguments={"a": 1})
    for value in (1, 2):
        client.publish("", b"%d" % value, exchange="amq.headers", headers={"a": value})

    assert client.take_all() == [b"2"]


def test_bindings_go_with_their_queue(client):
    bound(client, "amq.direct", "key")

    client.channel.queue_delete("q")
    client.declare()

    assert not client.is_routed("key", "amq.direct")


def test_bindings_go_with_their_exchange(client):
    client.exchange("x", "fanout")
    bound(client, "x")

    client.channel.exchange_delete("x")
    client.exchange("x", "fanout")

    assert not client.is_routed("", "x")


def test_auto_delete_exchange_goes_with_its_last_binding(client):
    client.exchange("x", "fanout", auto_delete=True)
    bound(client, "x", name="one")
    bound(client, "x", name="two")

    client.channel.queue_delete("one")
    client.channel.exchange_declare("x", "fanout", passive=True)
    client.channel.queue_unbind("two", "x", "")

    gone = client.error_of(lambda channel: channel.exchange_declare("x", "fanout", passive=True))
    assert gone.reply_code == 404


def test_alternate_exchange_takes_what_has_no_queue(client):
    client.exchange("rest", "fanout")
    client.exchange("x", "direct", arguments={"alternate-exchange": "rest"})
    bound(client, "x", "key", "q")
    bound(client, "rest", "", "others")

    client.publish("key", b"known", exchange="x")
    client.publish("other", b"unknown", exchange="x", mandatory=True)
    client.flush()

    assert (client.take_all("q"), client.take_all("others")) == ([b"known"], [b"unknown"])
    assert client.returned == []


def test_unroutable_message_is_returned_when_it_is_mandatory(client):
    client.publish("nobody", b"dropped")
    client.publish("nobody", b"returned", mandatory=True)
    client.publish("no key", b"returned too", exchange="amq.topic", mandatory=True)
    client.flush()

    assert client.returned == [
        (312, "", "nobody", b"returned"),
        (312, "amq.topic", "no key", b"returned too"),
    ]


def test_mandatory_message_that_has_a_queue_is_not_returned(client):
    client.declare()

    client.publish(mandatory=True)
    client.flush()

    assert (client.returned, client.count()) == ([], 1)


def test_cc_and_bcc_are_further_routing_keys(client):
    for name in ("to", "copy", "blind", "nobody's"):
        client.declare(name)

    client.publish("to", headers={"CC": ["copy", "to", "missing"], "BCC": ["blind"], "mine": 1})

    received = [client.take(name) for name in ("to", "copy", "blind")]
    assert [one.headers for one in received] == [{"CC": ["copy", "to", "missing"], "mine": 1}] * 3
    assert [one.delivery_info["routing_key"] for one in received] == ["to"] * 3
    assert [client.count(name) for name in ("to", "nobody's")] == [0, 0]


def test_cc_works_on_topic_exchanges_and_saves_a_mandatory_message(client):
    bound(client, "amq.topic", "a.*")

    client.publish("none", exchange="amq.topic", headers={"CC": ["a.b"]}, mandatory=True)
    client.flush()

    assert (client.count(), client.returned) == (1, [])


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("text \N{SNOWMAN}", None),
        ("", None),
        ("long" * 10_000, None),
        (b"\x00\xff", None),
        (b"text", "text"),
        (True, None),
        (0, None),
        (-1, None),
        (2**31 - 1, None),
        (2**31, None),
        (2**63 - 1, None),
        (-(2**63), None),
        (1.5, None),
        (None, None),
        (Decimal("1.25"), None),
        (datetime(2024, 5, 6, 7, 8, 9), None),
        (datetime(2024, 5, 6, 7, 8, 9, 123456), datetime(2024, 5, 6, 7, 8, 9)),
        ([1, "two", [3.0, None], {"four": 4}], None),
        (["text", "\N{SNOWMAN}"], None),
        ([], None),
        ((1, 2), [1, 2]),
        ({"nested": {"list": [{"n": 1}], "empty": {}}}, None),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_header_values_come_as_they_were_sent(client, sent, received):
    client.declare()

    client.publish(headers={"value": sent})

    expected = sent if received is None else received
    found = client.take().headers["value"]
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("headers", "properties"),
    [
        ({"value": object()}, {}),
        ({"value": {1, 2}}, {}),
        ({"value": 2**63}, {}),
        ({"value": Decimal("1e400")}, {}),
        ({"value": {"deep": [object()]}}, {}),
        ({"k" * 256: 1}, {}),
        ({5: 1}, {}),
        ({}, {"priority": 256}),
        ({}, {"delivery_mode": "2"}),
        ({}, {"correlation_id": "c" * 256}),
        ({}, {"message_id": 5}),
        ({}, {"timestamp": "now"}),
    ],
)
def test_what_amqp_cannot_carry_is_refused_before_it_is_sent(client, headers, properties):
    client.declare()

    with pytest.raises(ENCODING_ERRORS):
        client.publish(headers=headers, **properties)

    client.publish()
    assert client.count() == 1


def test_properties_come_as_they_were_sent(client):
    client.declare()
    properties = {
        "content_type": "application/x",
        "content_encoding": "binary",
        "delivery_mode": 2,
        "priority": 3,
        "correlation_id": "c",
        "reply_to": "r",
        "expiration": "60000",
        "message_id": "m",
        "timestamp": 1_700_000_000,
        "type": "t",
        "user_id": "guest",
        "app_id": "a",
    }

    client.publish(**properties)

    assert client.take().properties == properties


def test_nobody_shares_headers(client):
    headers = {"list": [{"n": 1}], "texts": ["1"]}
    for name in ("one", "two"):
        bound(client, "amq.fanout", name=name)

    client.publish("", exchange="amq.fanout", headers=headers)
    headers["list"][0]["n"] = headers["texts"][0] = "the publisher's"
    first = client.take("one")
    first.headers["list"][0]["n"] = first.headers["texts"][0] = "the first consumer's"

    assert client.take("two").headers == {"list": [{"n": 1}], "texts": ["1"]}


@pytest.mark.parametrize("size", [1, 300_000])
def test_body_of_any_size_comes_whole(client, size):
    client.declare()
    received = client.consume()

    client.publish(body=b"x" * size)
    client.until(lambda: received)

    assert bodies(received) == [b"x" * size]


def test_message_without_a_body_is_one(client):
    client.declare()
    received = client.consume()

    client.publish(body=b"", headers={"mine": 1})
    client.until(lambda: received)

    assert (len(received[0].body), received[0].headers) == (0, {"mine": 1})
