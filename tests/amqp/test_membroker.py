"""The embedded broker's state machine, without connections and with a clock of its own."""

import heapq
import itertools
from collections import Counter

import pytest
from amqp.exceptions import PreconditionFailed
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from rpcnode.amqp.membroker import REJECTED, ROUTED, UNROUTABLE, Broker, Clock
from rpcnode.amqp.memdeath import is_cycle
from rpcnode.amqp.memexchange import ExchangeOptions, is_topic_match
from rpcnode.amqp.mempeer import Peer, Session
from rpcnode.amqp.memqueue import Message, QueueOptions


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


@pytest.mark.parametrize(
    ("pattern", "key", "is_match"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("*", "", True),
        ("#", "", True),
        ("#", "a.b.c", True),
        ("a.#", "a", True),
        ("a.#", "b", False),
        ("#.c", "a.b.c", True),
        ("a.#.d", "a.b.c.d", True),
        ("a.#.*.d", "a.d", False),
        ("#.#", "", True),
        ("a.#.b.#.c", "a.x.b.c", True),
        ("a.b", "a.b.c", False),
    ],
)
def test_topic_patterns_match_word_by_word(pattern, key, is_match):
    assert is_topic_match(pattern.split("."), key.split(".")) is is_match


def test_headers_exchange_compares_all_or_any(broker):
    every, some = declare(broker, "every"), declare(broker, "some")
    broker.bind("amq.headers", every, "", {"x-match": "all", "a": 1, "b": 2})
    broker.bind("amq.headers", some, "", {"x-match": "any", "a": 1, "b": 2})

    publish(broker, "", exchange="amq.headers", headers={"a": 1})

    assert (len(every.ready), len(some.ready)) == (0, 1)


def test_message_reaches_a_queue_once_however_many_bindings_match(broker):
    queue = declare(broker, "q")
    for key in ("#", "a.*", "a.b"):
        broker.bind("amq.topic", queue, key, {})

    publish(broker, "a.b", exchange="amq.topic")

    assert len(queue.ready) == 1


def test_route_is_found_anew_after_an_unbinding(broker):
    queue = declare(broker, "q")
    broker.bind("amq.direct", queue, "key", {})
    before = publish(broker, "key", exchange="amq.direct")

    broker.unbind("amq.direct", queue, "key", {})

    assert (before, publish(broker, "key", exchange="amq.direct")) == (ROUTED, UNROUTABLE)


def test_exchange_sends_to_a_bound_exchange_and_to_its_alternate(broker):
    queue, rest = declare(broker, "q"), declare(broker, "rest")
    options = ExchangeOptions("direct", arguments={"alternate-exchange": "amq.fanout"})
    broker.declare_exchange("source", options, passive=False)
    broker.bind("source", broker.exchange("amq.topic"), "key", {})
    broker.bind("amq.topic", queue, "#", {})
    broker.bind("amq.fanout", rest, "", {})

    publish(broker, "key", b"bound", exchange="source")
    publish(broker, "other", b"alternate", exchange="source")

    assert (bodies(queue), bodies(rest)) == ([b"bound"], [b"alternate"])


def test_auto_delete_exchange_goes_with_its_last_binding(broker):
    queue = declare(broker, "q")
    broker.declare_exchange("x", ExchangeOptions("topic", auto_delete=True), passive=False)
    broker.bind("x", queue, "#", {})

    broker.remove_queue(queue)

    assert "x" not in broker.exchanges


def test_message_without_expiration_in_front_keeps_an_expired_one_in_the_queue(broker, time):
    queue, dead = declare(broker, "q", dead_letter_exchange=""), declare(broker, "dead")
    queue.dead_letter_key = "dead"
    publish(broker, "q", b"stays")
    publish(broker, "q", b"short", expiration="10")

    time.advance(1)
    before = bodies(queue)
    queue.get()
    queue.dispatch()

    assert (before, bodies(queue), bodies(dead)) == ([b"stays", b"short"], [], [b"short"])


def test_smaller_of_queue_and_message_ttl_counts(broker, time):
    queue = declare(broker, "q", message_ttl=100)
    publish(broker, "q", b"message", expiration="50")
    time.advance(0.06)
    after_message_ttl = bodies(queue)
    publish(broker, "q", b"queue", expiration="5000")
    time.advance(0.09)
    before_queue_ttl = bodies(queue)

    time.advance(0.02)

    assert (after_message_ttl, before_queue_ttl, bodies(queue)) == ([], [b"queue"], [])


def test_expired_message_is_never_delivered_late(broker, time, session, peer):
    queue = declare(broker, "q")
    publish(broker, "q", b"old", expiration="10")
    time.now += 1  # the timer had no chance yet

    session.consume("q", "c", no_ack=False, exclusive=False)

    assert (read(peer), bodies(queue)) == ([], [])


def test_message_with_no_time_to_live_reaches_a_waiting_consumer_only(broker, session, peer, time):
    queue = declare(broker, "q")
    publish(broker, "q", b"lost", expiration="0")
    time.advance(0)
    gone = bodies(queue)

    session.consume("q", "c", no_ack=False, exclusive=False)
    publish(broker, "q", b"taken", expiration="0")

    assert gone == []
    assert [entry.message.body for _tag, entry in read(peer)] == [b"taken"]


def test_dead_letter_tells_its_story_as_rabbitmq_does(broker, time):
    declare(broker, "q", dead_letter_exchange="amq.topic", dead_letter_routing_key="dead.key")
    dead = declare(broker, "dead")
    broker.bind("amq.topic", dead, "dead.#", {})
    publish(broker, "q", b"body", headers={"mine": 1}, expiration="10", correlation_id="c")

    time.advance(1)

    message = dead.ready[0].message
    death = message.headers["x-death"][0]
    assert (message.exchange, message.routing_key) == ("amq.topic", "dead.key")
    assert message.properties == {"correlation_id": "c"}
    assert death.pop("time").timestamp() > 0
    assert death == {
        "count": 1,
        "reason": "expired",
        "queue": "q",
        "exchange": "",
        "routing-keys": ["q"],
        "original-expiration": "10",
    }
    assert message.headers["mine"] == 1
    assert message.headers["x-first-death-reason"] == "expired"
    assert message.headers["x-first-death-queue"] == "q"
    assert message.headers["x-first-death-exchange"] == ""


def test_second_death_for_the_same_reason_is_counted_and_comes_first(broker, session):
    first = declare(broker, "first", dead_letter_exchange="", dead_letter_routing_key="second")
    declare(broker, "second", dead_letter_exchange="", dead_letter_routing_key="first")
    publish(broker, "first")
    for name in ("first", "second", "first", "second"):
        tag, _entry, _queue = session.get(name, no_ack=False)
        session.reject(tag, multiple=False, requeue=False)

    deaths = first.ready[0].message.headers["x-death"]

    assert [(one["queue"], one["count"]) for one in deaths] == [("second", 2), ("first", 2)]


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


def test_full_queue_drops_its_head_into_the_dead_letter_exchange(broker):
    queue = declare(
        broker, "q", max_length=2, dead_letter_exchange="", dead_letter_routing_key="dead"
    )
    dead = declare(broker, "dead")

    outcomes = [publish(broker, "q", body) for body in (b"1", b"2", b"3")]

    assert (outcomes, bodies(queue), bodies(dead)) == ([ROUTED] * 3, [b"2", b"3"], [b"1"])
    assert dead.ready[0].message.headers["x-death"][0]["reason"] == "maxlen"


def test_full_queue_that_rejects_says_so_while_others_take_the_message(broker):
    full = declare(broker, "full", max_length=0, overflow="reject-publish")
    other = declare(broker, "other")
    for queue in (full, other):
        broker.bind("amq.fanout", queue, "", {})

    outcome = publish(broker, "", exchange="amq.fanout")

    assert (outcome, len(full.ready), len(other.ready)) == (REJECTED, 0, 1)


def test_higher_priority_goes_first_within_the_limit(broker):
    queue = declare(broker, "q", max_priority=5)
    for body, priority in ((b"none", None), (b"5", 5), (b"9", 9), (b"1", 1)):
        publish(broker, "q", body, **({} if priority is None else {"priority": priority}))

    assert bodies(queue) == [b"5", b"9", b"1", b"none"]


def test_unused_queue_expires_and_use_renews_its_lease(broker, time, session):
    declare(broker, "q", expires=1000)
    time.advance(0.9)
    declare(broker, "q", expires=1000)
    time.advance(0.9)
    session.get("q", no_ack=True)
    time.advance(0.9)
    publish(broker, "q")  # is no use
    alive = "q" in broker.queues

    time.advance(0.2)

    assert (alive, "q" in broker.queues) == (True, False)


def test_queue_with_a_consumer_does_not_expire(broker, time, session):
    declare(broker, "q", expires=100)
    session.consume("q", "c", no_ack=False, exclusive=False)
    time.advance(10)
    alive = "q" in broker.queues
    session.cancel("c")

    time.advance(0.2)

    assert (alive, "q" in broker.queues) == (True, False)


def test_requeued_messages_come_back_at_their_old_places(broker, peer, session):
    queue = declare(broker, "q")
    for number in range(6):
        publish(broker, "q", b"%d" % number)
    tags = [session.get("q", no_ack=False)[0] for _ in range(4)]
    session.ack(tags[1], multiple=False)
    session.reject(tags[3], multiple=False, requeue=True)

    session.close()

    assert bodies(queue) == [b"0", b"2", b"3", b"4", b"5"]
    assert [one.is_redelivered for one in queue.ready] == [True] * 3 + [False] * 2


def test_acks_of_several_take_those_before_too(broker, session):
    queue = declare(broker, "q")
    for number in range(4):
        publish(broker, "q", b"%d" % number)
    tags = [session.get("q", no_ack=False)[0] for _ in range(4)]
    session.ack(tags[2], multiple=True)
    left = list(session.unacked)

    session.reject(0, multiple=True, requeue=True)

    assert (left, bodies(queue)) == ([tags[3]], [b"3"])


@pytest.mark.parametrize("text", ["", "soon", "-1"])
def test_expiration_that_is_no_time_is_refused(broker, text):
    declare(broker, "q")

    with pytest.raises(PreconditionFailed, match="invalid expiration"):
        publish(broker, "q", expiration=text)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"message_ttl": "5"}, "invalid arg 'x-message-ttl' .*unacceptable_type,longstr"),
        ({"message_ttl": -5}, "value_negative,-5"),
        ({"expires": 0}, "invalid arg 'x-expires' .*value_zero"),
        ({"dead_letter_routing_key": "k"}, "routing_key_but_no_dlx_defined"),
        ({"overflow": "explode"}, "invalid_overflow"),
        ({"queue_type": "quorum"}, "classic queues only"),
        ({"single_active_consumer": True}, "does not know it"),
    ],
)
def test_arguments_that_cannot_work_are_refused(broker, arguments, problem):
    with pytest.raises(PreconditionFailed, match=problem):
        declare(broker, "q", **arguments)


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
