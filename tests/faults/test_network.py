"""What a network does: it stalls, it ends one way of a connection, it is slow."""

from time import monotonic

import pytest

from rpcnode.concurrency import Event, sleep, spawn
from rpcnode.events import event_handler
from rpcnode.exceptions import BrokerUnavailable, PublishTimeout, RpcTimeout
from rpcnode.extensions.connection import Messaging
from rpcnode.rpc import rpc
from rpcnode.runners import run_services
from tests.amqp.broker import count, linked
from tests.faults.proxy import TO_BROKER, TO_CLIENT
from tests.hosting import hosted, wait_until

WAYS = [TO_BROKER, TO_CLIENT]
LARGE = "x" * 20_000


class Service:
    """What is called, and hears events; each test has a class of its own."""

    name = "service"

    def __init_subclass__(cls):
        cls.entered, cls.end, cls.heard, cls.runs = Event(), Event(), [], []

    @rpc
    def echo(self, value):
        return value

    @rpc
    def wait(self):
        self.runs.append("begun")
        self.entered.set()
        self.end.wait()
        return "returned"

    @event_handler("caller", "happened")
    def handle(self, payload):
        self.heard.append(payload)


@pytest.fixture
def service():
    class Fresh(Service):
        pass

    return Fresh


def links_of(services):
    connection = services.extension(Messaging).connection
    return connection.consuming, connection.publishing


def generations_of(services):
    return [link.generation for link in links_of(services)]


@pytest.mark.parametrize("way", [*WAYS, None])
def test_peer_that_stalls_is_noticed_and_nobody_waits_longer_than_said(proxy, service, way):
    config = {"AMQP_URI": proxy.uri, "HEARTBEAT": 1}
    with hosted(config, service) as services:
        assert services.rpc.service.echo(1) == 1
        services.dispatch("happened", 1)
        proxy.stall(way)
        began = monotonic()
        with pytest.raises(RpcTimeout):
            services.rpc.service.echo.with_options(timeout=0.4)(2)
        with pytest.raises((PublishTimeout, BrokerUnavailable)):
            services.dispatch("happened", 2, timeout=0.4)
        failed_after = monotonic() - began
        wait_until(lambda: not any(link.is_connected for link in links_of(services)))
        noticed_after = monotonic() - began
        proxy.heal()

        assert services.rpc.service.echo.with_options(timeout=20)(3) == 3
        services.dispatch("happened", 3, timeout=20)
        wait_until(lambda: {1, 3} <= set(service.heard))
    assert 0.8 <= failed_after < 2
    # Two heartbeats, and what passes until somebody looks: a fourth of one here. RabbitMQ itself
    # looks twice in a heartbeat, and it is the one that notices when our way to it is stalled.
    assert noticed_after < 4


@pytest.mark.parametrize("way", WAYS)
def test_half_closed_connection_is_given_up_and_its_calls_return(proxy, service, way):
    with hosted({"AMQP_URI": proxy.uri}, service) as services:
        reply = services.rpc.service.wait.call_async()
        service.entered.wait()
        assert services.rpc.service.echo(1) == 1
        proxy.half_close(way)
        wait_until(lambda: generations_of(services) == [2, 2])
        # The request comes again, and is known to be running.
        wait_until(lambda: services.extension(Messaging, "service").intake.taken_over)
        service.end.set()

        assert reply.result(timeout=10) == "returned"
        assert services.rpc.service.echo(2) == 2
        services.dispatch("happened", 1)
        wait_until(lambda: service.heard == [1])
    assert service.runs == ["begun"]


@pytest.mark.parametrize("reset", [True, False])
def test_connection_that_is_cut_is_made_anew_and_its_calls_return(proxy, service, reset):
    with hosted({"AMQP_URI": proxy.uri}, service) as services:
        reply = services.rpc.service.wait.call_async()
        service.entered.wait()
        intake = services.extension(Messaging, "service").intake
        for generation in (2, 3, 4):
            proxy.cut(reset=reset)
            wait_until(lambda expected=generation: generations_of(services) == [expected] * 2)
            wait_until(lambda expected=generation: intake.taken_over >= expected - 1)
            assert services.rpc.service.echo(generation) == generation
        service.end.set()

        assert reply.result(timeout=10) == "returned"
    assert service.runs == ["begun"]


def test_event_that_is_handled_while_its_connection_is_lost_is_not_handled_again(vhost_uri, proxy):
    class Service:
        name = "service"
        runs, entered, end = [], Event(), Event()

        @event_handler("caller", "happened")
        def handle(self, _payload):
            self.entered.set()
            self.end.wait()
            self.runs.append("handled")

    with hosted({"AMQP_URI": proxy.uri}, Service) as services:
        services.dispatch("happened", 1)
        Service.entered.wait()
        proxy.refuse()
        proxy.cut()
        wait_until(lambda: not links_of(services)[0].is_connected)
        Service.end.set()
        wait_until(lambda: Service.runs)
        proxy.admit()
        intake = services.extension(Messaging, "service").intake
        wait_until(lambda: intake.taken_over == 1)

    assert Service.runs == ["handled"]
    assert left_in(vhost_uri, "evt-caller-happened--service.handle") == 0


def test_call_that_is_answered_while_its_connection_is_lost_is_not_run_again(
    vhost_uri, proxy, service
):
    with hosted({"AMQP_URI": proxy.uri}, service) as services:
        reply = services.rpc.service.wait.call_async()
        service.entered.wait()
        consuming = links_of(services)[0]
        proxy.refuse()
        proxy.cut(connection=proxy.connection_from(consuming._driver.sock.getsockname()[1]))
        wait_until(lambda: not consuming.is_connected)
        messaging = services.extension(Messaging, "service")
        service.end.set()
        # Its reply goes out by the other connection, which is still there.
        assert messaging.outbox.wait_idle(5)
        proxy.admit()
        wait_until(lambda: messaging.intake.taken_over == 1)

        assert reply.result(timeout=10) == "returned"
    assert service.runs == ["begun"]
    assert left_in(vhost_uri, "rpc-service") == 0


def left_in(uri, queue):
    """Return how many messages nobody has acked."""
    with linked(uri) as link:
        return count(link, queue)


@pytest.mark.parametrize("way", WAYS)
def test_caller_behind_a_slow_line_gets_its_replies_and_is_not_taken_for_dead(
    vhost_uri, proxy, service, way
):
    with run_services({"AMQP_URI": vhost_uri}, service):
        with hosted({"AMQP_URI": proxy.uri, "HEARTBEAT": 1}) as services:
            echo = services.rpc.service.echo
            assert echo(1) == 1
            proxy.throttle(150_000, way)
            began = monotonic()
            threads = [spawn(echo, LARGE) for _ in range(12)]
            sleep(0)  # their requests are ahead of the next one
            with pytest.raises(RpcTimeout):
                echo.with_options(timeout=0.5)(LARGE)
            failed_after = monotonic() - began

            assert [thread.wait() for thread in threads] == [LARGE] * 12
            assert monotonic() - began > 1
            proxy.heal()
            assert echo(2) == 2
            assert generations_of(services) == [1, 1]
    assert failed_after < 1.5


def test_service_that_reads_slowly_holds_up_nobody_else(vhost_uri, proxy, service):
    class Other:
        name = "other"

        @rpc
        def echo(self, value):
            return value

    with hosted({"AMQP_URI": vhost_uri}, Other) as services:
        with run_services({"AMQP_URI": proxy.uri, "HEARTBEAT": 1}, service):
            proxy.throttle(200_000, TO_CLIENT)
            slowest = 0.0
            for number in range(20):
                services.dispatch("happened", [number, LARGE])
                began = monotonic()
                services.rpc.other.echo(number)
                slowest = max(slowest, monotonic() - began)
            was_behind = len(service.heard) < 20
            wait_until(lambda: len(service.heard) >= 20)

    assert was_behind
    assert slowest < 0.5
    assert sorted(number for number, _ in service.heard) == list(range(20))


def test_late_network_makes_calls_late_and_nothing_else(proxy, service):
    with hosted({"AMQP_URI": proxy.uri, "HEARTBEAT": 1}, service) as services:
        proxy.delay(0.05)
        began = monotonic()
        threads = [spawn(services.rpc.service.echo, number) for number in range(50)]

        assert [thread.wait() for thread in threads] == list(range(50))
        # There and back, for caller and service: what is sent together is late together.
        assert 0.2 <= monotonic() - began < 2
        proxy.heal()
        assert generations_of(services)[0] == 1
