"""TLS without sockets: a context from AMQP_SSL, and sessions that turn bytes into bytes."""

import ssl
from collections.abc import Mapping
from contextlib import suppress
from enum import IntEnum
from typing import Any

from rpcnode.exceptions import ConfigurationError

OPTIONS = (
    *("ca_certs", "cert_reqs", "certfile", "check_hostname", "ciphers", "keyfile", "password"),
    *("server_hostname", "ssl_version", "tls_maximum_version", "tls_minimum_version"),
)
_NEGOTIATED = (ssl.PROTOCOL_TLS, ssl.PROTOCOL_TLS_CLIENT)
_PROTOCOLS = (*_NEGOTIATED, ssl.PROTOCOL_TLSv1_2)  # older ones are not safe
# What OpenSSL calls the alerts, and the answers of who speaks no TLS, that another attempt would
# meet again. Others (a broken record, an internal error) may pass.
_LASTING = (
    *("CERTIFICATE", "UNKNOWN_CA", "ACCESS_DENIED", "HANDSHAKE_FAILURE", "UNRECOGNIZED_NAME"),
    *("INSUFFICIENT_SECURITY", "PROTOCOL", "VERSION"),
)
_STEP = 262_144  # bytes encrypted at once: the buffers of OpenSSL grow, and never shrink
_LARGEST_RECORD = 16_384  # bytes of plain text, RFC 8446 section 5.1


def make_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Return the context for connections to a broker; files are read now.

    The broker's certificate and host name are verified unless `options`, those of AMQP_SSL, say
    otherwise. Raises ConfigurationError, naming the option that cannot work.
    """
    for name in options:
        if name not in OPTIONS:
            raise _wrong(name, f"is not known; there are {', '.join(OPTIONS)}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # So that writing never waits for something to be read.
    context.options |= ssl.OP_NO_RENEGOTIATION
    given = {name: value for name, value in options.items() if value is not None}
    _choose_versions(context, given)
    _choose_trust(context, given)
    if "certfile" in given:
        _load_own_certificate(context, given)
    elif "keyfile" in given:
        raise _wrong("keyfile", "is given without `certfile`")
    return context


def _choose_versions(context: ssl.SSLContext, given: Mapping[str, Any]) -> None:
    if _member(given, "ssl_version", _PROTOCOLS, ssl.PROTOCOL_TLS) not in _NEGOTIATED:
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    if "tls_minimum_version" in given:
        context.minimum_version = _member(given, "tls_minimum_version", tuple(ssl.TLSVersion))
    if "tls_maximum_version" in given:
        context.maximum_version = _member(given, "tls_maximum_version", tuple(ssl.TLSVersion))
    if "ciphers" in given:
        try:
            context.set_ciphers(given["ciphers"])
        except (ssl.SSLError, TypeError):
            raise _wrong("ciphers", f"{given['ciphers']!r} names no cipher") from None


def _choose_trust(context: ssl.SSLContext, given: Mapping[str, Any]) -> None:
    mode = _member(given, "cert_reqs", tuple(ssl.VerifyMode), ssl.CERT_REQUIRED)
    checks_name = given.get("check_hostname", mode is not ssl.CERT_NONE)
    if not isinstance(checks_name, bool):
        raise _wrong("check_hostname", f"must be true or false, not {checks_name!r}")
    if checks_name and mode is ssl.CERT_NONE:
        raise _wrong("check_hostname", "needs a certificate, and `cert_reqs` wants none")
    context.check_hostname = checks_name  # first: CERT_NONE is refused while it is on
    context.verify_mode = mode
    if "ca_certs" not in given:
        context.load_default_certs()
        return
    try:
        context.load_verify_locations(given["ca_certs"])
    except (OSError, TypeError, ValueError) as exc:
        raise _unreadable("ca_certs", given, exc) from exc


def _load_own_certificate(context: ssl.SSLContext, given: Mapping[str, Any]) -> None:
    password = given.get("password", "")
    try:
        # Without a password OpenSSL would ask for one at the terminal, and stop everything.
        context.load_cert_chain(given["certfile"], given.get("keyfile"), lambda: password)
    except (OSError, TypeError, ValueError) as exc:
        culprit = "keyfile" if "keyfile" in given and _can_read(given["certfile"]) else "certfile"
        raise _unreadable(culprit, given, exc) from exc


def _can_read(path: Any) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except (OSError, TypeError, ValueError):
        return False
    return True


def _member(
    given: Mapping[str, Any], name: str, members: tuple[IntEnum, ...], default: Any = None
) -> Any:
    """Return one of some constants of `ssl`, which is given as itself, its number or its name."""
    if name not in given:
        return default
    value = given[name]
    for member in members:
        if value == member.name or (value == member.value and not isinstance(value, bool)):
            return member
    names = ", ".join(member.name for member in members)
    raise _wrong(name, f"must be one of {names}, not {value!r}")


def _unreadable(name: str, given: Mapping[str, Any], cause: Exception) -> ConfigurationError:
    why = cause.strerror if isinstance(cause, OSError) and cause.strerror else str(cause)
    if isinstance(cause, ssl.SSLError):
        why = "it is no such PEM file, or certificate, key and `password` do not belong together"
    return _wrong(name, f"{given[name]!r} cannot be used: {why}")


def _wrong(name: object, what: str) -> ConfigurationError:
    return ConfigurationError(f"AMQP_SSL: {name} {what}")


def lasting_reason(error: ssl.SSLError) -> str | None:
    """Return why a handshake failed when the next one would fail, too; None when it may not."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message.rstrip('.')}"
    reason = error.reason or ""
    if reason == "WRONG_VERSION_NUMBER":
        return "what listens there does not speak TLS"
    if any(each in reason for each in _LASTING):
        alert = reason.partition("ALERT_")[2]
        what = (alert or reason).replace("_", " ").lower()
        return f"it refuses us: {what}" if alert else what
    return None


class TlsSession:
    """The TLS of one connection: what is to be sent and what was received, as bytes.

    Methods raise `ssl.SSLError`; then `take_outgoing` has the alert that tells the broker why.
    """

    def __init__(self, context: ssl.SSLContext, hostname: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=hostname)
        self.is_over = False

    @property
    def version(self) -> str | None:
        """The protocol in use: `TLSv1.3`."""
        return self._tls.version()

    def shake_hands(self, received: bytes) -> bool:
        """Take what was received and go on; return whether the handshake is done."""
        self._incoming.write(received)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def encrypt(self, data: bytes) -> bytes:
        """Return what must be sent for `data`."""
        pieces = []
        for start in range(0, len(data), _STEP):
            self._tls.write(memoryview(data)[start : start + _STEP])
            pieces.append(self._outgoing.read())
        return b"".join(pieces)

    def decrypt(self, received: bytes) -> bytes:
        """Return what `received` completes; `is_over` is set when the broker said goodbye."""
        self._incoming.write(received)
        pieces = []
        try:
            while piece := self._tls.read(_LARGEST_RECORD):
                pieces.append(piece)
            self.is_over = True
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still to come
        return b"".join(pieces)

    def take_outgoing(self) -> bytes:
        """Return what TLS itself wants to send: its part of the handshake, answers, alerts."""
        return self._outgoing.read()

    def say_goodbye(self) -> bytes:
        """Return what tells the broker that nothing more comes."""
        with suppress(ssl.SSLError):  # it waits for the broker's goodbye: we do not
            self._tls.unwrap()
        return self._outgoing.read()
