"""Methods that nobody calls."""

from examples.timer import Heartbeat
from rpcnode.testing import entrypoint_waiter


def test_an_eager_timer_ticks_at_the_start_and_then_at_its_interval(
    container_factory, memory_config
):
    container = container_factory(Heartbeat, memory_config)
    ticks = []

    def is_second(worker_ctx, _result, exc_info):
        ticks.append(exc_info)
        return len(ticks) == 2

    with entrypoint_waiter(container, "beat", timeout=5, callback=is_second):
        container.start()

    assert ticks == [None, None]


def test_the_work_of_the_start_is_done_once_everything_has_started(
    container_factory, memory_config
):
    container = container_factory(Heartbeat, memory_config)
    was_ready = []

    def note(_ctx, _result, _exc_info):
        was_ready.append(container.ready.is_set())
        return True

    with entrypoint_waiter(container, "hello", timeout=5, callback=note):
        container.start()

    assert was_ready == [True]
