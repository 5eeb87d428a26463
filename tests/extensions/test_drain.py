"""What a stop does with requests that were received and not started, on both brokers."""

import pytest

from rpcnode.concurrency import Event, spawn
from rpcnode.rpc import rpc
from rpcnode.runners import run_services
from tests.hosting import hosted, wait_until


def slow_service():
    class Slow:
        name = "slow"
        began = []
        ended = []
        may_end = Event()

        @rpc
        def work(self, number):
            self.began.append(number)
            self.may_end.wait(10)
            self.ended.append(number)
            return number

    return Slow


def stopped_with_four_calls(config, mode, timeout=20):
    """Stop a service with one worker that has received four calls.

    Yield the service and its lane while it stops, the replies when it has, and the results when
    somebody else has done the rest.
    """
    slow = slow_service()
    settings = {
        **config,
        "MAX_WORKERS": 1,
        "SHUTDOWN_MODE": mode,
        "SHUTDOWN_TIMEOUT": timeout,
    }
    with run_services(settings, slow) as runner, hosted(config) as services:
        container = runner.service_map["slow"]
        replies = [services.rpc.slow.work.call_async(number) for number in range(4)]
        wait_until(lambda: container.default_lane.pending == 3)
        stopping = spawn(container.stop)
        wait_until(lambda: container.is_stopping)
        yield slow, container.default_lane
        stopping.wait()
        yield replies
        with hosted({**config, "MAX_WORKERS": 1}, slow):
            yield [reply.result(timeout=10) for reply in replies]


def test_drained_service_does_what_it_received(config):
    steps = stopped_with_four_calls(config, "drain")
    slow, _lane = next(steps)
    slow.may_end.set()
    replies = next(steps)

    assert slow.ended == [0, 1, 2, 3]
    assert [reply.result(timeout=5) for reply in replies] == [0, 1, 2, 3]
    steps.close()


def test_otherwise_only_what_runs_is_finished_and_the_rest_goes_back(config):
    steps = stopped_with_four_calls(config, "running")
    slow, lane = next(steps)
    wait_until(lambda: lane.pending == 0)  # it starts nothing any more
    slow.may_end.set()
    next(steps)

    assert slow.ended == [0]
    assert next(steps) == [0, 1, 2, 3]
    assert slow.began == [0, 1, 2, 3]
    steps.close()


@pytest.mark.parametrize("mode", ["drain", "running"])
def test_what_does_not_end_in_time_goes_back(config, mode):
    steps = stopped_with_four_calls(config, mode, timeout=0.2)
    slow, _lane = next(steps)
    next(steps)

    assert slow.ended == []
    slow.may_end.set()
    assert next(steps) == [0, 1, 2, 3]
    assert slow.began == [0, 0, 1, 2, 3]
    steps.close()
