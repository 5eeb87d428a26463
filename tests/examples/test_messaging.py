"""Messages that are nobody's events."""

from examples.messaging import Alarm, Archive, Sensors
from rpcnode.testing import entrypoint_hook, entrypoint_waiter


def test_each_reading_is_stored_and_a_hot_one_rings(runner_factory, memory_config):
    runner = runner_factory(memory_config, Sensors, Archive, Alarm)
    runner.start()
    sensors, archive, alarm = runner.containers
    messages = []

    def note(worker_ctx, _result, _exc_info):
        messages.append(worker_ctx.message)
        return len(messages) == 3

    with (
        entrypoint_waiter(archive, "store", timeout=5, callback=note),
        entrypoint_waiter(alarm, "ring", timeout=5) as ring,
        entrypoint_hook(sensors, "measure") as measure,
    ):
        measure("oven", 99)
        measure("test", 101)
        measure("kiln", 102)

    assert ring.get() == "kiln is hot"
    assert [each.routing_key for each in messages] == ["normal.oven", "alarm.test", "alarm.kiln"]
    assert messages[0].headers["unit"] == "celsius"


def test_readings_wait_in_their_queue_for_a_service_that_is_away(container_factory, memory_config):
    sensors = container_factory(Sensors, memory_config)
    sensors.start()
    with entrypoint_hook(sensors, "measure") as measure:
        measure("oven", 99)
    archive = container_factory(Archive, memory_config)

    with entrypoint_waiter(archive, "store", timeout=5) as store:
        archive.start()

    assert store.get() == "oven: 99"
