"""RPC, on the embedded broker and on RabbitMQ."""

import logging
import time
from datetime import datetime
from decimal import Decimal

import pytest
from amqp.exceptions import NotFound

from rpcnode.concurrency import Event, Timeout, kill, sleep, spawn
from rpcnode.context import WorkerContext
from rpcnode.contextdata import CallStack, Language
from rpcnode.exceptions import (
    BrokerUnavailable,
    ConfigurationError,
    ConnectionLost,
    DeadlineExceeded,
    IncorrectSignature,
    MethodNotFound,
    RemoteError,
    RpcTimeout,
    UnknownService,
    UnserializableHeader,
    UnserializableValueError,
    deserialize_to_instance,
    registry,
)
from rpcnode.extensions import DependencyProvider
from rpcnode.extensions.connection import Messaging
from rpcnode.extensions.replies import ReplyListener
from rpcnode.extensions.rpc_server import RpcConsumer
from rpcnode.rpc import ClusterRpc, RpcProxy, rpc
from tests.hosting import Caller, hosted, wait_until


class Maths:
    name = "maths"

    @rpc
    def add(self, left, right=1):
        return left + right

    @rpc
    def fail(self, *args):
        raise ValueError(*args)

    @rpc
    def echo(self, value):
        return value


class Gate:
    """Makes a service whose method waits until it is told to go on."""

    def __init__(self, **options):
        self.entered, self.open, self.calls, self.ended = Event(), Event(), [], []
        gate = self

        class Service:
            name = "gate"

            @rpc(**options)
            def enter(self, value=None):
                gate.calls.append(value)
                gate.entered.set()
                try:
                    gate.open.wait()
                except DeadlineExceeded:
                    gate.ended.append(value)
                    raise
                return value

        self.service = Service


def pending(services):
    return services.extension(ReplyListener).pending


def test_call_returns_what_the_method_returns(config):
    with hosted(config, Maths) as services:
        assert services.rpc.maths.add(2, 3) == 5
        assert services.rpc.maths.add(left=2) == 3
        assert services.rpc["maths"]["add"](1) == 2


def test_values_arrive_as_they_were_sent(config):
    values = [None, True, 1.5, "ü", [1, {"a": [2]}], {"__type__": 1, "__value__": 2}]
    typed = [datetime(2026, 1, 2, 3, 4, 5), Decimal("1.10"), b"bytes", b"\xff\xfe"]

    with hosted(config, Maths) as services:
        assert services.rpc.maths.echo(values) == values
        assert services.rpc.maths.echo(typed) == typed
        assert services.rpc.maths.echo((1, 2)) == [1, 2]


def test_large_payloads_travel(config):
    text = "x" * 5_000_000

    with hosted(config, Maths) as services:
        assert services.rpc.maths.echo(text) == text


def test_service_calls_another_service(config):
    class Shop:
        name = "shop"
        maths = RpcProxy("maths")

        @rpc
        def total(self, *prices):
            total = 0
            for price in prices:
                total = self.maths.add(total, price)
            return total

    with hosted(config, Maths, Shop) as services:
        assert services.rpc.shop.total(1, 2, 3) == 6


def test_calls_of_many_green_threads_get_their_own_answers(config):
    with hosted(config, Maths) as services:
        threads = [spawn(services.rpc.maths.echo, number) for number in range(300)]
        assert [thread.wait() for thread in threads] == list(range(300))
        assert pending(services) == 0


def test_remote_exception_arrives_as_a_remote_error(config):
    with hosted(config, Maths) as services:
        with pytest.raises(RemoteError) as caught:
            services.rpc.maths.fail("boom", {"n": 1})

    error = caught.value
    assert error.exc_type == "ValueError"
    assert error.exc_path == "builtins.ValueError"
    assert error.exc_args == ["boom", {"n": "1"}]
    assert str(error) == "ValueError ('boom', {'n': 1}) (calling maths.fail)"


def test_registered_exception_arrives_as_itself(config):
    @deserialize_to_instance
    class OutOfStock(Exception):
        pass

    class Service:
        name = "service"

        @rpc(expected_exceptions=OutOfStock)
        def method(self):
            raise OutOfStock("plum", 3)

    try:
        with hosted(config, Service) as services, pytest.raises(OutOfStock) as caught:
            services.rpc.service.method()
    finally:
        registry.pop(f"{__name__}.OutOfStock")

    assert caught.value.args == ("plum", "3")
    assert caught.value.__notes__ == ["raised by service.method"]


def test_error_keeps_its_type_over_two_hops(config):
    class Between:
        name = "between"
        maths = RpcProxy("maths")

        @rpc
        def method(self):
            self.maths.fail("boom")

    with hosted(config, Maths, Between) as services, pytest.raises(RemoteError) as caught:
        services.rpc.between.method()

    assert caught.value.exc_type == "ValueError"
    assert caught.value.value == "boom"


def test_unknown_service_is_told_in_one_round_trip(config):
    with hosted(config) as services:
        begin = time.monotonic()
        with pytest.raises(UnknownService, match=r"Unknown service `nobody` .*nobody.method"):
            services.rpc.nobody.method()

        assert time.monotonic() - begin < 2
        assert pending(services) == 0


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda rpc: rpc.maths.divide(1), MethodNotFound, "'divide'.*'maths'.*maths.divide"),
        (lambda rpc: rpc.maths.add(), IncorrectSignature, "left.*maths.add"),
        (lambda rpc: rpc.maths.add(1, 2, 3), IncorrectSignature, "too many.*maths.add"),
        (lambda rpc: rpc.maths.add(1, up=2), IncorrectSignature, "'up'.*maths.add"),
    ],
)
def test_wrong_calls_are_answered_with_typed_errors(config, call, error, text):
    with hosted(config, Maths) as services:
        with pytest.raises(error, match=text):
            call(services.rpc)
        assert services.rpc.maths.add(1) == 2


def test_result_that_cannot_be_sent_is_the_workers_error(config):
    outcomes = []

    class Watch(DependencyProvider):
        def worker_result(self, worker_ctx, result=None, exc_info=None):
            outcomes.append(exc_info[0])

    class Service:
        name = "service"
        watch = Watch()

        @rpc
        def method(self):
            return {"bad": object}

    with hosted(config, Service) as services:
        with pytest.raises(UnserializableValueError, match="<class 'object'>"):
            services.rpc.service.method()
        assert wait_until(lambda: outcomes) == [UnserializableValueError]


def test_what_cannot_be_sent_leaves_nothing_behind(config):
    with hosted(config, Maths) as services:
        with pytest.raises(UnserializableValueError):
            services.rpc.maths.echo(object())
        with pytest.raises(UnserializableHeader, match="bad-one"):
            services.rpc.maths.add.with_options(headers={"bad-one": object()})(1)

        assert pending(services) == 0
        assert services.rpc.maths.add(1) == 2


def test_generator_is_drained(config):
    class Service:
        name = "service"

        @rpc
        def method(self):
            yield 1
            yield 2

    with hosted(config, Service) as services:
        assert services.rpc.service.method() == [1, 2]


def test_async_call_is_asked_later_and_again(config):
    with hosted(config, Maths) as services:
        replies = [services.rpc.maths.add.call_async(number) for number in range(10)]

        assert [reply.result() for reply in replies] == list(range(1, 11))
        assert replies[0].result() == 1
        failing = services.rpc.maths.fail.call_async("boom")
        for _ in range(2):
            with pytest.raises(RemoteError, match="boom"):
                failing.result()


def test_async_call_that_was_too_slow_can_be_asked_again(config):
    gate = Gate()
    with hosted(config, gate.service) as services:
        reply = services.rpc.gate.enter.call_async("x")
        with pytest.raises(RpcTimeout, match=r"gate.enter within 0.05 s"):
            reply.result(timeout=0.05)
        gate.open.set()

        assert reply.result() == "x"


def test_async_call_that_nobody_asks_for_is_forgotten(config):
    gate = Gate()
    with hosted(config, gate.service) as services:
        reply = services.rpc.gate.enter.call_async()
        assert pending(services) == 1
        del reply

        assert pending(services) == 0
        gate.open.set()
        wait_until(lambda: services.extension(ReplyListener).unexpected == 1)


def test_error_of_an_async_call_that_nobody_asks_for_is_logged(config, caplog):
    with hosted(config) as services:
        reply = services.rpc.nobody.method.call_async()
        wait_until(lambda: pending(services) == 0)
        del reply

    assert "nobody.method failed, and nobody asked" in caplog.text


def test_cast_runs_the_method_and_sends_no_reply(config):
    gate = Gate()
    with hosted(config, gate.service) as services:
        assert services.rpc.gate.enter.cast("x") is None
        gate.entered.wait(5)
        gate.open.set()
        with pytest.raises(UnknownService):
            services.rpc.nobody.method.cast()

        assert gate.calls == ["x"]
        assert pending(services) == 0
    assert services.extension(ReplyListener).unexpected == 0


def test_call_ends_at_its_timeout(config):
    gate = Gate()
    with hosted(config, gate.service) as services:
        begin = time.monotonic()
        with pytest.raises(RpcTimeout, match=r"no reply from gate.enter within 0.1 s"):
            services.rpc.gate.enter.with_options(timeout=0.1)()

        assert 0.1 <= time.monotonic() - begin < 1
        assert pending(services) == 0
        wait_until(lambda: gate.ended)  # the method was interrupted, too


def test_default_timeout_is_configured(config):
    gate = Gate()
    with hosted({**config, "RPC_TIMEOUT": 0.1}, gate.service) as services:
        with pytest.raises(RpcTimeout, match=r"within 0.1 s"):
            services.rpc.gate.enter()
        with pytest.raises(RpcTimeout, match=r"within 0.1 s"):
            services.rpc.gate.enter.call_async().result()
        gate.open.set()


def test_call_without_limit_must_be_asked_for(config):
    seen = []

    class Service:
        name = "service"
        deadline = Deadline()

        @rpc
        def method(self):
            seen.append(self.deadline)

    with hosted(config, Service) as services:
        services.rpc.service.method.with_options(timeout=None)()
        services.rpc.service.method()

    assert seen[0] is None
    assert 28 < seen[1] - time.monotonic() <= 30


class Deadline(DependencyProvider):
    def get_dependency(self, worker_ctx):
        return worker_ctx.deadline


def test_call_without_limit_ends_when_its_container_has_stopped(config):
    with hosted(config, Maths) as services:
        endless = services.rpc.maths.add.with_options(timeout=None)
        assert endless(1) == 2

    with pytest.raises(RpcTimeout, match=r"no reply from maths.add: "):
        endless(1)


def test_callee_gets_what_is_left(config):
    gate, left = Gate(), []

    class Middle:
        name = "middle"
        gate = RpcProxy("gate")
        deadline = Deadline()

        @rpc
        def method(self):
            left.append(self.deadline - time.monotonic())
            try:
                self.gate.enter()
            except RpcTimeout:
                left.append("timeout")
                raise

    with hosted(config, gate.service, Middle) as services:
        with pytest.raises(RpcTimeout):
            services.rpc.middle.method.with_options(timeout=0.3)()
        wait_until(lambda: gate.ended)

    assert 0 < left[0] <= 0.3


def test_worker_out_of_time_sends_nothing(config):
    gate = Gate()
    gate.open.set()
    with hosted(config, gate.service) as services:
        services.rpc.gate.enter.cast("in time")
        assert services.rpc.gate.enter("in time, too") == "in time, too"
        late = services.dependency("rpc", deadline=time.monotonic() - 1)
        for call in (late.gate.enter, late.gate.enter.cast, late.gate.enter.call_async):
            with pytest.raises(RpcTimeout):
                call("late")
        with pytest.raises(BrokerUnavailable, match="no time left"):
            services.dependency("dispatch", deadline=time.monotonic() - 1)("happened", 1)

        assert pending(services) == 0
        assert services.rpc.gate.enter("last") == "last"
    assert "late" not in gate.calls


def test_method_ends_at_its_own_timeout(config):
    gate = Gate(timeout=0.1)
    with hosted(config, gate.service) as services:
        with pytest.raises(RpcTimeout, match=r"gate.enter.* ran past its deadline"):
            services.rpc.gate.enter()


def test_request_that_waited_too_long_is_not_run(config):
    gate = Gate()
    with hosted({**config, "MAX_WORKERS": 1}, gate.service) as services:
        first = services.rpc.gate.enter.call_async("first")
        gate.entered.wait(5)
        with pytest.raises(RpcTimeout):
            services.rpc.gate.enter.with_options(timeout=0.1)("second")
        # The service counts from when it received the request, a little later than its caller.
        over = time.monotonic() + 0.2
        wait_until(lambda: time.monotonic() > over)
        gate.open.set()

        assert first.result() == "first"
        wait_until(lambda: services.extension(RpcConsumer, "gate").counts.expired == 1)
    assert gate.calls == ["first"]


def test_service_that_calls_itself_with_one_worker_times_out(config):
    class Service:
        name = "service"
        itself = RpcProxy("service", timeout=0.2)

        @rpc
        def method(self):
            return self.itself.other()

        @rpc
        def other(self):
            return "other"

    with hosted({**config, "MAX_WORKERS": 1}, Service) as services:
        with pytest.raises((RpcTimeout, RemoteError), match=r"service.other within 0.2 s"):
            services.rpc.service.method()

        assert services.rpc.service.other() == "other"


def test_killed_waiter_leaves_nothing_behind(config):
    gate = Gate()
    with hosted(config, gate.service) as services:
        thread = spawn(services.rpc.gate.enter)
        gate.entered.wait(5)
        kill(thread)

        assert pending(services) == 0
        with Timeout(0.1, False):
            services.rpc.gate.enter()
        assert pending(services) == 0
        gate.open.set()


def test_context_travels_with_calls(config):
    class Service:
        name = "service"
        language = Language()
        stack = CallStack()

        @rpc
        def method(self):
            return self.language, self.stack

    class Between:
        name = "between"
        service = RpcProxy("service")

        @rpc
        def method(self):
            return self.service.method()

    with hosted(config, Service, Between) as services:
        caller = services.dependency("rpc", {"language": "de", "nothing": None})
        language, stack = caller.between.method()

    assert language == "de"
    assert [call_id.rpartition(".")[0] for call_id in stack] == [
        "caller.method",
        "between.method",
        "service.method",
    ]


def test_message_is_known_to_the_worker(config):
    class Message(DependencyProvider):
        def get_dependency(self, worker_ctx):
            return worker_ctx.message

    class Service:
        name = "service"
        message = Message()

        @rpc
        def method(self):
            message = self.message
            return {
                "id": message.id,
                "exchange": message.exchange,
                "key": message.routing_key,
                "queue": message.queue,
                "redelivered": message.redelivered,
                "app_id": message.properties["app_id"],
                "delivery_mode": message.properties["delivery_mode"],
                "header": message.headers["shop"],
                "published": message.properties["timestamp"] is not None,
            }

    with hosted(config, Service) as services:
        message = services.rpc.service.method.with_options(headers={"shop": "x"})()

    assert message.pop("id")
    assert message == {
        "exchange": "nameko-rpc",
        "key": "service.method",
        "queue": "rpc-service",
        "redelivered": False,
        "app_id": "caller",
        "delivery_mode": 1,
        "header": "x",
        "published": True,
    }


def test_expected_exceptions_are_warnings(config, caplog):
    class Service:
        name = "service"

        @rpc(expected_exceptions=KeyError)
        def method(self, key):
            return {}[key]

    with hosted(config, Service) as services:
        with pytest.raises(RemoteError, match="KeyError"):
            services.rpc.service.method("x")

    records = [record for record in caplog.records if record.name == "rpcnode.workers"]
    assert [record.levelno for record in records] == [logging.WARNING]


def test_system_exit_in_a_method_is_its_error(config):
    class Service:
        name = "service"

        @rpc
        def method(self):
            raise SystemExit(3)

        @rpc
        def other(self):
            return "alive"

    with hosted(config, Service) as services:
        with pytest.raises(RemoteError, match="SystemExit 3"):
            services.rpc.service.method()
        assert services.rpc.service.other() == "alive"


def test_two_instances_share_the_work(config):
    gates = [Gate(), Gate()]
    with hosted({**config, "MAX_WORKERS": 1, "PREFETCH_COUNT": 1}, gates[0].service) as services:
        with hosted({**config, "MAX_WORKERS": 1, "PREFETCH_COUNT": 1}, gates[1].service):
            replies = [services.rpc.gate.enter.call_async(number) for number in range(2)]
            for gate in gates:
                assert gate.entered.wait(5)
                gate.open.set()
            assert [reply.result() for reply in replies] == [0, 1]


def test_stop_finishes_what_runs_and_gives_back_the_rest(config):
    gate = Gate()
    with hosted(config) as services:
        with hosted({**config, "MAX_WORKERS": 1}, gate.service) as stopping:
            replies = [services.rpc.gate.enter.call_async(number) for number in range(3)]
            gate.entered.wait(5)
            thread = spawn(stopping.container("gate").stop)
            wait_until(lambda: stopping.container("gate").default_lane.pending == 0)
            gate.open.set()
            thread.wait()
        assert replies[0].result() == 0
        assert gate.calls == [0]
        with hosted(config, gate.service):
            assert [reply.result() for reply in replies] == [0, 1, 2]

    assert gate.calls == [0, 1, 2]


def test_method_with_workers_of_its_own_does_not_hold_up_others(config):
    gate = Gate(max_workers=1, queue_limit=2)

    class Service(gate.service):
        @rpc
        def other(self):
            return "other"

    with hosted(config, Service) as services:
        replies = [services.rpc.gate.enter.call_async(number) for number in range(3)]
        gate.entered.wait(5)

        assert services.rpc.gate.other() == "other"
        assert gate.calls == [0]
        gate.open.set()
        assert [reply.result() for reply in replies] == [0, 1, 2]


def test_reply_queue_is_deleted_at_the_stop(config):
    with hosted(config) as services:
        with hosted(config, Maths) as others:
            name = others.extension(ReplyListener)._consumer.queue_name
            assert queue_exists(services, name)
        assert not queue_exists(services, name)


def queue_exists(services, name):
    messaging = services.extension(Messaging)
    channel = messaging.connection.consuming.channel()
    try:
        channel.queue_declare(name, passive=True)
    except NotFound:
        return False
    channel.close()
    return True


def test_calls_fail_fast_when_their_reply_queue_is_deleted(config):
    gate = Gate()
    with hosted(config, gate.service) as services:
        reply = services.rpc.gate.enter.call_async()
        gate.entered.wait(5)
        listener, messaging = services.extension(ReplyListener), services.extension(Messaging)
        channel = messaging.connection.consuming.channel()
        channel.queue_delete(listener._consumer.queue_name)

        with pytest.raises(ConnectionLost, match=r"gate.enter.*reply queue"):
            reply.result(timeout=5)
        assert listener.wait_attached(5)
        gate.open.set()
        wait_until(lambda: services.extension(RpcConsumer, "gate").counts.unclaimed == 1)
        assert services.rpc.gate.enter("again") == "again"


def test_reply_that_nobody_can_get_is_dropped_and_counted(config):
    gate = Gate()
    with hosted(config, gate.service) as services:
        with hosted(config) as others:
            others.rpc.gate.enter.call_async()
            gate.entered.wait(5)
        gate.open.set()

        wait_until(lambda: services.extension(RpcConsumer, "gate").counts.unclaimed == 1)


def test_options_of_nameko_s_proxies_are_accepted(caplog):
    RpcProxy("maths", use_confirms=False, retry=True, serializer="json", expiration=5)

    assert "'serializer' has no effect" in caplog.text


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda: RpcProxy("maths", timout=5), "RpcProxy knows no option 'timout'"),
        (lambda: ClusterRpc(colour="red"), "ClusterRpc knows no option 'colour'"),
        (lambda: RpcProxy(""), "name of a service"),
        (lambda: RpcProxy(object), "name of a service"),
        (lambda: RpcProxy("maths", timeout="5"), "timeout must be seconds or None, not '5'"),
        (lambda: RpcProxy("maths", timeout=0), "above 0 seconds"),
    ],
)
def test_wrong_proxies_are_refused(declare, text):
    with pytest.raises(ConfigurationError, match=text):
        declare()


def test_timeouts_of_a_call_are_checked(config):
    with hosted(config, Maths) as services:
        with pytest.raises(ConfigurationError, match="seconds or None, not '1'"):
            services.rpc.maths.add.with_options(timeout="1")
        with pytest.raises(RpcTimeout, match=r"within -1 s"):
            services.rpc.maths.add.with_options(timeout=-1)(1)
        assert services.rpc.maths.add.with_options(timeout=1e9)(1) == 2


def test_proxies_say_what_they_are(config):
    with hosted(config) as services:
        assert repr(services.rpc) == "<ClusterProxy>"
        assert repr(services.rpc.maths) == "<ServiceProxy maths>"
        assert repr(services.rpc.maths.add) == "<MethodProxy maths.add>"
        with pytest.raises(AttributeError, match="_private"):
            _ = services.rpc.maths._private
        with pytest.raises(AttributeError, match="__len__"):
            _ = services.rpc.__len__


def test_cluster_proxy_is_a_dependency_of_its_own(config):
    class Service:
        name = "service"
        cluster = ClusterRpc(timeout=5)

        @rpc
        def method(self):
            return self.cluster["maths"].add(1)

    with hosted(config, Maths, Service) as services:
        assert services.rpc.service.method() == 2


def test_calling_costs_no_entry_that_stays(config):
    with hosted(config, Maths) as services:
        for _ in range(50):
            services.rpc.maths.add(1)
            with pytest.raises(UnknownService):
                services.rpc.nobody.method()
        sleep()

        assert pending(services) == 0
        assert services.extension(Messaging).publisher("requests and replies").unconfirmed == 0


def test_caller_is_a_service_like_any_other():
    assert isinstance(Caller.rpc, ClusterRpc)
    assert WorkerContext.__hash__ is object.__hash__
