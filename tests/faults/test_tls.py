"""Encrypted connections: they carry everything, and trust nobody without a proof."""

import json
import shutil
from urllib.parse import urlsplit

import pytest

from rpcnode.amqp.connection import Link
from rpcnode.amqp.settings import BrokerSettings
from rpcnode.concurrency import spawn
from rpcnode.dead import DeadLetters
from rpcnode.events import event_handler
from rpcnode.exceptions import BrokerRefused
from rpcnode.rpc import rpc
from rpcnode.standalone.rpc import ClusterRpcProxy
from tests.amqp.broker import cut, linked
from tests.certificates import EXPIRED, Authority, ServerTls
from tests.deadletters.broker import Broker
from tests.faults.load import Load
from tests.faults.proxy import Proxy
from tests.faults.test_broker import all_is_well, recovers
from tests.hosting import hosted, wait_until
from tests.management_api import ManagementApi
from tests.rabbitmq_server import RabbitServer

CLIENT = "rpcnode-client"
SERVICE = """
from rpcnode.rpc import rpc


class Plain:
    name = "plain"

    @rpc
    def method(self): ...
"""


class Echo:
    """Gives back what it is given, and remembers events."""

    name = "echo"
    heard: list = []

    @rpc
    def say(self, text):
        return text

    @event_handler("caller", "happened")
    def hear(self, payload):
        self.heard.append(payload)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that the server does not know."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def server(authority):
    """A RabbitMQ for TLS; it checks the certificates of clients that show one."""
    server = RabbitServer(tls=ServerTls(authority, authority.issue("server")))
    server.start()
    server.ctl("add_user", CLIENT, "a password that nobody uses")
    server.ctl("set_permissions", CLIENT, ".*", ".*", ".*")
    yield server
    server.stop()


@pytest.fixture
def trusting(authority):
    """Options that trust the server."""
    return {"ca_certs": str(authority.file)}


def test_standalone_client_calls_encrypted_and_trusts_nobody_without_a_proof(server, trusting):
    config = {"AMQP_URI": server.tls_uri, "AMQP_SSL": trusting}
    with hosted(config, Echo):
        with ClusterRpcProxy(config) as rpc:
            results = [rpc.echo.say(text) for text in ("hello", "x" * 300_000)]
        with pytest.raises(BrokerRefused, match="its certificate is not accepted"):
            ClusterRpcProxy({**config, "AMQP_SSL": True}).start()

    assert results == ["hello", "x" * 300_000]


def test_dead_letters_are_read_encrypted_and_nobody_is_trusted_without_a_proof(server, trusting):
    config = {"AMQP_URI": server.tls_uri, "AMQP_SSL": trusting}
    with Broker(config) as broker, DeadLetters(config) as dead:
        broker.put("orders.dead", b"x" * 300_000)
        bodies = [letter.body for letter in dead.read("orders")]
    with (
        DeadLetters({**config, "AMQP_SSL": True}) as suspicious,
        pytest.raises(BrokerRefused, match="its certificate is not accepted"),
    ):
        suspicious.count("orders")

    assert bodies == [b"x" * 300_000]


def as_client(certificate):
    return {"certfile": str(certificate.file), "keyfile": str(certificate.key)}


def with_password(uri, password):
    return uri.replace("guest:guest@", f"guest:{password}@")


@pytest.fixture
def run(rpcnode, tmp_path):
    """Return a function that hosts a service, to its end."""
    (tmp_path / "services.py").write_text(SERVICE)

    def run(uri, options):
        ssl = f"AMQP_SSL={json.dumps(options)}"
        return rpcnode("run", "--broker", uri, "--define", ssl, "services")

    return run


def test_calls_and_events_are_carried_encrypted(server, trusting):
    Echo.heard.clear()
    api = ManagementApi(server.api_uri)
    with hosted({"AMQP_URI": server.tls_uri, "AMQP_SSL": trusting}, Echo) as services:
        assert services.rpc.echo.say("hello") == "hello"
        services.dispatch("happened", 1)
        wait_until(lambda: Echo.heard == [1])
        found = wait_until(
            lambda: [each for each in api.request("GET", "connections") if "ssl_protocol" in each]
        )

    assert {each["ssl"] for each in found} == {True}
    assert {each["ssl_protocol"] for each in found} <= {"tlsv1.2", "tlsv1.3"}


def test_large_bodies_are_carried_whole_both_ways(server, trusting):
    text = "0123456789abcdef" * 1_310_720  # 20 MB
    with hosted({"AMQP_URI": server.tls_uri, "AMQP_SSL": trusting}, Echo) as services:
        replies = [services.rpc.echo.say.call_async(text) for _ in range(2)]
        small = services.rpc.echo.say("in between")

        assert small == "in between"
        assert [reply.result() == text for reply in replies] == [True, True]


def test_many_small_messages_are_carried_in_their_order(server, trusting):
    Echo.heard.clear()
    config = {"AMQP_URI": server.tls_uri, "AMQP_SSL": trusting, "MAX_WORKERS": 1}
    with hosted(config, Echo) as services:

        def call(number):
            services.dispatch("happened", number)
            return services.rpc.echo.say(number)

        calls = [spawn(call, number) for number in range(2000)]

        assert [each.wait() for each in calls] == list(range(2000))
        wait_until(lambda: len(Echo.heard) == 2000)
    assert Echo.heard == list(range(2000))


def test_server_name_in_the_options_is_the_one_that_counts(server, trusting):
    uri = server.tls_uri.replace("localhost", "127.0.0.1")

    with linked(uri, ssl={**trusting, "server_hostname": "localhost"}) as link:
        assert link.is_connected
    with linked(uri, ssl={**trusting, "check_hostname": False}) as link:
        assert link.is_connected
    with linked(uri, ssl={"cert_reqs": "CERT_NONE"}) as link:
        assert link.is_connected


def test_certificate_of_another_authority_is_refused(server, run, stranger):
    uri = with_password(server.tls_uri, "sesame")

    done = run(uri, {"ca_certs": str(stranger.file)})

    assert done.returncode == 3
    assert f"guest:********@localhost:{server.tls_port}" in done.stderr
    assert "certificate is not accepted" in done.stderr
    assert "Traceback" not in done.stderr
    assert "sesame" not in done.stderr


def test_certificate_that_no_authority_of_the_system_has_signed_is_refused(server, run):
    done = run(server.tls_uri, None)

    assert done.returncode == 3
    assert "certificate is not accepted" in done.stderr


def test_certificate_of_another_host_is_refused(server, run, trusting):
    done = run(server.tls_uri.replace("localhost", "127.0.0.1"), trusting)

    assert done.returncode == 3
    assert "certificate is not valid for '127.0.0.1'" in done.stderr
    assert "Traceback" not in done.stderr


def test_client_certificate_of_another_authority_is_refused(server, run, trusting, stranger):
    done = run(server.tls_uri, {**trusting, **as_client(stranger.issue(CLIENT))})

    assert done.returncode == 3
    assert "it refuses us: unknown ca" in done.stderr
    assert "Traceback" not in done.stderr


def test_refusal_of_a_client_certificate_is_understood_at_the_first_attempt(
    server, trusting, stranger, caplog
):
    options = {**trusting, **as_client(stranger.issue(CLIENT))}
    for _ in range(10):  # the broker's alert races the end of the connection
        link = Link(BrokerSettings(server.tls_uri, ssl=options), "tests'")
        with pytest.raises(BrokerRefused, match="it refuses us: unknown ca"):
            link.open()

    assert "cannot reach" not in caplog.text


def test_who_speaks_no_tls_is_refused(server, run, trusting):
    done = run(server.uri.replace("amqp:", "amqps:"), trusting)

    assert done.returncode == 3
    assert "does not speak TLS" in done.stderr


def test_option_that_cannot_work_ends_with_its_name(server, run):
    done = run(server.tls_uri, {"ca_certs": "/nowhere/ca.pem"})

    assert done.returncode == 2
    assert "AMQP_SSL: ca_certs '/nowhere/ca.pem' cannot be used: No such file" in done.stderr


def test_client_certificate_takes_the_place_of_a_password(server, trusting, authority):
    options = {**trusting, **as_client(authority.issue(CLIENT))}
    api = ManagementApi(server.api_uri)

    with linked(server.tls_uri, ssl=options, login_method="EXTERNAL"):
        wait_until(
            lambda: CLIENT in [each.get("user") for each in api.request("GET", "connections")]
        )


@pytest.mark.timeout(120)
def test_client_without_the_certificate_that_the_server_wants_is_refused(
    server, run, trusting, authority
):
    server.tls.needs_client = True
    server.restart()
    try:
        done = run(server.tls_uri, trusting)
        with linked(server.tls_uri, ssl={**trusting, **as_client(authority.issue(CLIENT))}) as link:
            assert link.is_connected
    finally:
        server.tls.needs_client = False
        server.restart()

    assert done.returncode == 3
    assert "it refuses us: certificate required" in done.stderr


@pytest.fixture
def expired(server, authority):
    """The server with a certificate that was good until yesterday; return what renews it."""
    file = server.tls.certificate.file
    good = file.read_bytes()
    key = server.tls.certificate.key.read_bytes()
    authority.issue("server", days=EXPIRED)

    def renew():
        file.write_bytes(good)
        server.tls.certificate.key.write_bytes(key)
        server.ctl("eval", "ssl:clear_pem_cache().")

    server.ctl("eval", "ssl:clear_pem_cache().")
    yield renew
    renew()


def test_expired_certificate_is_refused(server, run, trusting, expired):
    done = run(server.tls_uri, trusting)

    assert done.returncode == 3
    assert "certificate has expired" in done.stderr


def test_certificate_that_expires_later_is_an_error_until_it_is_renewed(
    server, trusting, authority, tmp_path, caplog, request
):
    with linked(server.tls_uri, ssl=trusting) as link:
        renew = request.getfixturevalue("expired")
        cut(link)
        wait_until(lambda: "certificate has expired" in caplog.text)
        renew()
        link.wait_connected(10)

        assert link.generation == 2
    assert ":guest@" not in caplog.text


def test_files_are_read_again_for_each_connection(server, authority, stranger, tmp_path, caplog):
    trusted = tmp_path / "trusted.pem"
    shutil.copy(authority.file, trusted)
    with linked(server.tls_uri, ssl={"ca_certs": str(trusted)}) as link:
        shutil.copy(stranger.file, trusted)
        cut(link)
        wait_until(lambda: "certificate is not accepted" in caplog.text)
        trusted.unlink()
        wait_until(lambda: "No such file" in caplog.text)
        shutil.copy(authority.file, trusted)

        link.wait_connected(10)


@pytest.fixture
def proxy(server):
    """Stands between us and the server; what passes is encrypted."""
    with Proxy(server.tls_uri) as proxy:
        yield proxy


def test_connection_that_is_cut_in_the_handshake_is_tried_again(proxy, trusting, caplog):
    options = {**trusting, "server_hostname": "localhost"}
    proxy.stall()
    link = Link(BrokerSettings(proxy.uri, ssl=options, connect_timeout=1), "tests'")
    opening = spawn(link.open)
    wait_until(lambda: "(timed out)" in caplog.text)
    proxy.resume()
    proxy.refuse()
    accepted, complaints = proxy.accepted, caplog.text.count("cannot reach the broker")
    wait_until(lambda: proxy.accepted > accepted + 1)
    wait_until(lambda: caplog.text.count("cannot reach the broker") > complaints + 1)
    proxy.admit()
    opening.wait()

    assert link.is_connected
    link.close()


def test_silent_broker_is_noticed_behind_tls_too(proxy, trusting, caplog):
    options = {**trusting, "server_hostname": "localhost"}
    with linked(proxy.uri, ssl=options, heartbeat=1) as link:
        proxy.stall()
        wait_until(lambda: not link.is_connected)
        proxy.resume()

        assert "heartbeats missed" in caplog.text
        link.wait_connected(10)


@pytest.mark.timeout(120)
def test_server_restarted_under_load_over_tls(server, hosting, book, trusting):
    with hosted({"AMQP_URI": server.tls_uri, "AMQP_SSL": trusting}) as services:
        process = hosting(server.tls_uri, "--define", f"AMQP_SSL={json.dumps(trusting)}")
        load = Load(services)
        wait_until(lambda: len(load.returned) > 50 and len(load.dispatched) > 10)
        server.restart()
        recovers(services, load)
        wait_until(lambda: set(load.dispatched) <= set(book.counts("event")), seconds=20)
        process.process.terminate()
        assert process.wait() == 0

    all_is_well(load, book)


@pytest.mark.timeout(120)
def test_connection_that_is_cut_again_and_again_under_load_loses_nothing(
    server, proxy, hosting, book, trusting
):
    options = {**trusting, "server_hostname": "localhost"}
    with hosted({"AMQP_URI": proxy.uri, "AMQP_SSL": options}) as services:
        process = hosting(server.tls_uri, "--define", f"AMQP_SSL={json.dumps(trusting)}")
        load = Load(services)
        for _ in range(5):
            returned = len(load.returned)
            wait_until(lambda returned=returned: len(load.returned) > returned + 50, seconds=20)
            proxy.cut()
        recovers(services, load)
        wait_until(lambda: set(load.dispatched) <= set(book.counts("event")), seconds=20)
        process.process.terminate()
        assert process.wait() == 0

    all_is_well(load, book)


def test_refusal_names_the_broker_and_no_secret(server, stranger):
    uri = with_password(server.tls_uri, "sesame")
    link = Link(BrokerSettings(uri, ssl={"ca_certs": str(stranger.file)}), "tests'")

    with pytest.raises(BrokerRefused, match=f"localhost:{urlsplit(uri).port}") as caught:
        link.open()

    assert "sesame" not in str(caught.value)
