"""Certificates for tests: made by the `openssl` command, in a folder of the test."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")
EXPIRED = -1  # days that a certificate is valid for: it ended yesterday


@dataclass(frozen=True)
class Certificate:
    """The files of one certificate: itself, and its private key."""

    file: Path
    key: Path


class Authority:
    """Issues certificates; `file` is what those who trust it need."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self.file = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        files = ("-keyout", str(self._key), "-out", str(self.file))
        subject = ("-subj", f"/CN={name}", "-days", "2")
        _openssl("req", "-x509", *KEY, "-nodes", *subject, *files)

    def issue(
        self, name: str, host: str = "localhost", days: int = 2, password: str = ""
    ) -> Certificate:
        """Return a certificate with the common name `name`, valid for `host`."""
        issued = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        request, names = self._folder / f"{name}.csr", self._folder / f"{name}.names"
        names.write_text(f"subjectAltName=DNS:{host}\n")
        protection = ("-passout", f"pass:{password}") if password else ("-nodes",)
        files = ("-keyout", str(issued.key), "-out", str(request))
        _openssl("req", "-new", *KEY, *protection, "-subj", f"/CN={name}", *files)
        signed = ("-CA", str(self.file), "-CAkey", str(self._key), "-CAcreateserial")
        options = ("-days", str(days), "-extfile", str(names), "-out", str(issued.file))
        _openssl("x509", "-req", "-in", str(request), *signed, *options)
        return issued


def _openssl(*arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


# What RabbitMQ is told about its listener for TLS, in Erlang's spelling.
LISTENER = """,
    {{ssl_listeners, [{{"127.0.0.1", {port}}}]}},
    {{ssl_options, [{{cacertfile, "{authority}"}}, {{certfile, "{file}"}}, {{keyfile, "{key}"}},
       {{verify, verify_peer}}, {{fail_if_no_peer_cert, {needs_client}}}]}},
    {{auth_mechanisms, ['PLAIN', 'AMQPLAIN', 'EXTERNAL']}}, {{ssl_cert_login_from, common_name}}"""


@dataclass
class ServerTls:
    """How a RabbitMQ does TLS; what is changed counts when it is started again.

    Clients may show a certificate, and must if `needs_client`.
    """

    authority: Authority
    certificate: Certificate
    needs_client: bool = False

    def config(self, port: int) -> str:
        """Return the part of RabbitMQ's configuration that says so."""
        return LISTENER.format(
            port=port,
            authority=self.authority.file,
            file=self.certificate.file,
            key=self.certificate.key,
            needs_client=str(self.needs_client).lower(),
        )
