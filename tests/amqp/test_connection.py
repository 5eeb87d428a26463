"""Links: they connect, notice a loss in time, come back, and say goodbye."""

import logging
from time import monotonic
from urllib.parse import urlsplit

import pytest
from amqp.exceptions import RecoverableConnectionError

from rpcnode.amqp import connection
from rpcnode.amqp.connection import Link
from rpcnode.amqp.memory import drop_connections, reset
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.amqp.sharing import SharedConnection
from rpcnode.concurrency import call_later, kill, sleep, socket, spawn
from rpcnode.exceptions import (
    BrokerRefused,
    BrokerUnavailable,
    ConfigurationError,
    ConnectionLost,
)
from tests.amqp.broker import cut, linked, outgoing, wait_until, with_credentials

NOBODY = "amqp://guest:sesame@127.0.0.1:1//"


def link_to(uri, **settings):
    return Link(BrokerSettings(uri, **settings), "tests'")


@pytest.fixture
def embedded_uri():
    yield "memory://tests-of-links"
    reset("memory://tests-of-links")


def test_open_link_gives_channels(vhost_uri):
    with linked(vhost_uri) as link:
        channel = link.channel(timeout=5)

        assert link.is_connected
        assert link.generation == 1
        assert channel.queue_declare("q", durable=True, auto_delete=False).queue == "q"


def test_queue_is_emptied_one_by_one_over_one_channel(vhost_uri):
    with linked(vhost_uri) as link:
        channel = link.channel(timeout=5)
        channel.queue_declare("q")
        for body in (b"a", b"b"):
            channel.basic_publish(channel.prepare_message(body), exchange="", routing_key="q")
        found = [channel.basic_get("q", no_ack=True) for _ in range(4)]

        assert [message and message.body for message in found] == [b"a", b"b", None, None]


def test_link_that_is_opened_twice_connects_once(proxy):
    with linked(proxy.uri) as link:
        link.open()

        assert proxy.accepted == 1


def test_link_that_waits_for_its_next_attempt_is_woken_when_the_other_one_lasts(
    proxy, monkeypatch, caplog
):
    shared = SharedConnection(BrokerSettings(proxy.uri))
    proxy.refuse()
    with monkeypatch.context() as patch:
        patch.setattr(connection, "FIRST_DELAY", 60)
        shared.publishing.start()
        wait_until(lambda: "Trying again in about 60.0 s" in caplog.text)
    monkeypatch.setattr(connection, "LASTING", 0.1)
    proxy.admit()

    shared.open()
    shared.publishing.wait_connected(5)

    assert shared.publishing.generation == 1
    shared.close()


def test_shared_connection_opens_the_publishing_one_when_something_is_published(proxy):
    shared = SharedConnection(BrokerSettings(proxy.uri))

    shared.open()
    before = proxy.accepted
    shared.publishing.start()
    shared.publishing.wait_connected(5)

    assert (before, proxy.accepted) == (1, 2)
    shared.close()
    assert not shared.publishing.is_connected
    assert not shared.consuming.is_connected


def test_wrong_password_is_refused_and_not_shown(vhost_uri, caplog):
    user = urlsplit(vhost_uri).username
    link = link_to(with_credentials(vhost_uri, f"{user}:sesame"))

    with caplog.at_level(logging.DEBUG), pytest.raises(BrokerRefused) as caught:
        link.open()

    assert f"{user}:********@" in str(caught.value)
    assert "sesame" not in str(caught.value) + caplog.text
    with pytest.raises(BrokerUnavailable):
        link.channel()


def test_missing_virtual_host_is_refused_by_its_name(rabbit_uri):
    link = link_to(f"{rabbit_uri.rstrip('/')}/no-such-vhost")

    with pytest.raises(BrokerRefused, match="no-such-vhost"):
        link.open()


def test_refusal_after_the_first_connection_is_logged_and_overcome(
    rabbit_uri, management_api, caplog
):
    management_api.create_vhost("coming-and-going")
    with linked(f"{rabbit_uri.rstrip('/')}/coming-and-going") as link:
        management_api.delete_vhost("coming-and-going")
        wait_until(lambda: "refuses us" in caplog.text)
        management_api.create_vhost("coming-and-going")

        link.wait_connected(10)

        assert link.generation == 2
        management_api.delete_vhost("coming-and-going")


def test_broker_that_is_away_is_named_and_awaited(proxy, caplog):
    proxy.refuse()
    link = link_to(proxy.uri)

    opening = spawn(link.open)
    wait_until(lambda: "cannot reach the broker" in caplog.text)
    proxy.admit()
    opening.wait()

    assert link.is_connected
    assert ":********@127.0.0.1" in caplog.text
    link.close()


def test_who_waited_long_enough_learns_why_there_is_no_connection():
    link = link_to(NOBODY)
    link.start()

    with pytest.raises(BrokerUnavailable, match="ECONNREFUSED") as caught:
        link.wait_connected(0.3)

    assert "sesame" not in str(caught.value)
    link.close()


@pytest.mark.parametrize(
    "uri", ["amqp://guest:ses#ame@127.0.0.1//", "nosuch://guest:sesame@127.0.0.1//"]
)
def test_address_that_cannot_be_used_is_an_error_without_the_password(uri, caplog):
    link = link_to(uri)

    with pytest.raises(ConfigurationError, match="cannot use the broker") as caught:
        link.open()
    with pytest.raises(BrokerUnavailable, match="cannot use the broker"):
        link.channel(5)

    assert "ses" not in str(caught.value) + caplog.text


def test_forced_close_is_survived(vhost_uri, management_api, caplog):
    lost, connected = [], []
    with linked(vhost_uri) as link:
        link.on_lost.append(lost.append)
        link.on_connected.append(lambda: connected.append(link.generation))
        wait_until(lambda: names_of(management_api, link))
        (name,) = names_of(management_api, link)

        management_api.close_connection(name)
        wait_until(lambda: connected)

        assert connected == [2]
        assert [type(error) for error in lost] == [ConnectionLost]
        assert "CONNECTION_FORCED" in caplog.text
        assert link.channel(5).queue_declare("q", durable=True).queue == "q"


def names_of(management_api, link):
    port = link._driver.sock.getsockname()[1]
    return [name for name in management_api.connections() if f":{port} ->" in name]


def test_synchronous_method_fails_when_the_connection_breaks_meanwhile(proxy):
    with linked(proxy.uri) as link:
        channel = link.channel()
        proxy.stall()
        declaring = spawn(channel.queue_declare, "q", durable=True)
        opening = spawn(link.channel)
        sleep(0)

        link.abort("a test cuts it")

        with pytest.raises((RecoverableConnectionError, OSError)):
            declaring.wait()
        with pytest.raises(ConnectionLost):
            opening.wait()
        proxy.resume()


def test_silent_broker_is_noticed_in_two_heartbeats(proxy, caplog):
    with linked(proxy.uri, heartbeat=1) as link:
        channel = link.channel()
        began = monotonic()
        proxy.stall()

        with pytest.raises((RecoverableConnectionError, OSError)):
            channel.queue_declare("q", durable=True)

        assert 1 < monotonic() - began < 4
        assert "heartbeats missed" in caplog.text
        proxy.resume()


def test_heartbeats_keep_an_idle_connection(proxy):
    with linked(proxy.uri, heartbeat=1) as link:
        driver = link._driver
        sent, received = driver.bytes_sent, driver.bytes_recv

        wait_until(lambda: driver.bytes_recv >= received + 4)

        assert driver.bytes_sent > sent
        assert link.generation == 1
        assert link.is_connected


def test_broker_that_only_sends_is_not_taken_for_silent(proxy):
    with linked(proxy.uri, heartbeat=1) as link:
        driver = link._driver
        received = driver.bytes_recv
        wait_until(lambda: driver.bytes_recv > received)
        driver.last_heartbeat_received, driver.prev_recv = monotonic() - 60, received

        driver.heartbeat_tick(rate=2)

        assert monotonic() - driver.last_heartbeat_received < 1


def test_what_has_come_while_the_hub_was_kept_is_read_before_heartbeats_count():
    class Driver:
        heartbeat = 0.04
        saw_it_read = []

        def heartbeat_tick(self, rate):
            self.saw_it_read.append(reading.dead)

    def hog():
        theirs.send(b"x")
        compute_for(0.1)

    ours, theirs = socket.socketpair()
    reading = spawn(ours.recv, 1)
    call_later(0.001, hog)
    beating = spawn(link_to(NOBODY)._beat, Driver())
    sleep(0)
    compute_for(0.02)  # so that the heartbeat is due in the same round of the hub as the hog

    wait_until(lambda: Driver.saw_it_read)
    kill(beating)
    assert Driver.saw_it_read[0]


def compute_for(seconds):
    """Keep the hub from running."""
    end = monotonic() + seconds
    while monotonic() < end:
        pass


def test_callback_that_fails_keeps_nobody_from_hearing_of_a_loss(vhost_uri, caplog):
    lost = []
    with linked(vhost_uri) as link:
        link.on_lost += [lambda _error: 1 / 0, lost.append]

        cut(link)
        wait_until(lambda: link.generation == 2)

        assert len(lost) == 1
        assert "ZeroDivisionError" in caplog.text


def test_error_in_the_reader_ends_the_connection_and_not_the_link(vhost_uri, caplog):
    with linked(vhost_uri) as link:
        channel = link.channel()
        channel.queue_declare("q", durable=True, auto_delete=False)
        channel.basic_consume("q", consumer_tag="t", callback=lambda _message: 1 / 0)
        channel.publish(outgoing("q"))

        wait_until(lambda: link.generation == 2)

        assert "ZeroDivisionError" in caplog.text
        link.wait_connected(5)


def test_kernel_does_not_cut_a_connection_that_a_busy_broker_pauses(vhost_uri):
    chosen = {"socket_settings": {socket.TCP_USER_TIMEOUT: 7000}}
    with linked(vhost_uri) as ours, linked(vhost_uri, transport_options=chosen) as theirs:
        timeouts = [
            link._driver.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            for link in (ours, theirs)
        ]

    assert timeouts == [0, 7000]


def test_connections_leave_nothing_behind(proxy):
    with linked(proxy.uri) as link:
        for generation in range(2, 5):
            cut(link)
            wait_until(lambda generation=generation: link.generation == generation)
            link.channel(5)

        assert len(link._driver.channels) == 2
        wait_until(lambda: proxy.accepted == 4)


def test_closed_link_is_closed_properly(vhost_uri, rabbit_server):
    link = link_to(vhost_uri)
    link.open()
    driver = link._driver

    link.close()
    link.close()

    assert driver._transport is None
    assert link.is_closed
    assert not link.is_connected
    with pytest.raises(BrokerUnavailable, match="was closed"):
        link.channel(5)


def test_everything_written_before_the_close_arrives(vhost_uri):
    with linked(vhost_uri) as link:
        channel = link.channel()
        channel.queue_declare("q", durable=True, auto_delete=False)
        for _ in range(1000):
            channel.publish(outgoing("q"))
    with linked(vhost_uri) as link:
        channel = link.channel()

        wait_until(lambda: channel.queue_declare("q", passive=True).message_count == 1000)


def test_close_while_the_connection_is_made_ends_both(proxy):
    proxy.stall()
    link = link_to(proxy.uri)
    opening = spawn(link.open)
    waiting = spawn(link.wait_connected, None)
    wait_until(lambda: proxy.accepted)
    began = monotonic()

    link.close()

    assert monotonic() - began < 1
    with pytest.raises(BrokerUnavailable):
        opening.wait()
    with pytest.raises(BrokerUnavailable):
        waiting.wait()


def test_close_between_two_attempts_does_not_wait_for_the_next():
    link = link_to(NOBODY, reconnect_max_delay=60)
    link.start()
    wait_until(lambda: link._failures)
    began = monotonic()

    link.close()

    assert monotonic() - began < 1
    assert link._supervisor.dead


def test_close_before_anything_began_is_final():
    link = link_to(NOBODY)

    link.close()
    link.start()

    assert link._supervisor is None
    with pytest.raises(BrokerUnavailable):
        link.wait_connected(1)


def test_close_does_not_wait_for_a_silent_broker_without_end(proxy, monkeypatch):
    monkeypatch.setattr(connection, "CLOSE_TIMEOUT", 0.2)
    link = link_to(proxy.uri)
    link.open()
    proxy.stall()
    began = monotonic()

    link.close()

    assert 0.2 < monotonic() - began < 2
    assert link._supervisor.dead
    proxy.resume()


def test_link_to_the_embedded_broker_survives_a_forced_close(embedded_uri):
    connected = []
    with linked(embedded_uri) as link:
        link.on_connected.append(lambda: connected.append(link.generation))

        drop_connections(embedded_uri)
        wait_until(lambda: connected)

        assert connected == [2]
        assert link.channel(5).queue_declare("q").queue == "q"


def test_link_over_another_transport_connects_and_closes(tmp_path):
    folders = {f"data_folder_{way}": str(tmp_path) for way in ("in", "out")}
    options = {**folders, "polling_interval": 0.01}

    with linked("filesystem://", transport_options=options) as link:
        channel = link.channel(5)
        channel.queue_declare("q")

        assert link.is_connected

    assert link._supervisor.dead
