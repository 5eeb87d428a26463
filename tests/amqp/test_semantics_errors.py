"""Both brokers: what they refuse, in which words, and what the refusal ends."""

import pytest
from amqp.exceptions import (
    AccessRefused,
    AMQPNotImplementedError,
    InvalidCommand,
    NotAllowed,
    NotFound,
    PreconditionFailed,
    ResourceLocked,
)

NO_QUEUE = "NOT_FOUND - no queue 'missing' in vhost '/'"
DEFAULT_EXCHANGE = "ACCESS_REFUSED - operation not permitted on the default exchange"
NO_EXCHANGE = "NOT_FOUND - no exchange 'missing' in vhost '/'"


def arguments(**given):
    return {f"x-{key.replace('_', '-')}": value for key, value in given.items()}


def declare(channel, name="q", *, durable=False, exclusive=False, auto_delete=False, **given):
    channel.queue_declare(
        name,
        durable=durable,
        exclusive=exclusive,
        auto_delete=auto_delete,
        arguments=arguments(**given),
    )


def publish(channel, key="q", exchange="", **properties):
    channel.basic_publish(channel.prepare_message(b"", properties=properties), exchange, key)


@pytest.mark.parametrize(
    ("use", "text"),
    [
        (lambda channel: channel.queue_declare("missing", passive=True), NO_QUEUE),
        (lambda channel: channel.queue_purge("missing"), NO_QUEUE),
        (lambda channel: channel.queue_bind("missing", "amq.topic", "#"), NO_QUEUE),
        (lambda channel: channel.basic_consume("missing"), NO_QUEUE),
        (lambda channel: channel.basic_get("missing"), NO_QUEUE),
        (
            lambda channel: channel.exchange_declare("missing", "topic", passive=True),
            NO_EXCHANGE,
        ),
        (lambda channel: channel.queue_bind("q", "missing", "#"), NO_EXCHANGE),
        (lambda channel: channel.exchange_bind("missing", "amq.topic", "#"), NO_EXCHANGE),
        (lambda channel: channel.exchange_bind("amq.topic", "missing", "#"), NO_EXCHANGE),
        (lambda channel: publish(channel, exchange="missing"), NO_EXCHANGE),
    ],
)
def test_what_is_missing_is_not_found(client, use, text):
    client.declare()

    error = client.error_of(use)

    assert isinstance(error, NotFound)
    assert client.text(error) == text


def test_removing_what_is_missing_is_no_error(client):
    client.declare()

    client.channel.exchange_delete("missing")
    client.channel.queue_unbind("q", "missing", "key")
    client.channel.queue_unbind("missing", "amq.topic", "key")
    client.channel.queue_unbind("q", "amq.topic", "key")
    client.channel.exchange_unbind("missing", "amq.topic", "key")
    client.channel.exchange_unbind("amq.topic", "missing", "key")
    client.channel.basic_cancel("missing")

    assert client.channel.queue_delete("missing") == 0


@pytest.mark.parametrize(
    ("use", "error_type", "text"),
    [
        (
            lambda channel: channel.exchange_declare("", "direct"),
            AccessRefused,
            DEFAULT_EXCHANGE,
        ),
        (
            lambda channel: channel.exchange_delete(""),
            AccessRefused,
            DEFAULT_EXCHANGE,
        ),
        (
            lambda channel: channel.queue_bind("q", "", "key"),
            AccessRefused,
            DEFAULT_EXCHANGE,
        ),
        (
            lambda channel: channel.queue_unbind("q", "", "q"),
            AccessRefused,
            DEFAULT_EXCHANGE,
        ),
        (
            lambda channel: channel.exchange_bind("amq.topic", "", "key"),
            AccessRefused,
            DEFAULT_EXCHANGE,
        ),
        (
            lambda channel: channel.exchange_bind("", "amq.topic", "key"),
            AccessRefused,
            DEFAULT_EXCHANGE,
        ),
        (
            lambda channel: channel.exchange_declare("amq.mine", "direct"),
            AccessRefused,
            "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'",
        ),
        (
            lambda channel: channel.exchange_delete("amq.topic"),
            AccessRefused,
            "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
        ),
        (
            lambda channel: channel.queue_declare("amq.mine"),
            AccessRefused,
            "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
        ),
        (
            lambda channel: channel.queue_bind(
                "q", "amq.headers", "", arguments={"x-match": "some"}
            ),
            PreconditionFailed,
            'PRECONDITION_FAILED - Invalid x-match field value <<"some">>; '
            "expected all, any, all-with-x, or any-with-x",
        ),
    ],
)
def test_what_belongs_to_the_broker_or_makes_no_sense_is_refused(client, use, error_type, text):
    client.declare()

    error = client.error_of(use)

    assert isinstance(error, error_type)
    assert client.text(error) == text


def test_match_of_headers_that_is_no_text_is_refused(client):
    client.declare()

    error = client.error_of(
        lambda channel: channel.queue_bind("q", "amq.headers", "", arguments={"x-match": 5})
    )

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == (
        "PRECONDITION_FAILED - Invalid x-match field type signedint (value 5); expected longstr"
    )


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_cc_that_is_no_list_is_refused(client, header):
    def send(channel):
        channel.basic_publish(channel.prepare_message(b"", headers={header: "key"}), "", "q")

    error = client.error_of(send)

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == (
        f'PRECONDITION_FAILED - invalid message: {{unacceptable_type_in_header,"{header}",longstr}}'
    )


@pytest.mark.parametrize(
    ("first", "second", "key", "received", "current"),
    [
        ({"message_ttl": 6}, {"message_ttl": 5}, "x-message-ttl", "'5'", "'6'"),
        ({"message_ttl": 6}, {"message_ttl": 6.0}, "x-message-ttl", "'6.0'", "'6'"),
        ({"message_ttl": 6}, {}, "x-message-ttl", "none", "the value '6' of type 'signedint'"),
        ({}, {"expires": 9}, "x-expires", "the value '9' of type 'signedint'", "none"),
        (
            {},
            {"dead_letter_exchange": "x"},
            "x-dead-letter-exchange",
            "the value 'x' of type 'longstr'",
            "none",
        ),
        (
            {"overflow": "drop-head"},
            {"overflow": "reject-publish"},
            "x-overflow",
            "'reject-publish'",
            "'drop-head'",
        ),
        ({"max_length": 2**40}, {"max_length": 1}, "x-max-length", "'1'", "'1099511627776'"),
        (
            {"max_length": 2**40},
            {},
            "x-max-length",
            "none",
            "the value '1099511627776' of type 'long'",
        ),
        ({"max_priority": 5}, {"max_priority": 6}, "x-max-priority", "'6'", "'5'"),
        ({"durable": True}, {}, "durable", "'false'", "'true'"),
        ({"auto_delete": True}, {}, "auto_delete", "'false'", "'true'"),
        (
            {"message_ttl": 6},
            {"message_ttl": 5, "durable": True},
            "durable",
            "'true'",
            "'false'",
        ),
    ],
)
def test_queue_that_exists_with_other_arguments_is_refused(
    client, first, second, key, received, current
):
    declare(client.channel, **first)

    error = client.error_of(declare, **second)

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == (
        f"PRECONDITION_FAILED - inequivalent arg '{key}' for queue 'q' in vhost '/': "
        f"received {received} but current is {current}"
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"unknown": 1}, {"unknown": 2}),
        ({"unknown": 1}, {}),
        ({"message_ttl": 6}, {"message_ttl": 6}),
        ({"queue_type": "classic"}, {}),
        ({}, {"queue_type": "classic"}),
        ({"max_priority": 0}, {"max_priority": 0}),
        ({"expires": 315_360_000_000}, {"expires": 315_360_000_000}),
    ],
)
def test_queue_can_be_declared_again_as_it_is(client, first, second):
    declare(client.channel, **first)
    client.publish()

    declare(client.channel, **second)

    assert client.count() == 1


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"message_ttl": "5"}, '"expected integer, got longstr"'),
        ({"message_ttl": True}, '"expected integer, got bool"'),
        ({"message_ttl": 5.0}, '"expected integer, got double"'),
        ({"message_ttl": -5}, "{value_negative,-5}"),
        ({"message_ttl": 315_360_000_001}, "{value_too_large,315360000001}"),
        ({"expires": "5"}, '"expected integer, got longstr"'),
        ({"expires": 0}, "{value_zero,0}"),
        ({"expires": 315_360_000_001}, "{value_too_large,315360000001}"),
        ({"max_length": "5"}, '"expected integer, got longstr"'),
        ({"max_length": -1}, "{value_negative,-1}"),
        ({"max_priority": "5"}, '"expected integer, got longstr"'),
        ({"max_priority": 256}, "{max_value_exceeded,256}"),
        ({"max_priority": -1}, "{value_negative,-1}"),
        ({"dead_letter_routing_key": "key"}, "routing_key_but_no_dlx_defined"),
        (
            {"dead_letter_exchange": "x", "dead_letter_routing_key": 5},
            "{unacceptable_type,signedint}",
        ),
        ({"overflow": "explode"}, "invalid_overflow"),
        ({"overflow": 5}, "{unacceptable_type,signedint}"),
        ({"queue_type": "unheard"}, "\"unsupported queue type 'unheard'\""),
        ({"queue_type": 5}, "{unacceptable_type,signedint}"),
    ],
)
def test_queue_with_arguments_that_make_no_sense_is_refused(client, given, problem):
    key = "x-" + list(given)[-1].replace("_", "-")

    error = client.error_of(declare, **given)

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == (
        f"PRECONDITION_FAILED - invalid arg '{key}' for queue 'q' in vhost '/': {problem}"
    )


def test_alternate_exchange_that_is_no_name_is_refused(client):
    error = client.error_of(
        lambda channel: channel.exchange_declare("x", "fanout", arguments={"alternate-exchange": 5})
    )

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == (
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' "
        "in exchange 'x' in vhost '/'"
    )


def test_dead_letter_exchange_that_is_no_name_is_refused(client):
    error = client.error_of(declare, dead_letter_exchange=5)

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == (
        "PRECONDITION_FAILED - invalid type 'signedint' for arg 'x-dead-letter-exchange' "
        "in queue 'q' in vhost '/'"
    )


@pytest.mark.parametrize(
    ("key", "value", "received", "current"),
    [
        ("type", "direct", "'direct'", "'topic'"),
        ("durable", True, "'true'", "'false'"),
        ("auto_delete", True, "'true'", "'false'"),
        (
            "arguments",
            {"alternate-exchange": "x"},
            "the value 'x' of type 'longstr'",
            "none",
        ),
    ],
)
def test_exchange_that_exists_with_other_options_is_refused(client, key, value, received, current):
    original = {"type": "topic", "durable": False, "auto_delete": False}
    client.channel.exchange_declare("x", **original)

    error = client.error_of(
        lambda channel: channel.exchange_declare("x", **original | {key: value})
    )

    assert isinstance(error, PreconditionFailed)
    named = "alternate-exchange" if key == "arguments" else key
    assert client.text(error) == (
        f"PRECONDITION_FAILED - inequivalent arg '{named}' for exchange 'x' in vhost '/': "
        f"received {received} but current is {current}"
    )


@pytest.mark.parametrize(
    ("expiration", "problem"),
    [
        ("", "no_integer"),
        ("soon", "no_integer"),
        (" 5", "no_integer"),
        ("5 s", '{leftover_string," s"}'),
        ("1_0", '{leftover_string,"_0"}'),
        ("1.5", '{leftover_string,".5"}'),
        ("-1", "{value_negative,-1}"),
        ("315360000001", "{value_too_large,315360000001}"),
    ],
)
def test_expiration_that_is_no_time_is_refused(client, expiration, problem):
    client.declare()

    error = client.error_of(publish, expiration=expiration)

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == (
        f"PRECONDITION_FAILED - invalid expiration '{expiration}': {problem}"
    )


@pytest.mark.parametrize("method", ["basic_ack", "basic_reject"])
def test_unknown_delivery_tag_is_refused(client, method):
    client.declare()
    client.publish()

    def settle_twice(channel):
        tag = channel.basic_get("q").delivery_tag
        channel.basic_ack(tag)
        getattr(channel, method)(tag, False)

    error = client.error_of(settle_twice)

    assert isinstance(error, PreconditionFailed)
    assert client.text(error) == "PRECONDITION_FAILED - unknown delivery tag 1"


def test_unknown_delivery_tag_is_refused_for_several_too(client):
    client.declare()
    client.publish()

    def settle(channel):
        channel.basic_get("q")
        channel.basic_ack(2, multiple=True)

    assert client.text(client.error_of(settle)) == "PRECONDITION_FAILED - unknown delivery tag 2"


def test_delivery_tag_belongs_to_its_channel(client):
    client.declare()
    client.publish()
    tag = client.take(no_ack=False).delivery_tag

    error = client.error_of(lambda channel: channel.basic_ack(tag))

    assert isinstance(error, PreconditionFailed)


def test_error_closes_its_channel_and_gives_back_what_that_had(client):
    client.declare()
    client.publish()
    received = client.consume()
    client.until(lambda: received)
    client.declare("other")
    channel = client.connection.channel()
    others = client.consume("other", channel=channel)

    with pytest.raises(PreconditionFailed):
        client.provoke(lambda failing: failing.basic_ack(received[0].delivery_tag + 1))
    message = channel.prepare_message(b"still there")
    channel.basic_publish(message, "", "other")
    client.until(lambda: others)

    assert channel.basic_get("q").delivery_info["redelivered"]
    assert others[0].body == b"still there"


@pytest.mark.parametrize(
    ("use", "error_type", "text"),
    [
        (
            lambda channel: channel.exchange_declare("x", "unheard"),
            InvalidCommand,
            "COMMAND_INVALID - unknown exchange type 'unheard'",
        ),
        (
            lambda channel: channel.basic_qos(1, 0, False),
            AMQPNotImplementedError,  # AMQP's 540: what both brokers answer to this
            "NOT_IMPLEMENTED - prefetch_size!=0 (1)",
        ),
        (
            lambda channel: channel.basic_consume("q", consumer_tag="tag"),
            NotAllowed,
            "NOT_ALLOWED - attempt to reuse consumer tag 'tag'",
        ),
        (
            lambda channel: channel.basic_publish(
                channel.prepare_message(b""), "", "q", immediate=True
            ),
            AMQPNotImplementedError,  # AMQP's 540: what both brokers answer to this
            "NOT_IMPLEMENTED - immediate=true",
        ),
    ],
)
def test_some_errors_end_the_connection(client, new_client, use, error_type, text):
    client.declare()
    client.consume(consumer_tag="tag")
    other = new_client()

    with pytest.raises(error_type) as error:
        client.provoke(use)

    assert client.text(error.value) == text
    assert not client.connection.connected
    assert other.count() == 0


@pytest.mark.parametrize(
    "use",
    [
        lambda channel: channel.queue_declare("mine", passive=True),
        lambda channel: channel.queue_declare("mine", exclusive=True, auto_delete=False),
        lambda channel: channel.queue_delete("mine"),
        lambda channel: channel.queue_purge("mine"),
        lambda channel: channel.queue_bind("mine", "amq.topic", "#"),
        lambda channel: channel.queue_unbind("mine", "amq.topic", "bound"),
        lambda channel: channel.basic_consume("mine"),
        lambda channel: channel.basic_get("mine"),
    ],
)
def test_exclusive_queue_is_locked_to_other_connections(client, new_client, use):
    declare(client.channel, "mine", exclusive=True)
    client.channel.queue_bind("mine", "amq.topic", "bound")

    error = new_client().error_of(use)

    assert isinstance(error, ResourceLocked)
    assert client.text(error) == (
        "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. "
        "It could be originally declared on another connection or the exclusive property value "
        "does not match that of the original declaration."
    )


@pytest.mark.parametrize("is_exclusive", [True, False])
def test_exclusivity_cannot_be_changed(client, is_exclusive):
    declare(client.channel, exclusive=is_exclusive)

    error = client.error_of(declare, exclusive=not is_exclusive)

    assert isinstance(error, ResourceLocked)
