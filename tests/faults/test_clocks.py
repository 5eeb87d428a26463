"""Clocks that jump, and those of two machines that differ."""

import time
from contextlib import contextmanager
from itertools import pairwise
from time import monotonic

import pytest

from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.exceptions import DeadlineExceeded, RpcTimeout
from rpcnode.extensions.rpc_server import RpcConsumer
from rpcnode.rpc import rpc
from rpcnode.timer import timer
from tests.hosting import hosted, wait_until

HOUR = 3600.0
SKEW = 2.0  # seconds; the default of CLOCK_SKEW


@pytest.fixture
def set_clock(monkeypatch):
    """Return a function that sets the wall clock so many seconds from the true time."""
    true_time = time.time

    def set_clock(seconds):
        monkeypatch.setattr(time, "time", lambda: true_time() + seconds)

    return set_clock


@pytest.fixture
def sent_at(set_clock):
    """Return a context in which calls are made by a machine whose clock differs."""

    @contextmanager
    def sent_at(seconds):
        set_clock(seconds)
        yield
        set_clock(0)

    return sent_at


class Service:
    """What is called; each test has a class of its own."""

    name = "service"

    def __init_subclass__(cls):
        cls.entered, cls.ended, cls.ticks = Event(), [], []

    @rpc
    def echo(self, value):
        return value

    @rpc
    def overrun(self):
        began = monotonic()
        self.entered.set()
        try:
            sleep(20)
        except DeadlineExceeded:
            self.ended.append(monotonic() - began)
            raise

    @timer(interval=0.1)
    def tick(self):
        self.ticks.append(monotonic())


@pytest.fixture
def service():
    class Fresh(Service):
        pass

    return Fresh


@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["forwards", "backwards"])
def test_clock_that_jumps_ends_no_call_and_extends_none(vhost_uri, service, set_clock, jump):
    with hosted({"AMQP_URI": vhost_uri, "HEARTBEAT": 1}, service) as services:
        began = monotonic()
        calling = spawn(services.rpc.service.overrun.with_options(timeout=1))
        service.entered.wait()
        set_clock(jump)
        with pytest.raises(RpcTimeout):
            calling.wait()
        took = monotonic() - began
        wait_until(lambda: service.ended)
        ticks = len(service.ticks)
        wait_until(lambda: len(service.ticks) >= ticks + 3)

        assert services.rpc.service.echo(1) == 1
    assert 1 <= took < 1.5
    assert 0.9 < service.ended[0] < 1.5
    assert max(intervals(service.ticks[ticks:])) < 1


def intervals(moments):
    return [later - earlier for earlier, later in pairwise(moments)]


@pytest.mark.parametrize("difference", [-SKEW / 2, SKEW / 2, HOUR])
def test_caller_whose_clock_is_a_little_behind_or_ahead_is_served(
    vhost_uri, service, sent_at, difference
):
    with hosted({"AMQP_URI": vhost_uri}, service) as services:
        with sent_at(difference):
            reply = services.rpc.service.echo.with_options(timeout=0.5).call_async(1)

        assert reply.result() == 1


def test_caller_whose_clock_is_far_ahead_has_its_time_and_no_more(vhost_uri, service, sent_at):
    with hosted({"AMQP_URI": vhost_uri}, service) as services:
        with sent_at(HOUR):
            reply = services.rpc.service.overrun.with_options(timeout=0.5).call_async()
        with pytest.raises(RpcTimeout):
            reply.result()
        wait_until(lambda: service.ended)

    assert 0.4 < service.ended[0] < 1


def test_caller_whose_clock_is_far_behind_is_told_at_once_unless_clocks_are_ignored(
    vhost_uri, service, sent_at
):
    with hosted({"AMQP_URI": vhost_uri}, service) as services:
        with sent_at(-HOUR):
            reply = services.rpc.service.echo.with_options(timeout=5).call_async(1)
        began = monotonic()
        with pytest.raises(RpcTimeout, match="too late to run"):
            reply.result()
        took = monotonic() - began
        assert services.extension(RpcConsumer, "service").counts.expired == 1
    with hosted({"AMQP_URI": vhost_uri, "CLOCK_SKEW": None}, service) as services:
        with sent_at(-HOUR):
            reply = services.rpc.service.echo.with_options(timeout=5).call_async(1)

        assert reply.result() == 1
    assert took < 1
