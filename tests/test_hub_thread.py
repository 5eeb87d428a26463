"""A hub in a native thread, beside a main thread that blocks."""

import threading
from time import monotonic

import pytest

from rpcnode.concurrency import Event, HubThread, native_lock, sleep


@pytest.fixture
def hub():
    hub = HubThread()
    yield hub
    hub.close()


def block(seconds):
    """Keep this native thread, hub and all, from doing anything."""
    end = monotonic() + seconds
    while monotonic() < end:
        pass


def test_functions_run_in_its_thread(hub):
    here = threading.get_native_id()

    there = hub.bridge.call(threading.get_native_id)

    assert there != here
    assert hub.bridge.call(threading.get_native_id) == there


def test_green_threads_go_on_while_the_main_thread_blocks(hub):
    beats = []

    def beat():
        while True:
            beats.append(monotonic())
            sleep(0.005)

    hub.bridge.post(beat)
    block(0.1)

    assert len(beats) >= 3


def test_error_is_raised_where_it_was_called_for(hub):
    with pytest.raises(ZeroDivisionError):
        hub.bridge.call(lambda: 1 / 0)


def test_its_end_does_not_wait_for_green_threads():
    hub = HubThread()
    started = hub.bridge.call(Event)
    hub.bridge.post(lambda: (started.set(), sleep(3600)))
    hub.bridge.call(started.wait)
    began = monotonic()

    hub.close()

    assert monotonic() - began < 5


def test_native_lock_is_passed_on_between_native_threads(hub):
    lock = native_lock()
    order = []
    hub.bridge.call(lock.acquire)

    def release():
        sleep(0.05)
        order.append("released")
        lock.release()

    hub.bridge.post(release)
    with lock:
        order.append("acquired")

    assert order == ["released", "acquired"]
