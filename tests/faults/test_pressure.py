"""More than somebody can take: a broker without memory, a queue that comes all at once."""

import gc
import logging
import time
from contextlib import contextmanager
from functools import partial
from time import monotonic

import pytest

from rpcnode.concurrency import Event, kill, sleep, spawn
from rpcnode.events import event_handler
from rpcnode.exceptions import PublishTimeout, RpcTimeout
from rpcnode.extensions.connection import Messaging
from rpcnode.rpc import rpc
from rpcnode.runners import run_services
from tests.faults.load import Load
from tests.hosting import hosted, wait_until

WAITING = 10_000
LONGEST_TURN = 0.02  # seconds of the processor until others have theirs

SERVICE_THAT_LOOKS = """
import gc
from rpcnode.timer import timer


class Service:
    name = "service"

    @timer(interval=0.05)
    def look(self):
        print(gc.get_freeze_count(), flush=True)
"""


@contextmanager
def memory_alarm(server):
    """Make the broker find that it has no memory left, as long as the block runs."""
    server.ctl("set_vm_memory_high_watermark", "0.00001")
    try:
        yield
    finally:
        server.ctl("set_vm_memory_high_watermark", "0.4")


def test_alarm_of_the_broker_stops_publishers_and_not_consumers(own_server, caplog):
    class Service:
        name = "service"
        heard, may_go_on = [], Event()

        @rpc
        def echo(self, value):
            return value

        @event_handler("caller", "happened")
        def handle(self, number):
            self.may_go_on.wait()
            self.heard.append(number)

    caplog.set_level(logging.INFO)
    with hosted({"AMQP_URI": own_server.uri}, Service) as services:
        assert services.rpc.service.echo(1) == 1
        for number in range(50):
            services.dispatch("happened", number)
        publishing = services.extension(Messaging).connection.publishing
        with memory_alarm(own_server):
            # The broker tells it to those who publish, when they do.
            waiting = []
            publish = partial(spawn, services.dispatch, "happened", 50, timeout=50)
            wait_until(lambda: publishing.is_blocked or waiting.append(publish()))
            began = monotonic()
            with pytest.raises(RpcTimeout, match="service.echo within 0.5 s"):
                services.rpc.service.echo.with_options(timeout=0.5)(2)
            with pytest.raises(PublishTimeout):
                services.dispatch("happened", 51, timeout=0.5)
            failed_after = monotonic() - began
            Service.may_go_on.set()
            wait_until(lambda: set(range(50)) <= set(Service.heard))
            was_waiting = not waiting[-1].dead
        for thread in waiting:
            thread.wait()

        assert services.rpc.service.echo(3) == 3
        wait_until(lambda: 50 in Service.heard)
        assert was_waiting
        assert 1 <= failed_after < 2.5
        assert publishing.generation == 1
    assert "blocks publishers" in caplog.text
    assert "takes messages again" in caplog.text


def test_alarm_under_load_ends_and_all_goes_on(own_server, hosting, book):
    with hosted({"AMQP_URI": own_server.uri}) as services:
        process = hosting(own_server.uri)
        load = Load(services, timeout=20)
        wait_until(lambda: len(load.returned) > 50 and len(load.dispatched) > 10)
        publishing = services.extension(Messaging).connection.publishing
        with memory_alarm(own_server):
            wait_until(lambda: publishing.is_blocked)
        returned = len(load.returned)
        wait_until(lambda: len(load.returned) > returned + 50)
        load.end()
        wait_until(lambda: set(load.dispatched) <= set(book.counts("event")))
        process.process.terminate()
        assert process.wait() == 0

    assert (load.failed, load.undispatched) == ([], [])


class Turns:
    """Measures how long a green thread waits for its turn while others use the processor.

    By the clock of the native thread: other processes do not count, nor do Python's collections
    of garbage, which are nobody's turn.
    """

    def __init__(self):
        self.longest = 0.0
        self.count = 0
        self._collecting = 0.0
        self._since = 0.0

    @contextmanager
    def measured(self):
        gc.callbacks.append(self._collected)
        thread = spawn(self._measure)
        try:
            yield self
        finally:
            kill(thread)
            gc.callbacks.remove(self._collected)

    def _measure(self):
        while True:
            began, self._collecting = time.thread_time(), 0.0
            sleep(0.001)
            self.longest = max(self.longest, time.thread_time() - began - self._collecting)
            self.count += 1

    def _collected(self, phase, _info):
        if phase == "start":
            self._since = time.thread_time()
        else:
            self._collecting += time.thread_time() - self._since


def test_others_have_their_turn_while_ten_thousand_messages_arrive(vhost_uri):
    class Service:
        name = "service"
        heard, may_go_on = set(), Event()

        @event_handler("caller", "happened")
        def handle(self, number):
            self.may_go_on.wait()
            self.heard.add(number)

    config = {"AMQP_URI": vhost_uri, "PREFETCH_COUNT": WAITING}
    with run_services(config, Service):
        pass  # its queue is there from now on
    with hosted({"AMQP_URI": vhost_uri}) as services:
        publish(services, range(WAITING))
    with Turns().measured() as arriving, run_services(config, Service) as runner:
        lane = runner.service_map["service"].default_lane
        wait_until(lambda: lane.pending + lane.running == WAITING, seconds=20)
        with Turns().measured() as handling:
            Service.may_go_on.set()
            wait_until(lambda: len(Service.heard) == WAITING, seconds=20)

    assert arriving.count > 50
    assert arriving.longest < LONGEST_TURN
    assert handling.longest < LONGEST_TURN


def publish(services, numbers):
    """Dispatch many events, a hundred at a time."""
    numbers = iter(numbers)

    def go_on():
        for number in numbers:
            services.dispatch("happened", number)

    for thread in [spawn(go_on) for _ in range(100)]:
        thread.wait()


def test_what_services_start_with_is_not_looked_at_for_garbage_again(tmp_path, start):
    (tmp_path / "services.py").write_text(SERVICE_THAT_LOOKS)
    process = start("run", "--broker", "memory://", "services")
    process.wait_for("services are up")
    wait_until(lambda: process.output.count("\n") >= 2)
    process.process.terminate()

    assert process.wait() == 0
    assert int(process.output.split()[-1]) > 10_000
