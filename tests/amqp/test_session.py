"""Sessions of tools: what they read and publish, and what happens when that goes wrong."""

from contextlib import closing

import pytest

from rpcnode.amqp import sending
from rpcnode.amqp import session as session_module
from rpcnode.amqp.entities import dead_queue
from rpcnode.amqp.properties import encode_properties
from rpcnode.amqp.reading import WINDOW
from rpcnode.amqp.sending import Encoded
from rpcnode.amqp.session import Session
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.dead import DeadLetters
from rpcnode.exceptions import (
    BrokerRefused,
    ConnectionLost,
    PublishRejected,
    QueueNotFound,
    UndeliverableMessage,
)

ID = encode_properties({"message_id": "same"}, {})


@pytest.fixture
def session(vhost_uri):
    with closing(Session(BrokerSettings(vhost_uri), timeout=10)) as session:
        session.declare(dead_queue("a.dead", 1000))
        yield session


def to(queue, body=b""):
    return Encoded("", queue, ID, body)


def test_outcome_of_each_message_is_told_whatever_ids_they_have(session):
    session.declare(dead_queue("full.dead", 1))

    outcomes = session.publish([to("gone"), to("a.dead"), to("full.dead"), to("full.dead")])
    more = session.publish([to("a.dead"), to("gone"), to("a.dead", b"x")])

    kinds = [None if each is None else type(each) for each in outcomes]
    assert kinds == [UndeliverableMessage, None, None, PublishRejected]
    assert [each is None for each in more] == [True, False, True]
    assert str(more[1]) == "there is no queue 'gone'"


def test_message_that_comes_back_changed_is_not_taken_for_another(session, monkeypatch):
    numbers = iter(range(100))
    monkeypatch.setattr(sending, "_identity", lambda *_message: str(next(numbers)))

    first, second, third = session.publish([to("gone"), to("a.dead"), to("gone")])

    assert isinstance(first, UndeliverableMessage)
    assert isinstance(third, UndeliverableMessage)
    assert second is None or isinstance(second, UndeliverableMessage)


def test_session_goes_on_after_a_refusal(session):
    with pytest.raises(QueueNotFound, match="'gone'"):
        session.count("gone")
    with pytest.raises(BrokerRefused, match="inequivalent"):
        session.declare(dead_queue("a.dead", 7))
    with pytest.raises(QueueNotFound), session.read("gone", 1) as reader:
        next(iter(reader))
    with pytest.raises(QueueNotFound):
        session.publish([Encoded("gone", "", ID, b"")])

    assert session.publish([to("a.dead")]) == [None]
    assert session.count("a.dead") == 1


def test_more_than_was_asked_ahead_is_read_to_its_end(session):
    count = 3 * WINDOW + 1
    session.publish([to("a.dead", str(number).encode()) for number in range(count)])

    with session.read("a.dead", count + WINDOW) as reader:
        bodies = [int(message.body) for message in reader]
    with session.read("a.dead", WINDOW + 1) as reader:
        few = list(reader)

    assert bodies == list(range(count))
    assert len(few) == WINDOW + 1
    assert session.count("a.dead") == count


def test_large_and_empty_bodies_are_read_whole(session):
    bodies = [b"x" * 2_000_000, b"", b"y" * 131_072]
    session.publish([to("a.dead", body) for body in bodies])

    with session.read("a.dead", 3) as reader:
        assert [message.body for message in reader] == bodies


def test_properties_that_cannot_be_read_are_no_reason_to_stop(session):
    broken = b"\x80\x00\x03\xff\xfe\xfd"  # a content type that is no UTF-8
    session.publish([Encoded("", "a.dead", broken, b"1"), to("a.dead", b"2")])

    with session.read("a.dead", 2) as reader:
        first, second = reader

    assert (first.properties, first.encoded, first.body) == ({}, broken, b"1")
    assert isinstance(first.problem, UnicodeDecodeError)
    assert (second.problem, second.body) == (None, b"2")


def test_error_of_a_program_is_its_own(session):
    session.publish([to("a.dead")])

    def fail():
        with session.read("a.dead", 1) as reader:
            next(iter(reader))
            raise OSError("disk is full")

    with pytest.raises(OSError, match="disk is full"):
        fail()

    assert session.count("a.dead") == 1


def test_lost_connection_is_told_and_loses_nothing(proxy):
    broken = Session(BrokerSettings(proxy.uri), timeout=10)
    broken.declare(dead_queue("a.dead", 1000))
    broken.publish([to("a.dead")] * 50)

    def read():
        with broken.read("a.dead", 50) as reader:
            for _message in reader:
                proxy.cut()

    with pytest.raises(ConnectionLost, match=r"queue 'a\.dead'"):
        read()
    broken.close()

    with closing(Session(BrokerSettings(proxy.uri), timeout=10)) as session:
        assert session.count("a.dead") == 50


def test_broker_that_does_not_answer_is_waited_for_no_longer_than_said(proxy):
    silent = Session(BrokerSettings(proxy.uri), timeout=0.3)
    proxy.stall()

    with pytest.raises(ConnectionLost, match=r"did not answer within 0\.3 s"):
        silent.count("a.dead")

    proxy.resume()
    silent.close()


def test_connection_that_was_idle_is_replaced_unless_somebody_reads(vhost_uri, monkeypatch):
    monkeypatch.setattr(session_module, "IDLE", 0)
    with DeadLetters({"AMQP_URI": vhost_uri}) as dead:
        dead._session.declare(dead_queue("a.dead", 1000))
        dead._session.publish([to("a.dead")] * 50)
        first = dead._session

        seen = [dead.count("a") for _letter in dead.read("a", limit=2)]
        dead.count("a")

        assert dead._session is not first
    assert seen == [50 - WINDOW, 50 - WINDOW - 1]


def test_quorum_queue_is_read_without_a_loss(session):
    session.declare(dead_queue("q.dead", 1000, "quorum"))
    session.publish([to("q.dead", str(number).encode()) for number in range(30)])

    for _ in range(25):  # more often than a delivery limit would let it
        with session.read("q.dead", 30) as reader:
            bodies = sorted(int(message.body) for message in reader)
            assert bodies == list(range(30))
