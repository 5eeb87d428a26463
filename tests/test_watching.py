"""Files that the hub watches, without a green thread that waits."""

import pytest

from rpcnode.concurrency import (
    native_socket,
    sleep,
    spawn,
    unwatch,
    watch_readable,
    watch_writable,
)
from tests.hosting import wait_until


@pytest.fixture
def pair():
    """Two connected sockets that do not block."""
    ends = native_socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def test_function_is_called_as_long_as_there_is_something_to_read(pair):
    here, there = pair
    received = []
    watch = watch_readable(here.fileno(), lambda number: received.append(here.recv(1)))

    there.send(b"abc")
    wait_until(lambda: len(received) == 3)
    unwatch(watch)
    there.send(b"d")
    sleep(0)
    sleep(0)

    assert received == [b"a", b"b", b"c"]


def test_function_gets_the_number_of_its_file(pair):
    here, _ = pair
    numbers = []
    watch = watch_writable(here.fileno(), numbers.append)
    wait_until(lambda: numbers)
    unwatch(watch)

    assert numbers[0] == here.fileno()


def test_file_can_be_watched_for_both(pair):
    here, there = pair
    events = []
    reading = watch_readable(here.fileno(), lambda number: events.append(here.recv(9)))
    writing = watch_writable(here.fileno(), lambda number: (events.append("w"), unwatch(writing)))

    there.send(b"abc")
    wait_until(lambda: len(events) == 2)
    unwatch(reading)

    assert set(events) == {"w", b"abc"}


def test_thread_that_began_to_watch_is_not_kept(pair):
    here, _ = pair
    watches = []
    thread = spawn(lambda: watches.append(watch_readable(here.fileno(), print)))
    thread.wait()
    sleep(0)
    known = id(thread)
    del thread

    # Only one that nobody refers to is used again.
    assert id(spawn(sleep)) == known
    unwatch(watches[0])
