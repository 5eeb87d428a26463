"""What was written and never sent when a connection is lost: it is sent again, in time."""

from urllib.parse import urlsplit

import pytest

from rpcnode.amqp import confirming
from rpcnode.amqp.publisher import Publisher
from rpcnode.concurrency import kill, sleep, spawn
from rpcnode.exceptions import BrokerUnavailable, ConnectionLost, RpcTimeout
from rpcnode.extensions.connection import Messaging
from rpcnode.observers import Observers
from rpcnode.rpc import rpc
from rpcnode.runners import run_services
from tests.amqp.broker import count, declared, linked, outgoing
from tests.faults.proxy import TO_BROKER
from tests.hosting import hosted, wait_until

BODY = 100_000  # bytes: what the kernel buffers is some dozens of those
LARGE = "x" * BODY


class Counter:
    """Counts which calls have reached it."""

    name = "counter"
    numbers = []

    @rpc
    def count(self, number, _ballast):
        self.numbers.append(number)
        return number


@pytest.fixture
def counter(vhost_uri):
    """A service that is not behind the proxy; its numbers."""
    Counter.numbers = []
    with run_services({"AMQP_URI": vhost_uri}, Counter):
        yield Counter.numbers


def socket_of(link):
    return link._driver.transport


def unsent_of(socket):
    """Return how many messages a socket had not sent, the one that was begun included."""
    return -(-socket.outgoing_size // max(map(len, socket.unsent())))


class Written:
    """An observer that counts what is written, each time."""

    def __init__(self):
        self.count = 0

    def message_published(self, _message):
        self.count += 1


def outcome_of(function, *args):
    try:
        return function(*args)
    except Exception as exc:
        return exc


ENDS = {
    "cut": lambda _server, proxy: proxy.cut(),
    "reset": lambda _server, proxy: proxy.cut(reset=True),
    "closed by the broker": lambda server, proxy: server.ctl(
        "close_all_connections", "--vhost", urlsplit(proxy.uri).path[1:], "a test wants it"
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_publisher_knows_which_messages_were_never_sent(rabbit_server, proxy, end):
    outcomes = {}
    with linked(proxy.uri) as link:
        declared(link, "q")
        publisher = Publisher(link, Observers())
        publisher.open(5)
        proxy.stall(TO_BROKER)
        messages = [outgoing("q", LARGE.encode(), message_id=f"{each:03}") for each in range(150)]
        for message in messages:
            publisher.post_now(message, lambda exc, key=message.id: outcomes.update({key: exc}))
        socket = socket_of(link)
        wait_until(lambda: socket._sender is not None)
        end(rabbit_server, proxy)
        wait_until(lambda: len(outcomes) == 150)
        unsent = unsent_of(socket)

        kinds = [type(outcomes[message.id]) for message in messages]
        assert 10 < unsent < 150
        assert kinds == [ConnectionLost] * (150 - unsent) + [BrokerUnavailable] * unsent


def test_published_message_that_was_never_sent_is_sent_again(proxy):
    with linked(proxy.uri) as link:
        declared(link, "q")
        observers, written = Observers(), Written()
        observers.add(written)
        publisher = Publisher(link, observers)
        publisher.open(5)
        socket = socket_of(link)
        proxy.stall(TO_BROKER)
        threads = [
            spawn(outcome_of, publisher.publish, outgoing("q", LARGE.encode()), 20)
            for _ in range(150)
        ]
        wait_until(lambda: socket.outgoing_size > 1_000_000)
        proxy.cut(reset=True)
        proxy.heal()
        outcomes = [thread.wait() for thread in threads]
        lost = [each for each in outcomes if isinstance(each, ConnectionLost)]

        assert lost
        assert outcomes.count(None) == 150 - len(lost)
        assert count(link, "q") == 150 - len(lost)
        # They differ in length by some digits, which may hide or add one.
        assert abs(written.count - 150 - unsent_of(socket)) <= 1


def test_calls_that_were_never_sent_are_sent_again_in_time(proxy, counter):
    with hosted({"AMQP_URI": proxy.uri}) as services:
        method = services.rpc.counter.count.with_options(timeout=3)
        assert method(-1, "") == -1
        socket = socket_of(services.extension(Messaging).connection.publishing)
        written = Written()
        services.container("caller").observers.add(written)
        proxy.stall(TO_BROKER)
        threads = [spawn(outcome_of, method, number, LARGE) for number in range(150)]
        wait_until(lambda: socket.outgoing_size > 1_000_000)
        proxy.cut(reset=True)
        proxy.heal()
        outcomes = [thread.wait() for thread in threads]
        late = [each for each in outcomes if isinstance(each, RpcTimeout)]

        assert late
        returned = {each for each in outcomes if isinstance(each, int)}
        assert len(returned) == 150 - len(late)
        assert sorted(counter) == sorted({-1, *returned})
        # They differ in length by some digits, which may hide or add one.
        assert abs(written.count - 150 - unsent_of(socket)) <= 1


def test_call_that_was_never_sent_is_not_sent_once_nobody_waits(proxy, counter):
    with hosted({"AMQP_URI": proxy.uri}) as services:
        method = services.rpc.counter.count
        assert method(-1, "") == -1
        publishing = services.extension(Messaging).connection.publishing
        proxy.stall(TO_BROKER)
        clogging = spawn(outcome_of, method.with_options(timeout=1), 0, LARGE * 200)
        wait_until(lambda: publishing._driver and socket_of(publishing)._sender is not None)
        with pytest.raises(RpcTimeout):
            method.with_options(timeout=0.3)(1, "")
        proxy.refuse()
        proxy.cut(reset=True)
        assert isinstance(clogging.wait(), RpcTimeout)
        proxy.heal()

        assert method(2, "") == 2
        assert counter == [-1, 2]


@pytest.fixture
def unsent_call(proxy, counter, monkeypatch):
    """A call that was not sent when its connection was lost; there is no other one yet.

    Gives the services, the green thread of the caller, and what has been published.
    """
    # Else the call would wait until there is room, and not be written.
    monkeypatch.setattr(confirming, "HIGH_WATER", 10**9)
    with hosted({"AMQP_URI": proxy.uri}) as services:
        method = services.rpc.counter.count
        assert method(-1, "") == -1
        publishing = services.extension(Messaging).connection.publishing
        published = []
        services.container("caller").observers.add(
            type("Watch", (), {"message_published": lambda _self, each: published.append(each)})()
        )
        proxy.stall(TO_BROKER)
        clogging = spawn(outcome_of, method.with_options(timeout=1), 0, LARGE * 200)
        wait_until(lambda: publishing._driver and socket_of(publishing)._sender is not None)
        caller = spawn(outcome_of, method.with_options(timeout=20), 1, "")
        wait_until(lambda: len(published) == 2)
        proxy.refuse()
        proxy.cut(reset=True)
        wait_until(lambda: not publishing.is_connected)
        assert isinstance(clogging.wait(), RpcTimeout)
        yield services, caller, published


def test_call_that_was_never_sent_is_not_sent_once_its_caller_was_killed(
    proxy, counter, unsent_call
):
    services, caller, _published = unsent_call

    kill(caller)
    proxy.heal()

    assert services.rpc.counter.count(2, "") == 2
    assert counter == [-1, 2]


def test_call_that_is_sent_again_tells_what_is_left_by_then(proxy, unsent_call):
    _services, caller, published = unsent_call
    first = published[-1].headers["rpcnode-timeout-ms"]

    sleep(0.3)  # what the callee has to be told of
    proxy.heal()

    assert caller.wait() == 1
    assert len(published) == 3
    assert published[-1].headers["rpcnode-timeout-ms"] < first - 1000
