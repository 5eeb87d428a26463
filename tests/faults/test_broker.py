"""A broker that is away, goes away, or takes things away."""

from time import monotonic

import kombu
import pytest

from rpcnode.concurrency import Event, kill, sleep, spawn
from rpcnode.events import BROADCAST, event_handler
from rpcnode.exceptions import BrokerUnavailable, ConnectionLost, RpcTimeout, UnknownService
from rpcnode.extensions.connection import Messaging
from rpcnode.messaging import Publisher
from rpcnode.rpc import rpc
from rpcnode.runners import run_services
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.hosting import hosted, wait_until
from tests.rabbitmq_server import RabbitServer


def recovers(services, load):
    """Wait until calls and events get through again, then end the load."""
    returned, dispatched = len(load.returned), len(load.dispatched)
    wait_until(lambda: len(load.returned) > returned + 50, seconds=40)
    wait_until(lambda: len(load.dispatched) > dispatched + 20, seconds=40)
    return load.end()


def all_are_handled(load, book, process):
    """Wait until each confirmed event is handled; show the service's log when one is not."""
    end = monotonic() + 20
    while missing := set(load.dispatched) - set(book.counts("event")):
        assert monotonic() < end, f"{sorted(missing)} are not handled:\n{process.errors}"
        sleep(0.02)


def all_is_well(load, book, timeout=10):
    """Check what is promised whatever happens to the broker."""
    for number in load.dispatched:
        assert book.counts("event")[number] >= 1, f"event {number} was confirmed and lost"
    assert set(load.returned) <= set(book.counts("call"))
    assert load.slowest < timeout + 1
    for _number, error in load.failed:
        assert isinstance(error, RpcTimeout), error


def test_broker_restarted_under_load(own_server, hosting, book):
    with hosted({"AMQP_URI": own_server.uri}) as services:
        process = hosting(own_server.uri)
        load = Load(services)
        wait_until(lambda: len(load.returned) > 50 and len(load.dispatched) > 10)
        own_server.restart()
        recovers(services, load)
        all_are_handled(load, book, process)
        process.process.terminate()
        assert process.wait() == 0

    all_is_well(load, book)


def test_broker_killed_and_started_again_under_load(own_server, hosting, book):
    with hosted({"AMQP_URI": own_server.uri}) as services:
        process = hosting(own_server.uri)
        load = Load(services)
        wait_until(lambda: len(load.returned) > 50 and len(load.dispatched) > 10)
        own_server.kill()
        own_server.resume()
        recovers(services, load)
        all_are_handled(load, book, process)
        process.process.terminate()
        assert process.wait() == 0

    all_is_well(load, book)


def test_broker_frozen_for_a_moment_under_load_is_waited_for(own_server, hosting, book):
    with hosted({"AMQP_URI": own_server.uri}) as services:
        process = hosting(own_server.uri)
        load = Load(services)
        wait_until(lambda: len(load.returned) > 50 and len(load.dispatched) > 10)
        own_server.freeze()
        standstill(load)
        own_server.thaw()
        recovers(services, load)
        all_are_handled(load, book, process)
        process.process.terminate()
        assert process.wait() == 0

    assert (load.failed, load.undispatched) == ([], [])
    all_is_well(load, book)


def standstill(load):
    """Wait until all callers wait, so that nothing comes back any more."""
    seen, since = -1, monotonic()
    while monotonic() < since + 0.5:
        if len(load.returned) != seen:
            seen, since = len(load.returned), monotonic()
        sleep(0.01)


def test_broker_frozen_under_load_is_given_up_after_two_heartbeats(
    own_server, hosting, book, caplog
):
    with hosted({"AMQP_URI": own_server.uri, "HEARTBEAT": 1}) as services:
        process = hosting(own_server.uri, "--define", "HEARTBEAT=1")
        load = Load(services, timeout=4)
        wait_until(lambda: len(load.returned) > 50 and len(load.dispatched) > 10)
        began = monotonic()
        own_server.freeze()
        wait_until(lambda: caplog.text.count("heartbeats missed") == 2)
        process.wait_for("heartbeats missed")
        noticed_after = monotonic() - began
        wait_until(lambda: load.failed)
        own_server.thaw()
        recovers(services, load)
        all_are_handled(load, book, process)
        process.process.terminate()
        assert process.wait() == 0

    assert noticed_after < 4
    all_is_well(load, book, timeout=4)


def test_connections_closed_by_force_under_load(vhost_uri, management_api, hosting, book):
    with hosted({"AMQP_URI": vhost_uri}) as services:
        process = hosting(vhost_uri)
        load = Load(services)
        wait_until(lambda: len(load.returned) > 50 and len(load.dispatched) > 10)
        vhost = vhost_uri.rpartition("/")[2]
        names = wait_until(lambda: connections_of(management_api, vhost, at_least=4), seconds=20)
        for name in names:
            management_api.close_connection(name)
        recovers(services, load)
        all_are_handled(load, book, process)
        process.process.terminate()
        assert process.wait() == 0

    all_is_well(load, book)


def test_channels_closed_by_force_under_load(vhost_uri, book, monkeypatch, caplog):
    monkeypatch.setenv("LEDGER", str(book.path))
    with hosted({"AMQP_URI": vhost_uri}, Ledger) as services:
        load = Load(services, timeout=4)
        wait_until(lambda: len(load.returned) > 50 and len(load.dispatched) > 10)
        for link in links_of(services):
            for channel in channels_of(link):
                # An ack of what was never delivered: the broker closes the channel for that.
                channel.basic_ack(2**40)
        wait_until(lambda: caplog.text.count("unknown delivery tag") >= 3)
        recovers(services, load)
        wait_until(lambda: set(load.dispatched) <= set(book.counts("event")), seconds=20)
        generations = [link.generation for link in links_of(services)]

    assert generations == [1, 1]
    assert {type(error) for _number, error in load.undispatched} <= {ConnectionLost}
    all_is_well(load, book, timeout=4)


def links_of(services):
    connection = services.extension(Messaging).connection
    return connection.consuming, connection.publishing


def channels_of(link):
    return [channel for number, channel in link._driver.channels.items() if number]


def test_exclusive_queue_of_a_broadcast_handler_is_made_anew(vhost_uri, proxy):
    class Listener:
        name = "listener"
        heard = []

        @event_handler("caller", "happened", handler_type=BROADCAST, reliable_delivery=False)
        def handle(self, number):
            self.heard.append(number)

    with hosted({"AMQP_URI": vhost_uri}) as services:
        with run_services({"AMQP_URI": proxy.uri}, Listener):
            services.dispatch("happened", 1)
            wait_until(lambda: Listener.heard == [1])
            for number in range(2, 5):
                proxy.cut(reset=True)
                repeated = spawn(repeat, services.dispatch, "happened", number)
                wait_until(lambda number=number: number in Listener.heard)
                kill(repeated)

    assert set(Listener.heard) == {1, 2, 3, 4}


def repeat(function, *args):
    """Call a function again and again: what nobody listens to is lost."""
    while True:
        function(*args)
        sleep(0.05)


def connections_of(api, vhost, at_least):
    found = [each for each in api.request("GET", "connections") if each.get("vhost") == vhost]
    return [each["name"] for each in found] if len(found) >= at_least else []


@pytest.mark.parametrize("queue", ["rpc-ledger", "evt-caller-happened--ledger.handle"])
def test_queue_deleted_under_load(vhost_uri, hosting, book, queue):
    with hosted({"AMQP_URI": vhost_uri}) as services:
        # With one request in hand, those of the other callers are in the queue.
        process = hosting(vhost_uri, "--define", "PREFETCH_COUNT=1")
        load = Load(services, timeout=2)
        wait_until(lambda: len(load.returned) > 20 and len(load.dispatched) > 5)
        channel = services.extension(Messaging).connection.consuming.channel()
        channel.queue_delete(queue)
        recovers(services, load)
        process.process.terminate()
        assert process.wait() == 0

    assert "cancelled the consumer" in process.errors
    all_is_well_but_for_what_was_in_the_queue(load, book, queue)


def all_is_well_but_for_what_was_in_the_queue(load, book, queue):
    """Check what is promised whichever queue is deleted: its content is lost, nothing else."""
    assert set(load.returned) <= set(book.counts("call"))
    assert load.slowest < 3
    assert load.undispatched == []
    if queue == "rpc-ledger":
        # There is nowhere to put a call that is made before the queue is declared again.
        errors = {type(error) for _number, error in load.failed}
        assert errors - {UnknownService} == {RpcTimeout}
    else:
        assert load.failed == []


def test_call_that_runs_while_its_connection_is_lost_is_run_once(vhost_uri):
    entered, end, calls = Event(), Event(), []

    class Service:
        name = "service"

        @rpc
        def method(self):
            calls.append("begun")
            entered.set()
            end.wait()
            return "returned"

        @event_handler("caller", "happened")
        def handle(self, payload):
            self.method()
            calls.append("handled")

    with hosted({"AMQP_URI": vhost_uri}, Service) as services:
        reply = services.rpc.service.method.call_async()
        services.dispatch("happened", 1)
        wait_until(lambda: len(calls) == 2)
        messaging = services.extension(Messaging, "service")
        messaging.connection.consuming.abort("the test wants it")
        wait_until(lambda: messaging.intake.taken_over == 2)
        end.set()

        assert reply.result() == "returned"
        wait_until(lambda: "handled" in calls)
    assert calls == ["begun", "begun", "handled"]


def test_broker_that_is_away_at_the_start_is_waited_for(hosting, start, book):
    server = RabbitServer()
    try:
        server.start()
        uri = server.uri
        server.halt()
        process = start("run", "--broker", uri, "tests.faults.ledger")
        process.wait_for("cannot reach the broker amqp://guest:********@127.0.0.1")
        server.resume()
        process.wait_for("services are up")
        process.process.terminate()
        assert process.wait() == 0
        assert "guest:guest" not in process.errors
    finally:
        server.stop()


def test_call_made_while_the_broker_is_down_fails_in_time_and_the_next_succeeds(
    own_server, hosting, book
):
    with hosted({"AMQP_URI": own_server.uri}) as services:
        hosting(own_server.uri)
        assert services.rpc.ledger.write(1) == 1
        own_server.halt()
        with pytest.raises(RpcTimeout, match=r"ledger.write within 0.5 s"):
            services.rpc.ledger.write.with_options(timeout=0.5)(2)
        with pytest.raises(BrokerUnavailable):
            services.dispatch("happened", 3, timeout=0.5)
        waiting = spawn(services.rpc.ledger.write.with_options(timeout=40), 4)
        sleep(0)
        own_server.resume()

        assert waiting.wait() == 4
        assert services.rpc.ledger.write(5) == 5
    assert book.counts("call") == {1: 1, 4: 1, 5: 1}


def test_what_the_broker_has_forgotten_is_declared_before_the_next_publish(own_server):
    fleeting = kombu.Exchange("fleeting", type="fanout", durable=False)

    class Source:
        name = "source"
        publish = Publisher(fleeting)

        @rpc
        def method(self, number):
            self.publish(number, timeout=40)

    with hosted({"AMQP_URI": own_server.uri}, Source) as services:
        services.rpc.source.method(0)
        own_server.halt()
        method = services.rpc.source.method.with_options(timeout=60)
        waiting = [spawn(method, number) for number in range(5)]
        sleep(0)
        own_server.resume()

        assert [thread.wait() for thread in waiting] == [None] * 5
