"""Connections that break at any byte of a conversation, in either direction.

A run tries every STRIDE-th byte, from a random one on: all of them are reached over the runs, and
at once with `RPCNODE_TEST_STRIDE=1` (which takes minutes).
"""

import os
import random
import secrets
from collections import Counter
from contextlib import ExitStack
from time import monotonic

import pytest

from rpcnode.amqp import connection
from rpcnode.concurrency import sleep, spawn
from rpcnode.events import event_handler
from rpcnode.exceptions import ConnectionLost, RpcTimeout
from rpcnode.extensions.connection import Messaging
from rpcnode.rpc import rpc
from tests.amqp.broker import linked
from tests.faults.proxy import TO_BROKER, TO_CLIENT, Proxy
from tests.hosting import hosted, wait_until
from tests.rabbitmq_server import with_vhost

STRIDE = int(os.environ.get("RPCNODE_TEST_STRIDE", "40"))
CALL_TIMEOUT = 0.5  # seconds for a call whose request may be lost
RECOVERY = 10.0  # seconds for one that may not


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Reconnect at once."""
    monkeypatch.setattr(connection, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(connection, "STABLE", 0)


def offsets(size):
    return range(random.randrange(STRIDE), size, STRIDE)


class Conversation:
    """A call and an event, between services behind a proxy, over and over."""

    def __init__(self, uri):
        self._stack = ExitStack()
        self._proxy = self._stack.enter_context(Proxy(uri))
        self.runs = runs = Counter()

        class Service:
            name = "service"

            @rpc
            def method(self, number):
                runs["call", number] += 1
                return number

            @event_handler("caller", "happened")
            def handle(self, number):
                runs["event", number] += 1

        config = {"AMQP_URI": self._proxy.uri}
        self._services = self._stack.enter_context(hosted(config, Service))
        self._method = self._services.rpc.service.method.with_options
        shared = self._services.extension(Messaging).connection
        self._links = {"consuming": shared.consuming, "publishing": shared.publishing}
        self._number = 0
        self.recover()

    def close(self):
        self._stack.close()

    def recover(self):
        """Wait until everything works, and nothing is on its way."""
        number = self._next_number()
        assert self._method(timeout=RECOVERY)(number) == number
        self._services.dispatch("happened", number, timeout=RECOVERY)
        wait_until(lambda: self.runs["event", number])
        passed = None
        while (now := [self._proxy.passed(way) for way in (TO_BROKER, TO_CLIENT)]) != passed:
            passed = now
            sleep(0.01)

    def size(self, purpose, way):
        """Return the bytes of one conversation."""
        number = self._connection(purpose)
        before = self._proxy.passed(way, connection=number)
        self.recover()
        return self._proxy.passed(way, connection=number) - before

    def truncate(self, purpose, way, offset):
        """Cut a connection at that byte; check what caller, publisher and handler see of it."""
        link = self._links[purpose]
        generation = link.generation
        self._proxy.truncate(offset, way, connection=self._connection(purpose))
        is_request_in_danger = (purpose, way) == ("publishing", TO_BROKER)
        self._call(CALL_TIMEOUT if is_request_in_danger else RECOVERY, is_request_in_danger)
        self._dispatch()
        self.recover()
        assert link.generation > generation

    def _call(self, timeout, may_be_lost):
        number, began = self._next_number(), monotonic()
        try:
            assert self._method(timeout=timeout)(number) == number
        except RpcTimeout:
            assert may_be_lost
        else:
            assert self.runs["call", number] >= 1
        assert self.runs["call", number] <= 2
        assert monotonic() - began < timeout + 1

    def _dispatch(self):
        number = self._next_number()
        try:
            self._services.dispatch("happened", number, timeout=RECOVERY)
        except ConnectionLost:
            return  # its outcome is unknown
        wait_until(lambda: self.runs["event", number])

    def _next_number(self):
        self._number += 1
        return self._number

    def _connection(self, purpose):
        """Return the proxy's number of a connection: the two are opened one after the other."""
        port = self._links[purpose]._driver.sock.getsockname()[1]
        return self._proxy.connection_from(port)


@pytest.fixture
def conversations(rabbit_uri, management_api):
    """Makes conversations, each on a virtual host of its own."""
    with ExitStack() as stack:

        def make():
            name = f"test-{secrets.token_hex(4)}"
            management_api.create_vhost(name)
            stack.callback(management_api.delete_vhost, name)
            conversation = Conversation(with_vhost(rabbit_uri, name))
            stack.callback(conversation.close)
            return conversation

        yield make


STREAMS = [
    (purpose, way) for purpose in ("consuming", "publishing") for way in (TO_BROKER, TO_CLIENT)
]


@pytest.mark.timeout(60 if STRIDE > 20 else 3600)
def test_connection_that_breaks_at_any_byte_of_a_conversation(conversations):
    """All four streams at once: most of the time is spent waiting."""

    def break_stream(purpose, way):
        conversation = conversations()
        size = conversation.size(purpose, way)
        for offset in offsets(size):
            try:
                conversation.truncate(purpose, way, offset)
            except BaseException as exc:
                exc.add_note(f"byte {offset} of {size}, {purpose} connection, {way}")
                raise
        return size

    threads = [spawn(break_stream, *stream) for stream in STREAMS]
    sizes = [thread.wait() for thread in threads]

    assert min(sizes) >= 21  # an ack is the least that passes


@pytest.mark.timeout(60 if STRIDE > 20 else 3600)
@pytest.mark.parametrize("way", [TO_BROKER, TO_CLIENT])
def test_connection_that_breaks_at_any_byte_of_the_handshake(proxy, way):
    with linked(proxy.uri):
        size = proxy.passed(way)
    assert size > 100
    for offset in offsets(size):
        accepted = proxy.accepted
        proxy.truncate(offset, way, connection=accepted + 1)
        with linked(proxy.uri) as link:
            link.channel(RECOVERY).close()

            assert proxy.accepted == accepted + 2, f"byte {offset} of {size}"
