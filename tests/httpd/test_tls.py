"""The same server with TLS."""

import ssl

import pytest

from rpcnode.concurrency import spawn
from rpcnode.exceptions import ConfigurationError
from rpcnode.httpd.tls import make_server_context
from tests.hosting import wait_until
from tests.httpd.client import Client, request
from tests.httpd.conftest import TEXT


@pytest.fixture(scope="module")
def options(certificate):
    return {"certfile": certificate.file, "keyfile": certificate.key}


class TlsClient(Client):
    """A client that trusts the authority, and may show a certificate."""

    def __init__(self, site, authority, certificate=None, **versions):
        super().__init__(tuple(site.server.address))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(authority.file)
        for name, version in versions.items():
            setattr(context, name, version)
        if certificate is not None:
            context.load_cert_chain(certificate.file, certificate.key)
        self.sock = context.wrap_socket(self.sock, server_hostname="localhost")
        site.clients.append(self)


def test_request_is_answered(serve, authority, options):
    site = serve(tls=make_server_context(options))
    client = TlsClient(site, authority)

    answers = [client.get("/1"), client.get("/2")]

    assert [answer.body for answer in answers] == [b"/1", b"/2"]
    assert site.seen[0].scheme == "https"
    assert site.seen[0].peer_certificate is None


def test_large_bodies_pass_both_ways(serve, authority, options):
    site = serve(tls=make_server_context(options))
    client = TlsClient(site, authority)
    body = bytes(range(256)) * 20_000
    sender = spawn(client.send, request("POST", "/", body=body))

    answer = client.answer()
    sender.wait()

    assert answer.body == body


def test_file_is_sent(serve, authority, options, tmp_path):
    content = bytes(range(256)) * 2_000
    (tmp_path / "file").write_bytes(content)

    def answer(exchange):
        exchange.begin(200, TEXT, len(content))
        with (tmp_path / "file").open("rb") as file:
            exchange.send_file(file, 0, len(content))
        exchange.finish()

    client = TlsClient(serve(answer, tls=make_server_context(options)), authority)

    assert client.get().body == content


def test_end_of_a_connection_is_said(serve, authority, options):
    client = TlsClient(serve(tls=make_server_context(options)), authority)

    client.get("/", "Connection: close")

    # Without the alert the client could not tell it from a connection that was cut.
    assert client.sock.recv(1) == b""


def test_client_that_says_goodbye_is_left(serve, authority, options):
    site = serve(tls=make_server_context(options))
    client = TlsClient(site, authority)
    client.get()

    client.sock.unwrap()

    wait_until(lambda: not site.server.connections)


def test_client_that_speaks_no_tls_is_cut(serve, options):
    site = serve(tls=make_server_context(options))
    client = site.client()

    client.send(request("GET", "/"))

    wait_until(lambda: not site.server.connections)
    assert site.seen == []


def test_client_that_never_shakes_hands_is_cut(serve, options):
    site = serve(tls=make_server_context(options), header_timeout=0.1)
    site.client()

    wait_until(lambda: site.server.connections)
    wait_until(lambda: not site.server.connections)


def test_client_that_has_shaken_hands_may_take_its_time(serve, authority, options):
    site = serve(tls=make_server_context(options), header_timeout=0.5, keep_alive=10)
    client = TlsClient(site, authority)
    waits_for_nothing = site.client()

    assert waits_for_nothing.is_closed()  # so the time of handshakes is over
    assert client.get().status == 200


def test_client_with_a_certificate_is_known(serve, authority, options):
    context = make_server_context({**options, "ca_certs": authority.file})
    site = serve(tls=context)

    TlsClient(site, authority, authority.issue("alice")).get()

    subject = dict(pair for (pair,) in site.seen[0].peer_certificate["subject"])
    assert subject == {"commonName": "alice"}


def test_client_without_a_certificate_is_refused(serve, authority, options):
    site = serve(tls=make_server_context({**options, "ca_certs": authority.file}))

    with pytest.raises((ssl.SSLError, ConnectionError)):
        TlsClient(site, authority).get()

    assert site.seen == []


def test_certificate_may_be_left_to_the_client(serve, authority, options):
    optional = {**options, "ca_certs": authority.file, "client_certificate": "optional"}
    site = serve(tls=make_server_context(optional))

    assert TlsClient(site, authority).get().status == 200


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
@pytest.mark.parametrize(
    ("minimum", "offered"), [(None, ssl.TLSVersion.TLSv1_1), ("1.3", ssl.TLSVersion.TLSv1_2)]
)
def test_old_versions_are_refused(serve, authority, options, minimum, offered):
    site = serve(tls=make_server_context({**options, "minimum_version": minimum}))

    with pytest.raises((ssl.SSLError, ConnectionError)):
        TlsClient(site, authority, minimum_version=offered, maximum_version=offered)


def test_running_request_is_finished_at_a_stop(serve, authority, options):
    site = serve(tls=make_server_context(options), stop_grace=2)
    client = TlsClient(site, authority)
    client.get()

    stopping = spawn(site.server.stop, 5)
    answer = client.get("/late")

    assert answer.headers["connection"] == "close"
    client.sock.close()
    assert stopping.wait() is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"certfile": None}, "WEB_SSL: certfile is missing"),
        ({"certfile": "/nowhere"}, "WEB_SSL: certfile or keyfile cannot be used"),
        ({"keyfile": "/nowhere"}, "WEB_SSL: certfile or keyfile cannot be used"),
        ({"minimum_version": "1.1"}, "WEB_SSL: minimum_version must be one of 1.2, 1.3"),
        ({"ciphers": "none of them"}, "WEB_SSL: ciphers 'none of them' names no cipher"),
        ({"client_certificate": "perhaps"}, "WEB_SSL: client_certificate must be one of"),
        ({"client_certificate": "required"}, "WEB_SSL: client_certificate needs ca_certs"),
        ({"ca_certs": "/nowhere"}, "WEB_SSL: ca_certs '/nowhere' cannot be read"),
        ({"verify": True}, "WEB_SSL: verify is not known"),
    ],
)
def test_option_that_cannot_work_is_named(options, changes, message):
    with pytest.raises(ConfigurationError, match=message):
        make_server_context({**options, **changes})


def test_password_of_a_key_is_used_and_never_shown(authority):
    locked = authority.issue("locked", password="sesame")
    files = {"certfile": locked.file, "keyfile": locked.key}

    context = make_server_context({**files, "password": "sesame"})
    with pytest.raises(ConfigurationError, match="do not belong together") as caught:
        make_server_context({**files, "password": "wrong-secret"})

    assert context.get_ca_certs() == []
    assert "wrong-secret" not in str(caught.value)
