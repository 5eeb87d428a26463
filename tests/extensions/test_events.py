"""Events, on the embedded broker and on RabbitMQ."""

import logging

import pytest

from rpcnode.concurrency import Event, spawn
from rpcnode.containers import ServiceContainer
from rpcnode.contextdata import Language
from rpcnode.events import (
    BROADCAST,
    SINGLETON,
    EventDispatcher,
    EventHandler,
    event_handler,
)
from rpcnode.exceptions import (
    ConfigurationError,
    EventHandlerConfigurationError,
    UndeliverableMessage,
    UnserializableValueError,
)
from rpcnode.extensions import DependencyProvider
from rpcnode.rpc import rpc
from tests.hosting import hosted, take, wait_until

SOURCE = "caller"  # the service of the tests' caller


class Shop:
    """Makes services that handle the caller's events, and remembers what they got."""

    def __init__(self, event_type="placed", fail=(), **options):
        self.got = []
        self.event_type, self.fail, self.options = event_type, list(fail), options

    def service(self, service_name="mailer", instance=None, **more):
        shop = self

        class Service:
            name = service_name
            message = CurrentMessage()

            @event_handler(SOURCE, self.event_type, **{**self.options, **more})
            def handle(self, payload):
                shop.got.append(payload if instance is None else (instance, payload))
                if shop.fail:
                    raise shop.fail.pop(0)

        return Service


class CurrentMessage(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx.message


def handler_of(services, name="mailer"):
    return services.extension(EventHandler, name)


def test_event_reaches_its_handler(config):
    shop = Shop()
    with hosted(config, shop.service()) as services:
        services.dispatch("placed", {"sku": "plum"})
        services.dispatch("cancelled", {"sku": "apple"})

        wait_until(lambda: shop.got)
    assert shop.got == [{"sku": "plum"}]


def test_context_travels_with_events(config):
    languages = []

    class Service:
        name = "service"
        language = Language()

        @event_handler(SOURCE, "placed")
        def handle(self, payload):
            languages.append(self.language)

    with hosted(config, Service) as services:
        services.dependency("dispatch", {"language": "de"})("placed", 1)
        wait_until(lambda: languages)

    assert languages == ["de"]


def test_each_service_gets_an_event_once(config):
    shop = Shop()
    with (
        hosted(config, shop.service("one", 1), shop.service("two", 2)) as services,
        hosted(config, shop.service("one", 1)),
    ):
        for number in range(10):
            services.dispatch("placed", number)
        wait_until(lambda: len(shop.got) == 20)

    assert sorted(shop.got) == sorted([(who, n) for who in (1, 2) for n in range(10)])


def test_one_of_all_services_gets_a_singleton_event(config):
    shop = Shop(handler_type=SINGLETON)
    with hosted(config, shop.service("one"), shop.service("two")) as services:
        for number in range(10):
            services.dispatch("placed", number)
        wait_until(lambda: len(shop.got) == 10)

    assert sorted(shop.got) == list(range(10))


def test_every_instance_gets_a_broadcast_event(config):
    shop = Shop(handler_type=BROADCAST)
    with (
        hosted(config, shop.service(instance=1)) as services,
        hosted(config, shop.service(instance=2)),
    ):
        services.dispatch("placed", "x")
        wait_until(lambda: len(shop.got) == 2)

    assert sorted(shop.got) == [(1, "x"), (2, "x")]


def test_handler_type_is_compared_by_value(config):
    shop = Shop(handler_type=BROADCAST[:5] + BROADCAST[5:])
    with hosted(config, shop.service()) as services:
        services.dispatch("placed", "x")
        wait_until(lambda: shop.got)


def test_event_types_may_have_wildcards(config):
    class Service:
        name = "service"
        got = []

        @event_handler(SOURCE, "order.*")
        def orders(self, payload):
            self.got.append(("orders", payload))

        @event_handler(SOURCE, "#")
        def everything(self, payload):
            self.got.append(("everything", payload))

    with hosted(config, Service) as services:
        services.dispatch("order.placed", 1)
        services.dispatch("other", 2)
        wait_until(lambda: len(Service.got) == 3)

    assert sorted(Service.got) == [("everything", 1), ("everything", 2), ("orders", 1)]


def test_two_handlers_of_one_event_both_get_it(config):
    class Service:
        name = "service"
        got = []

        @event_handler(SOURCE, "placed")
        def one(self, payload):
            self.got.append("one")

        @event_handler(SOURCE, "placed")
        def two(self, payload):
            self.got.append("two")

    with hosted(config, Service) as services:
        services.dispatch("placed", 1)
        wait_until(lambda: len(Service.got) == 2)

    assert sorted(Service.got) == ["one", "two"]


def test_events_wait_for_a_service_that_is_away(config):
    shop = Shop()
    with hosted(config) as services:
        with hosted(config, shop.service()):
            pass
        services.dispatch("placed", "while away")
        with hosted(config, shop.service()):
            wait_until(lambda: shop.got)


def test_unreliable_handler_misses_what_came_while_it_was_away(config):
    shop = Shop(reliable_delivery=False)
    with hosted(config) as services:
        with hosted(config, shop.service()):
            pass
        services.dispatch("placed", "while away")
        with hosted(config, shop.service()):
            services.dispatch("placed", "now")
            wait_until(lambda: shop.got)

    assert shop.got == ["now"]


def test_reliable_broadcast_needs_an_identifier():
    with pytest.raises(EventHandlerConfigurationError, match=r"mailer.handle.*broadcast_id"):
        ServiceContainer(Shop(handler_type=BROADCAST, reliable_delivery=True).service(), {})


def test_reliable_broadcast_waits_for_its_instance(config):
    class Handler(EventHandler):
        broadcast_identifier = "host-1"

    got = []

    class Service:
        name = "service"

        @Handler.decorator(SOURCE, "placed", handler_type=BROADCAST, reliable_delivery=True)
        def handle(self, payload):
            got.append(payload)

    with hosted(config) as services:
        with hosted(config, Service):
            pass
        services.dispatch("placed", "while away")
        with hosted(config, Service):
            wait_until(lambda: got)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"handler_type": "all"}, "handler_type must be one of"),
        ({"no_such_option": 1}, "no_such_option"),
        ({"max_workers": 0}, "max_workers"),
    ],
)
def test_wrong_options_are_refused(options, text):
    with pytest.raises(ConfigurationError, match=text):
        Shop(**options).service()


def test_name_that_no_broker_takes_is_refused_at_bind():
    with pytest.raises(ConfigurationError, match="bytes"):
        ServiceContainer(Shop("x" * 200).service(), {})


def test_method_without_room_for_the_payload_is_refused_at_start(config):
    class Service:
        name = "service"

        @event_handler(SOURCE, "placed")
        def handle(self): ...

    with pytest.raises(ConfigurationError, match=r"service.handle"), hosted(config, Service):
        pass


def test_failed_event_ends_in_the_dead_queue_with_its_reason(config, caplog):
    caplog.set_level(logging.INFO)
    shop = Shop(fail=[ValueError("boom")])
    with hosted(config, shop.service()) as services:
        services.dispatch("placed", {"sku": "plum"}, headers={"shop": "x"}, expiration=60)
        dead = take(services, "evt-caller-placed--mailer.handle.dead")
        services.dispatch("placed", "next")
        wait_until(lambda: shop.got[1:] == ["next"])

    headers = dead.properties["application_headers"]
    assert dead.body == b'{"sku":"plum"}'
    assert dead.properties["delivery_mode"] == 2
    assert "expiration" not in dead.properties
    assert headers["rpcnode-dead-reason"] == "exhausted"
    assert headers["rpcnode-exc-type"] == "ValueError"
    assert headers["rpcnode-exc-message"] == "boom"
    assert headers["rpcnode-traceback"].rstrip().endswith("ValueError: boom")
    assert headers["rpcnode-attempts"] == 1
    assert headers["rpcnode-handler"] == "mailer.handle"
    assert headers["rpcnode-origin-exchange"] == "caller.events"
    assert headers["rpcnode-origin-key"] == "placed"
    assert headers["rpcnode-origin-expiration"] == "60000"
    assert headers["rpcnode-first-failed"] == headers["rpcnode-last-failed"]
    assert headers["shop"] == "x"
    assert "goes to 'evt-caller-placed--mailer.handle.dead'" in caplog.text


def test_broadcast_handlers_share_a_dead_queue(config):
    shop = Shop(handler_type=BROADCAST, fail=[ValueError("boom"), ValueError("boom")])
    with (
        hosted(config, shop.service()) as services,
        hosted(config, shop.service()),
    ):
        services.dispatch("placed", "x")
        for _ in range(2):
            take(services, "evt-caller-placed--mailer.handle.dead")


def test_requeue_on_error_means_once(config):
    shop = Shop(fail=[ValueError("first"), ValueError("second")], requeue_on_error=True)
    with hosted(config, shop.service()) as services:
        services.dispatch("placed", "x")
        dead = take(services, "evt-caller-placed--mailer.handle.dead")

    assert shop.got == ["x", "x"]
    assert dead.properties["application_headers"]["rpcnode-exc-message"] == "second"
    assert dead.properties["application_headers"]["rpcnode-attempts"] == 2


def test_requeued_event_may_succeed(config):
    shop = Shop(fail=[ValueError("first")], requeue_on_error=True)
    with hosted(config, shop.service()) as services:
        services.dispatch("placed", "x")
        wait_until(lambda: len(shop.got) == 2)
        services.dispatch("placed", "y")
        wait_until(lambda: len(shop.got) == 3)


def test_filtered_events_are_acked_and_not_run(config):
    shop = Shop(filter=lambda payload: payload["total"] > 10)
    with hosted(config, shop.service()) as services:
        services.dispatch("placed", {"total": 1})
        services.dispatch("placed", {"total": 11})
        wait_until(lambda: shop.got and handler_of(services).filtered)

        assert shop.got == [{"total": 11}]
        assert handler_of(services).filtered == 1


def test_event_that_the_filter_cannot_read_is_dead(config):
    shop = Shop(filter=lambda payload: payload["total"] > 10)
    with hosted(config, shop.service()) as services:
        services.dispatch("placed", {})
        dead = take(services, "evt-caller-placed--mailer.handle.dead")

    assert dead.properties["application_headers"]["rpcnode-dead-reason"] == "invalid"
    assert shop.got == []


def test_dispatch_to_nobody_is_fine_unless_it_is_mandatory(config):
    with hosted(config) as services:
        services.dispatch("placed", 1)
        with pytest.raises(UndeliverableMessage, match=r"caller.events.*placed"):
            services.dispatch("placed", 1, mandatory=True)


def test_what_cannot_be_dispatched_is_told(config):
    with hosted(config) as services:
        with pytest.raises(UnserializableValueError):
            services.dispatch("placed", object())
        with pytest.raises(ConfigurationError, match="no publisher option 'colour'"):
            services.dispatch("placed", 1, colour="red")
        with pytest.raises(ConfigurationError, match="colour"):
            EventDispatcher(colour="red")


def test_options_of_nameko_without_effect_are_accepted(config, caplog):
    class Service:
        name = "service"
        dispatch = EventDispatcher(retry_policy={"max_retries": 3})

        @rpc
        def method(self):
            self.dispatch("done", 1)

    with hosted(config, Service) as services:
        services.rpc.service.method()

    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "'retry_policy' has no effect" in warnings[0].getMessage()


def test_handler_with_one_worker_handles_one_event_at_a_time(config):
    running, most, end = [], [], Event()

    class Service:
        name = "service"

        @event_handler(SOURCE, "placed", max_workers=1)
        def handle(self, payload):
            running.append(payload)
            most.append(len(running))
            end.wait()
            running.remove(payload)

    with hosted(config, Service) as services:
        for number in range(3):
            services.dispatch("placed", number)
        wait_until(lambda: running)
        end.set()
        wait_until(lambda: len(most) == 3)

    assert most == [1, 1, 1]


def test_stop_gives_back_what_was_not_started(config):
    entered, end, got = Event(), Event(), []

    class Service:
        name = "service"

        @event_handler(SOURCE, "placed", max_workers=1)
        def handle(self, payload):
            entered.set()
            end.wait()
            got.append(payload)

    with hosted({**config, "PREFETCH_COUNT": 5}) as services:
        with hosted({**config, "PREFETCH_COUNT": 5}, Service) as stopping:
            for number in range(4):
                services.dispatch("placed", number)
            entered.wait(5)
            container = stopping.container("service")
            wait_until(lambda: container.lanes[1].pending == 3)
            thread = spawn(container.stop)
            wait_until(lambda: container.lanes[1].pending == 0)
            end.set()
            thread.wait()
        assert got == [0]
        with hosted(config, Service):
            wait_until(lambda: len(got) == 4)

    assert got == [0, 1, 2, 3]
