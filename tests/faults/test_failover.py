"""Several brokers, of which one is used at a time, and another when it dies."""

import logging
import secrets
from time import monotonic

import pytest

from rpcnode.amqp.connection import Link
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.amqp.sharing import SharedConnection
from rpcnode.concurrency import socket, spawn
from rpcnode.exceptions import BrokerRefused, BrokerUnavailable, ConnectionLost, RpcTimeout
from tests.amqp.broker import cut, linked, with_credentials
from tests.faults.ledger import Ledger
from tests.faults.load import Load
from tests.faults.proxy import Proxy
from tests.faults.test_broker import recovers
from tests.hosting import hosted, wait_until
from tests.rabbitmq_server import RabbitServer, with_vhost

NOBODY = "amqp://guest:sesame@127.0.0.1:1//"


@pytest.fixture
def proxies(vhost_uri):
    """Two ways to one broker, each of which can be closed alone."""
    pair = Proxy(vhost_uri), Proxy(vhost_uri)
    yield pair
    for each in pair:
        each.close()


@pytest.fixture
def strangers(vhost_uri, rabbit_uri, management_api):
    """Ways to two virtual hosts that share nothing, as brokers without a cluster."""
    name = f"test-{secrets.token_hex(4)}"
    management_api.create_vhost(name)
    pair = Proxy(vhost_uri), Proxy(with_vhost(rabbit_uri, name))
    yield pair
    for each in pair:
        each.close()
    management_api.delete_vhost(name)


@pytest.fixture(scope="module")
def both():
    pair = RabbitServer(), RabbitServer()
    for server in pair:
        server.start()
    yield pair
    for server in pair:
        server.stop()


@pytest.fixture
def servers(both):
    """Two brokers that know nothing of each other, both up."""
    for server in both:
        server.resume()
    return both


def either(*brokers):
    return ";".join(each.uri for each in brokers)


def broker_of(link):
    return link._broker.uri


def test_first_that_answers_is_used(vhost_uri, caplog):
    with linked(f"{NOBODY};{vhost_uri}") as link:
        assert broker_of(link) == vhost_uri
    assert f"Trying {BrokerSettings(vhost_uri).safe_uri}" in caplog.text
    assert "sesame" not in caplog.text


def test_first_is_preferred_at_the_start(proxies):
    with linked(either(*proxies)):
        assert [each.accepted for each in proxies] == [1, 0]


def test_next_is_used_when_one_dies_and_the_first_when_that_dies_too(proxies, caplog):
    caplog.set_level(logging.INFO)
    first, second = proxies
    with linked(either(*proxies)) as link:
        first.refuse()
        first.cut()
        wait_until(lambda: link.is_connected and broker_of(link) == second.uri)
        first.admit()
        second.refuse()
        second.cut()
        wait_until(lambda: link.is_connected and broker_of(link) == first.uri)

        assert link.generation == 3
    shown = BrokerSettings(second.uri).safe_uri
    assert f"connection to {shown} is up" in caplog.text
    assert "guest:guest" not in caplog.text


def test_connection_that_is_merely_cut_comes_back_to_its_broker(proxies):
    first, second = proxies
    with linked(either(*proxies)) as link:
        first.refuse()
        first.cut()
        wait_until(lambda: link.is_connected and broker_of(link) == second.uri)
        first.admit()
        cut(link)
        link.wait_connected(10)

        assert broker_of(link) == second.uri


def test_both_connections_of_a_process_go_to_the_same_broker(proxies, caplog):
    first, second = proxies
    shared = SharedConnection(BrokerSettings(either(*proxies)))
    shared.open()
    shared.publishing.start()
    shared.publishing.wait_connected(10)
    first.refuse()  # what is connected stays so, and only one of them is cut
    cut(shared.consuming)

    wait_until(lambda: shared.consuming.is_connected and shared.publishing.generation == 2)
    shared.publishing.wait_connected(10)

    assert broker_of(shared.consuming) == broker_of(shared.publishing) == second.uri
    assert "the process has moved to" in caplog.text
    shared.close()


def test_each_address_has_its_own_time_to_answer(proxies, caplog):
    silent, answering = proxies
    silent.stall()
    began = monotonic()

    with linked(either(silent, silent, answering), connect_timeout=0.5) as link:
        took = monotonic() - began

        assert broker_of(link) == answering.uri
        assert 1 <= took < 4


def test_address_that_swallows_everything_takes_no_longer_than_its_time(vhost_uri):
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        clogging = [spawn(socket.create_connection, ("127.0.0.1", port), 5) for _ in range(3)]
        wait_until(lambda: clogging[0].dead)

        with linked(f"amqp://127.0.0.1:{port}//;{vhost_uri}", connect_timeout=0.5) as link:
            assert broker_of(link) == vhost_uri


def test_refusal_of_one_is_no_end_as_long_as_another_lets_us_in(vhost_uri, caplog):
    wrong = with_credentials(vhost_uri, "guest:sesame")

    with linked(f"{wrong};{vhost_uri}") as link:
        assert broker_of(link) == vhost_uri

    assert "refuses us" in caplog.text
    assert "sesame" not in caplog.text


def test_refusal_of_one_is_no_end_as_long_as_another_may_come(vhost_uri, proxies, caplog):
    away = proxies[0]
    away.refuse()
    wrong = with_credentials(vhost_uri, "guest:sesame")
    link = Link(BrokerSettings(f"{wrong};{away.uri}"), "tests'")
    opening = spawn(link.open)
    wait_until(lambda: caplog.text.count("refuses us") > 1)
    away.admit()
    opening.wait()

    assert broker_of(link) == away.uri
    link.close()


def test_refusal_of_all_is_the_end(vhost_uri):
    wrong = with_credentials(vhost_uri, "guest:sesame")
    link = Link(BrokerSettings(f"{wrong};{wrong}-elsewhere"), "tests'")

    with pytest.raises(BrokerRefused, match="refuses us") as caught:
        link.open()

    assert "sesame" not in str(caught.value)


def test_who_waited_long_enough_learns_what_is_wrong_with_each():
    link = Link(BrokerSettings(f"{NOBODY};{NOBODY.replace(':1//', ':2//')}"), "tests'")
    link.start()

    with pytest.raises(BrokerUnavailable, match=r"127.0.0.1:1//.*127.0.0.1:2//") as caught:
        link.wait_connected(0.5)

    assert "sesame" not in str(caught.value)
    link.close()


def goes_on(load):
    """Wait until calls and events get through (again)."""
    returned, dispatched = len(load.returned), len(load.dispatched)
    wait_until(lambda: len(load.returned) > returned + 50, seconds=40)
    wait_until(lambda: len(load.dispatched) > dispatched + 20, seconds=40)


def test_what_is_published_first_at_a_new_broker_finds_its_exchange(
    strangers, book, monkeypatch, caplog
):
    monkeypatch.setenv("LEDGER", str(book.path))
    first, _second = strangers
    with hosted({"AMQP_URI": either(*strangers)}, Ledger) as services:
        load = Load(services, callers=16, dispatchers=8)
        goes_on(load)
        first.refuse()
        first.cut()
        goes_on(load)
        load.end()

    assert {type(error) for _number, error in load.undispatched} <= {ConnectionLost}
    assert "no exchange" not in caplog.text


@pytest.mark.timeout(150)  # brokers are stopped and started six times
def test_brokers_die_and_return_under_load_and_nothing_confirmed_is_lost(servers, hosting, book):
    first, second = servers
    # So that its queues are there when the first events are: an event goes to those that exist.
    process = hosting(second.uri)
    process.process.terminate()
    assert process.wait() == 0
    with hosted({"AMQP_URI": either(*servers)}) as services:
        process = hosting(either(*servers))
        load = Load(services)
        goes_on(load)
        first.halt()
        goes_on(load)
        first.resume()
        second.halt()
        goes_on(load)
        second.resume()
        first.halt()
        recovers(services, load)
        first.resume()
        # What the first one had confirmed and nobody had handled when it died is still there.
        second.halt()
        wait_until(lambda: set(load.dispatched) <= set(book.counts("event")), seconds=40)
        process.process.terminate()
        assert process.wait() == 0

    assert set(load.returned) <= set(book.counts("call"))
    assert load.slowest < 11
    assert {type(error) for _number, error in load.failed} <= {RpcTimeout, ConnectionLost}
    assert {type(error) for _number, error in load.undispatched} <= {ConnectionLost}
    assert "guest:guest" not in process.errors


def test_event_that_a_dead_broker_has_confirmed_waits_until_it_is_used_again(
    servers, hosting, book
):
    first, second = servers
    with hosted({"AMQP_URI": first.uri}) as services:
        process = hosting(first.uri)
        process.process.terminate()
        assert process.wait() == 0
        services.dispatch("happened", 1)
    first.halt()
    process = hosting(either(*servers))
    with hosted({"AMQP_URI": second.uri}) as services:
        services.dispatch("happened", 2)
        wait_until(lambda: book.counts("event") == {2: 1})
    first.resume()
    second.halt()

    wait_until(lambda: book.counts("event") == {1: 1, 2: 1}, seconds=20)
    process.process.terminate()
    assert process.wait() == 0


def test_call_in_flight_fails_fast_when_its_reply_queue_stays_behind(servers, hosting, book):
    first, _second = servers
    with hosted({"AMQP_URI": either(*servers)}) as services:
        hosting(either(*servers))
        reply = services.rpc.ledger.write.with_options(timeout=30).call_async(1, 20)
        assert services.rpc.ledger.write(2) == 2
        began = monotonic()
        first.halt()

        with pytest.raises(ConnectionLost, match="the reply queue is gone"):
            reply.result()
        assert monotonic() - began < 15
