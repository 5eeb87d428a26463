"""TLS in memory, whatever way the bytes are cut; its options, and what they say when wrong."""

import ssl
from contextlib import suppress

import pytest

from rpcnode.amqp.sockets import TlsSocket
from rpcnode.amqp.tls import TlsSession, lasting_reason, make_context
from rpcnode.concurrency import socket, spawn
from rpcnode.exceptions import ConfigurationError
from tests.amqp.broker import wait_until
from tests.certificates import Authority


@pytest.fixture(scope="module")
def locked(authority):
    return authority.issue("locked", password="sesame")


class Peer:
    """The server's side of a TLS connection, in memory as well."""

    def __init__(self, certificate):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.file, certificate.key)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.is_ready = False

    def shake_hands(self, received):
        self.incoming.write(received)
        with suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
            self.is_ready = True
        return self.outgoing.read()

    def send(self, data):
        self.tls.write(data)
        return self.outgoing.read()

    def receive(self, received):
        """Return what was said, and b"" as its last piece when that was all."""
        self.incoming.write(received)
        pieces = []
        with suppress(ssl.SSLWantReadError):
            while not pieces or pieces[-1]:
                pieces.append(self.tls.read(65536))
        return pieces

    def say_goodbye(self):
        with suppress(ssl.SSLWantReadError):  # it waits for ours
            self.tls.unwrap()
        return self.outgoing.read()


@pytest.fixture
def pair(authority, certificate):
    """A session and its peer, past the handshake."""
    session = TlsSession(make_context({"ca_certs": str(authority.file)}), "localhost")
    peer = Peer(certificate)
    received = b""
    while not session.shake_hands(received):
        received = peer.shake_hands(session.take_outgoing())
    assert session.decrypt(peer.shake_hands(session.take_outgoing())) == b""
    return session, peer


def test_both_sides_agree_on_a_version_of_our_days(pair):
    session, peer = pair

    assert session.version == peer.tls.version()
    assert session.version in ("TLSv1.2", "TLSv1.3")


@pytest.mark.parametrize("at", range(0, 75, 15))
def test_stream_that_is_cut_at_any_byte_is_decrypted_alike(pair, at):
    session, peer = pair
    for cut in range(at, at + 15):
        stream = peer.send(b"one ") + peer.send(b"two ") + peer.send(b"three")
        assert len(stream) > 75

        data = session.decrypt(stream[:cut]) + session.decrypt(stream[cut:])

        assert data == b"one two three"


def test_stream_that_comes_byte_by_byte_is_decrypted_alike(pair):
    session, peer = pair
    stream = peer.send(b"some words")

    pieces = [session.decrypt(stream[at : at + 1]) for at in range(len(stream))]

    assert pieces == [b""] * (len(stream) - 1) + [b"some words"]


def test_large_data_is_whole_in_both_directions(pair):
    session, peer = pair
    data = bytes(range(256)) * 40_000

    assert b"".join(peer.receive(session.encrypt(data))) == data
    assert session.decrypt(peer.send(data)) == data


def test_nothing_is_sent_for_nothing(pair):
    session, _peer = pair

    assert session.encrypt(b"") == b""
    assert session.take_outgoing() == b""


def test_goodbye_is_told_from_silence(pair):
    session, peer = pair
    stream = peer.send(b"last words") + peer.say_goodbye()

    assert session.decrypt(b"") == b""
    assert not session.is_over
    assert session.decrypt(stream) == b"last words"
    assert session.is_over


def test_our_goodbye_is_understood(pair):
    session, peer = pair

    stream = session.encrypt(b"last words") + session.say_goodbye()

    assert peer.receive(stream) == [b"last words", b""]


def test_record_that_was_tampered_with_is_an_error_and_an_alert(pair):
    session, peer = pair
    stream = bytearray(peer.send(b"pay one"))
    stream[-1] ^= 1

    with pytest.raises(ssl.SSLError):
        session.decrypt(bytes(stream))

    assert session.take_outgoing()


@pytest.mark.parametrize(
    ("hostname", "other_authority", "complaint"),
    [
        ("127.0.0.1", False, "IP address mismatch"),
        ("elsewhere", False, "Hostname mismatch"),
        ("localhost", True, "unable to get local issuer certificate"),
    ],
)
def test_certificate_that_proves_nothing_is_an_error_that_lasts(
    authority, certificate, tmp_path, hostname, other_authority, complaint
):
    trusted = Authority(tmp_path, "other") if other_authority else authority
    session = TlsSession(make_context({"ca_certs": str(trusted.file)}), hostname)
    session.shake_hands(b"")
    answer = Peer(certificate).shake_hands(session.take_outgoing())

    with pytest.raises(ssl.SSLError) as caught:
        session.shake_hands(answer)

    assert complaint in lasting_reason(caught.value)
    assert session.take_outgoing()


def test_options_turn_verification_off_by_name_or_number(authority):
    defaults = make_context({})
    by_name = make_context({"cert_reqs": "CERT_NONE"})
    by_number = make_context({"cert_reqs": 0})
    name_only = make_context({"ca_certs": str(authority.file), "check_hostname": False})

    assert (defaults.verify_mode, defaults.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (by_name.verify_mode, by_name.check_hostname) == (ssl.CERT_NONE, False)
    assert (by_number.verify_mode, by_number.check_hostname) == (ssl.CERT_NONE, False)
    assert (name_only.verify_mode, name_only.check_hostname) == (ssl.CERT_REQUIRED, False)


@pytest.mark.parametrize(
    ("options", "smallest", "largest"),
    [
        ({"ssl_version": "PROTOCOL_TLSv1_2"}, "TLSv1_2", "TLSv1_2"),
        ({"ssl_version": 5}, "TLSv1_2", "TLSv1_2"),
        ({"tls_minimum_version": "TLSv1_3"}, "TLSv1_3", "MAXIMUM_SUPPORTED"),
        (
            {"ssl_version": "PROTOCOL_TLS", "tls_maximum_version": ssl.TLSVersion.TLSv1_2},
            make_context({}).minimum_version.name,
            "TLSv1_2",
        ),
    ],
)
def test_options_choose_the_version(options, smallest, largest):
    context = make_context(options)

    assert (context.minimum_version.name, context.maximum_version.name) == (smallest, largest)


def test_options_that_are_null_are_as_if_they_were_not_there():
    context = make_context(dict.fromkeys(["ca_certs", "cert_reqs", "certfile", "password"]))

    assert context.verify_mode == ssl.CERT_REQUIRED


def test_own_certificate_with_a_locked_key_is_loaded(locked):
    make_context({"certfile": locked.file, "keyfile": locked.key, "password": "sesame"})

    with pytest.raises(ConfigurationError, match="`password` do not belong together"):
        make_context({"certfile": locked.file, "keyfile": locked.key})  # and asks nobody


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"ca_cert": "x"}, "ca_cert is not known; there are ca_certs, cert_reqs"),
        ({"cert_reqs": "ALWAYS"}, "cert_reqs must be one of CERT_NONE.*, not 'ALWAYS'"),
        ({"cert_reqs": True}, "cert_reqs must be one of CERT_NONE.*, not True"),
        ({"cert_reqs": "CERT_NONE", "check_hostname": True}, "check_hostname needs a certificate"),
        ({"check_hostname": "yes"}, "check_hostname must be true or false, not 'yes'"),
        ({"ssl_version": "PROTOCOL_SSLv3"}, "ssl_version must be one of PROTOCOL_TLS"),
        ({"tls_minimum_version": "1.2"}, "tls_minimum_version must be one of .*TLSv1_2"),
        ({"ciphers": "NONSENSE"}, "ciphers 'NONSENSE' names no cipher"),
        ({"ca_certs": "/nowhere/ca.pem"}, "ca_certs '/nowhere/ca.pem' .*No such file"),
        ({"ca_certs": 5}, "ca_certs 5 cannot be used"),
        ({"ca_certs": __file__}, "ca_certs .* is no such PEM file"),
        ({"certfile": "/nowhere/me.pem"}, "certfile '/nowhere/me.pem' .*No such file"),
        ({"keyfile": "/nowhere/me.key"}, "keyfile is given without `certfile`"),
    ],
)
def test_wrong_option_is_an_error_that_names_it(options, complaint):
    with pytest.raises(ConfigurationError, match=f"AMQP_SSL: {complaint}"):
        make_context(options)


def test_missing_key_is_told_from_a_missing_certificate(certificate):
    with pytest.raises(ConfigurationError, match=r"keyfile '/nowhere/me.key' .*No such file"):
        make_context({"certfile": str(certificate.file), "keyfile": "/nowhere/me.key"})


@pytest.fixture
def sockets(authority, certificate):
    """A TLS socket that batches, what the peer decrypts, and its peer; past the handshake."""
    ours, theirs = socket.socketpair()
    context = make_context({"ca_certs": str(authority.file)})
    batching = TlsSocket("localhost:1", lambda: TlsSession(context, "localhost"))
    batching.sock, batching.connected = ours, True
    peer = Peer(certificate)

    def answer():
        while not peer.is_ready:
            theirs.sendall(peer.shake_hands(theirs.recv(65536)))

    answering = spawn(answer)
    batching._setup_transport()
    answering.wait()
    batching.start_batching()
    yield batching, peer, theirs
    batching.close()
    theirs.close()


def test_more_than_the_socket_takes_arrives_encrypted_whole_and_in_order(sockets):
    batching, peer, theirs = sockets
    messages = [bytes([number]) * 70_000 for number in range(100)]
    expected = b"".join(messages)

    for message in messages:
        batching.write(message)
    pieces = []
    while sum(map(len, pieces)) < len(expected):
        pieces += peer.receive(theirs.recv(65536))

    assert b"".join(pieces) == expected
    wait_until(lambda: batching.outgoing_size == 0)


def test_part_of_a_record_is_waited_for(sockets):
    batching, peer, theirs = sockets
    stream = peer.send(b"some words")
    theirs.sendall(stream[:9])
    receiving = spawn(batching.receive)
    theirs.sendall(stream[9:])

    assert receiving.wait() == b"some words"


def test_end_with_and_without_a_goodbye_is_an_end(sockets):
    batching, peer, theirs = sockets
    theirs.sendall(peer.say_goodbye())

    assert batching.receive() == b""
    theirs.shutdown(socket.SHUT_RDWR)
    assert batching.receive() == b""


def test_close_sends_what_was_written_and_a_goodbye(sockets):
    batching, peer, theirs = sockets

    batching.write(b"last words")
    batching.flush()
    batching.close()
    stream = b""
    while data := theirs.recv(65536):
        stream += data

    assert peer.receive(stream) == [b"last words", b""]


def test_writer_fails_for_a_session_that_is_broken(sockets):
    batching, _peer, theirs = sockets
    theirs.sendall(b"\x17\x03\x03\x00\x05wrong")
    with pytest.raises(ssl.SSLError):
        batching.receive()

    batching.write(b"into the void")
    batching.flush()

    assert not batching._outgoing
