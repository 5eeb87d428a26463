"""A handler that lets nobody else run."""

from time import monotonic

from rpcnode.concurrency import spawn
from rpcnode.events import event_handler
from rpcnode.extensions.connection import Messaging
from rpcnode.rpc import rpc
from tests.hosting import hosted, wait_until

HEARTBEAT = 1


def test_handler_that_hogs_the_processor_for_three_heartbeats(vhost_uri, caplog):
    class Service:
        name = "service"
        runs = []

        @rpc
        def hog(self):
            self.runs.append("hog")
            end = monotonic() + 3.5 * HEARTBEAT
            while monotonic() < end:
                pass
            return "hogged"

        @rpc
        def echo(self, value):
            return value

        @event_handler("caller", "happened")
        def handle(self, number):
            self.runs.append(number)

    config = {"AMQP_URI": vhost_uri, "HEARTBEAT": HEARTBEAT}
    with hosted(config, Service) as services:
        assert services.rpc.service.echo(1) == 1
        hogging = spawn(services.rpc.service.hog)
        waiting = [spawn(services.rpc.service.echo, number) for number in range(20)]
        services.dispatch("happened", 1)

        assert hogging.wait() == "hogged"
        assert [thread.wait() for thread in waiting] == list(range(20))
        messaging = services.extension(Messaging)
        wait_until(lambda: messaging.connection.consuming.is_connected)
        services.dispatch("happened", 2)
        wait_until(lambda: {1, 2} <= set(Service.runs))
        generation = messaging.connection.consuming.generation
        wait_until(lambda: messaging.connection.consuming._driver.bytes_recv > 0)
        assert services.rpc.service.echo(2) == 2

    assert Service.runs.count("hog") == 1
    assert generation <= 2
    assert "nothing else could run for" in caplog.text
    assert "in hog" in caplog.text
