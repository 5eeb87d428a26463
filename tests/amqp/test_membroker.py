"""The embedded broker's state machine, without connections and with a clock of its own."""

import heapq
import itertools
from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rpcnode.amqp.membroker import Broker, Clock
from rpcnode.amqp.memdeath import is_cycle
from rpcnode.amqp.mempeer import Peer, Session
from rpcnode.amqp.memqueue import Message, QueueOptions
from rpcnode.amqp.outcomes import ROUTED


class FakeTimer:
    def __init__(self, function):
        self.function = function

    def cancel(self):
        self.function = None


class FakeTime:
    """A clock that moves when it is told to."""

    def __init__(self):
        self.now = 1000.0
        self._timers = []
        self._numbers = itertools.count()

    def clock(self):
        return Clock(lambda: self.now, lambda: self.now, self.call_later)

    def call_later(self, seconds, function):
        timer = FakeTimer(function)
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), timer))
        return timer

    def advance(self, seconds):
        end = self.now + seconds
        while self._timers and self._timers[0][0] <= end:
            self.now, _number, timer = heapq.heappop(self._timers)
            if timer.function is not None:
                timer.function()
        self.now = end

    def pending(self):
        return sum(timer.function is not None for _at, _number, timer in self._timers)


@pytest.fixture
def time():
    return FakeTime()


@pytest.fixture
def broker(time):
    return Broker(time.clock())


@pytest.fixture
def peer(broker):
    return Peer(broker, lambda: None)


@pytest.fixture
def session(peer):
    return make_session(peer)


def make_session(peer):
    return Session(peer, lambda tag: None)


def declare(broker, name, **arguments):
    options = QueueOptions(arguments={f"x-{k.replace('_', '-')}": v for k, v in arguments.items()})
    return broker.declare_queue(name, options, None, passive=False)


def publish(broker, key, body=b"", exchange="", headers=None, **properties):
    return broker.publish(Message(body, properties, headers, exchange, key))


def read(peer):
    """Hand over all that is in the inbox; return (tag, entry) pairs."""
    taken = []
    while peer.inbox:
        item = peer.inbox.popleft()
        if isinstance(item, tuple):
            consumer, entry = item
            taken.append((consumer.session.hand_over(consumer, entry), entry))
        else:
            item()
    return taken


def bodies(queue):
    return [entry.message.body for entry in queue.ready]


def test_expired_message_is_never_delivered_late(broker, time, session, peer):
    queue = declare(broker, "q")
    publish(broker, "q", b"old", expiration="10")
    time.now += 1  # the timer had no chance yet

    session.consume("q", "c", no_ack=False, exclusive=False)

    assert (read(peer), bodies(queue)) == ([], [])


def test_automatic_cycle_of_dead_letters_is_broken(broker, time):
    a = declare(broker, "a", message_ttl=10, dead_letter_exchange="", dead_letter_routing_key="b")
    b = declare(broker, "b", message_ttl=10, dead_letter_exchange="", dead_letter_routing_key="a")
    publish(broker, "a")

    time.advance(1)

    assert (len(a.ready), len(b.ready), time.pending()) == (0, 0, 0)


@pytest.mark.parametrize(
    ("deaths", "is_broken"),
    [
        ([], False),
        ([("q", "expired")], True),
        ([("q", "rejected")], False),
        ([("other", "expired")], False),
        ([("other", "rejected"), ("q", "expired")], False),
        ([("other", "expired"), ("q", "maxlen")], True),
        ([("q", "expired"), ("other", "rejected")], True),
    ],
)
def test_only_a_cycle_without_a_rejection_is_broken(deaths, is_broken):
    headers = {"x-death": [{"queue": queue, "reason": reason} for queue, reason in deaths]}

    assert is_cycle("q", headers) is is_broken


class Conservation(RuleBasedStateMachine):
    """Every routed message is in exactly one place; a model of counts tells which may be."""

    limit = 5

    def __init__(self):
        super().__init__()
        self.time = FakeTime()
        self.broker = Broker(self.time.clock())
        self.numbers = itertools.count()
        self.published, self.settled = Counter(), Counter()
        self.queue = declare(
            self.broker,
            "q",
            message_ttl=1000,
            max_length=self.limit,
            dead_letter_exchange="",
            dead_letter_routing_key="dead",
        )
        self.dead = declare(self.broker, "dead")
        self.peers = [Peer(self.broker, lambda: None) for _ in range(2)]
        self.sessions = [make_session(peer) for peer in self.peers for _ in range(2)]
        self.tags = itertools.count()

    @rule(count=st.integers(1, 4), expiration=st.sampled_from([None, "0", "300", "5000"]))
    def publish(self, count, expiration):
        for _ in range(count):
            body = b"%d" % next(self.numbers)
            properties = {} if expiration is None else {"expiration": expiration}
            assert publish(self.broker, "q", body, **properties) == ROUTED
            self.published[body] += 1

    @rule(which=st.integers(0, 3), prefetch=st.integers(0, 3), no_ack=st.booleans())
    def consume(self, which, prefetch, no_ack):
        session = self.sessions[which]
        if len(session.consumers) < 2:
            session.prefetch = prefetch
            session.consume("q", f"c{next(self.tags)}", no_ack=no_ack, exclusive=False)

    @rule(which=st.integers(0, 3))
    def cancel(self, which):
        for tag in list(self.sessions[which].consumers)[:1]:
            self.sessions[which].cancel(tag)
            assert all(item[0].tag != tag for item in self.sessions[which].peer.inbox), (
                "a cancelled consumer gets nothing"
            )

    @rule(which=st.integers(0, 1), limit=st.integers(1, 4))
    def read(self, which, limit):
        inbox = self.peers[which].inbox
        for _ in range(min(limit, len(inbox))):
            consumer, entry = inbox.popleft()
            consumer.session.hand_over(consumer, entry)
            if consumer.is_no_ack:
                self.settled[entry.message.body] += 1

    @rule(which=st.integers(0, 3), data=st.data(), multiple=st.booleans())
    def ack(self, which, data, multiple):
        unacked = self.sessions[which].unacked
        if unacked:
            tag = data.draw(st.sampled_from(list(unacked)))
            for one, (_consumer, _queue, entry) in unacked.items():
                if one == tag or (multiple and one < tag):
                    self.settled[entry.message.body] += 1
            self.sessions[which].ack(tag, multiple=multiple)

    @rule(which=st.integers(0, 3), data=st.data(), multiple=st.booleans(), requeue=st.booleans())
    def reject(self, which, data, multiple, requeue):
        unacked = self.sessions[which].unacked
        if unacked:
            tag = data.draw(st.sampled_from(list(unacked)))
            self.sessions[which].reject(tag, multiple=multiple, requeue=requeue)

    @rule(which=st.integers(0, 3))
    def get(self, which):
        self.sessions[which].get("q", no_ack=False)

    @rule(which=st.integers(0, 3))
    def close_channel(self, which):
        session = self.sessions[which]
        session.close()
        self.sessions[which] = make_session(session.peer)

    @rule(which=st.integers(0, 1))
    def close_connection(self, which):
        self.peers[which].close()
        assert not any(isinstance(item, tuple) for item in self.peers[which].inbox)
        self.peers[which] = peer = Peer(self.broker, lambda: None)
        self.sessions[which * 2 : which * 2 + 2] = [make_session(peer), make_session(peer)]

    @precondition(lambda self: self.queue.ready)
    @rule(seconds=st.sampled_from([0.1, 0.5, 2.0]))
    def wait(self, seconds):
        self.time.advance(seconds)

    @invariant()
    def every_message_is_in_one_place(self):
        places = Counter(self.settled)
        for queue in (self.queue, self.dead):
            places.update(bodies(queue))
        for peer in self.peers:
            places.update(item[1].message.body for item in peer.inbox)
        for session in self.sessions:
            places.update(entry.message.body for _c, _q, entry in session.unacked.values())
        assert places == self.published

    @invariant()
    def ready_messages_are_in_order_and_within_the_limit(self):
        numbers = [int(body) for body in bodies(self.queue)]
        assert numbers == sorted(numbers)
        assert len(numbers) <= self.limit

    @invariant()
    def consumers_have_what_their_prefetch_allows(self):
        for session in self.sessions:
            for consumer in session.consumers.values():
                held = sum(one is consumer for one, _q, _e in session.unacked.values())
                waiting = sum(item[0] is consumer for item in session.peer.inbox)
                assert consumer.pending == held + waiting
                if consumer.prefetch and not consumer.is_no_ack:
                    assert consumer.pending <= consumer.prefetch

    @invariant()
    def nothing_waits_while_a_consumer_has_room(self):
        if self.queue.ready:
            assert not any(consumer.has_room() for consumer in self.queue.consumers)


TestConservation = Conservation.TestCase
TestConservation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
