"""TLS for a server: a context from configuration, and links that speak it."""

import logging
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from rpcnode.exceptions import ConfigurationError
from rpcnode.httpd.sockets import SocketLink

logger = logging.getLogger(__name__)

OPTIONS = (
    *("ca_certs", "certfile", "ciphers", "client_certificate", "keyfile", "minimum_version"),
    "password",
)
_CLIENT_CERTIFICATE = {
    "none": ssl.CERT_NONE,
    "optional": ssl.CERT_OPTIONAL,
    "required": ssl.CERT_REQUIRED,
}
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_RECORD = 16_384  # bytes that are encrypted together at most (RFC 8446 section 5.1)
_STEP = 262_144  # bytes encrypted at once: the buffers of OpenSSL grow, and never shrink


def make_server_context(options: Mapping[str, Any], key: str = "WEB_SSL") -> ssl.SSLContext:
    """Return the context for connections from clients; files are read now.

    `options`: `certfile` and `keyfile` (PEM), `password` of the key, `ca_certs` (whose clients'
    certificates are accepted) with `client_certificate` (`none`, `optional`, `required`; required
    where `ca_certs` is given), `minimum_version` (`1.2`, the default, or `1.3`), `ciphers`.
    Raises ConfigurationError, naming `key` and the option that cannot work.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in OPTIONS:
            raise ConfigurationError(f"{key}: {name} is not known; there are {', '.join(OPTIONS)}")
    if "certfile" not in given:
        raise ConfigurationError(f"{key}: certfile is missing")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # So that writing never waits for something to be read.
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    context.minimum_version = _choice(key, given, "minimum_version", _VERSIONS, "1.2")
    _load_certificate(context, key, given)
    _trust_clients(context, key, given)
    if "ciphers" in given:
        try:
            context.set_ciphers(given["ciphers"])
        except (ssl.SSLError, TypeError):
            text = f"{key}: ciphers {given['ciphers']!r} names no cipher"
            raise ConfigurationError(text) from None
    return context


def _choice(
    key: str, given: Mapping[str, Any], name: str, choices: Mapping[str, Any], default: str
) -> Any:
    value = str(given.get(name, default))
    if value not in choices:
        raise ConfigurationError(f"{key}: {name} must be one of {', '.join(choices)}, not {value}")
    return choices[value]


def _load_certificate(context: ssl.SSLContext, key: str, given: Mapping[str, Any]) -> None:
    password = given.get("password", "")
    try:
        # Without a password OpenSSL would ask for one at the terminal, and stop everything.
        context.load_cert_chain(given["certfile"], given.get("keyfile"), lambda: password)
    except ssl.SSLError as exc:
        raise ConfigurationError(
            f"{key}: certfile {given['certfile']!r} cannot be used: it is no such PEM file, or "
            "certificate, key and `password` do not belong together"
        ) from exc
    except (OSError, TypeError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no path of a file"
        raise ConfigurationError(f"{key}: certfile or keyfile cannot be used: {why}") from exc


def _trust_clients(context: ssl.SSLContext, key: str, given: Mapping[str, Any]) -> None:
    default = "required" if "ca_certs" in given else "none"
    context.verify_mode = _choice(key, given, "client_certificate", _CLIENT_CERTIFICATE, default)
    if context.verify_mode is not ssl.CERT_NONE and "ca_certs" not in given:
        raise ConfigurationError(f"{key}: client_certificate needs ca_certs")
    if "ca_certs" in given:
        try:
            context.load_verify_locations(given["ca_certs"])
        except (OSError, TypeError, ValueError) as exc:
            text = f"{key}: ca_certs {given['ca_certs']!r} cannot be read as PEM"
            raise ConfigurationError(text) from exc


class TlsLink(SocketLink):
    """A connection over a socket with TLS.

    TLS works on bytes in memory, so that it is no matter who waits to read or to write.
    """

    __slots__ = ("_has_said_goodbye", "_incoming", "_is_ready", "_outgoing", "_session")

    scheme = "https"
    can_send_files = False

    def secure(self, context: ssl.SSLContext) -> None:
        """Expect a handshake first of all."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_ready = self._has_said_goodbye = False

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The certificate of the client, if it had to show one."""
        return self._session.getpeercert() or None

    def _take(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            self._read_session()
        except ssl.SSLZeroReturnError:
            self._flush()
            self.read_on(is_on=False)
            self._connection.ended()
        except ssl.SSLError as exc:
            logger.debug("TLS with %s failed: %s", self.remote[0], exc)
            self._flush()  # the alert
            self.abort()

    def _read_session(self) -> None:
        try:
            if not self._is_ready:
                self._session.do_handshake()
                self._is_ready = True
                self._connection.shook_hands()
            while not self._is_closed:
                data = self._session.read(_RECORD)
                if not data:
                    raise ssl.SSLZeroReturnError
                self._connection.received(data)
        except ssl.SSLWantReadError:
            self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            super().send(self._outgoing.read())

    def send(self, data: bytes) -> None:
        """Send bytes, as many as the client takes now, and the rest later."""
        if not self._is_ready:
            self.abort()  # there is no way to say anything
        if self._is_closed:
            return
        view = memoryview(data)
        while view:
            try:
                self._session.write(view[:_STEP])
            except ssl.SSLError as exc:  # the client has broken the session
                logger.debug("TLS with %s failed: %s", self.remote[0], exc)
                self.abort()
                return
            view = view[_STEP:]
            self._flush()

    def end(self) -> None:
        """Tell the client that nothing follows; it may still send."""
        self._say_goodbye()
        super().end()

    def _say_goodbye(self) -> None:
        is_over = self._has_said_goodbye or self._is_closed
        if self._is_ready and not is_over and not self.unsent:
            self._has_said_goodbye = True
            with suppress(ssl.SSLError):  # it waits for the client's goodbye; we do not
                self._session.unwrap()
            self._flush()

    def close(self) -> None:
        """Close in good order; nothing is told any more."""
        self._say_goodbye()
        super().close()
