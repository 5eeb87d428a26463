"""Where a server listens, and who is in its way."""

import os
import subprocess
import sys

import pytest

from rpcnode.exceptions import ConfigurationError
from rpcnode.httpd.address import BindAddress
from rpcnode.httpd.application import Application
from rpcnode.httpd.errors import AddressInUse
from rpcnode.httpd.listening import holder_of, listen
from rpcnode.httpd.server import Server
from rpcnode.httpd.settings import ServerSettings

HOLDER = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
input()
"""


@pytest.fixture
def listening():
    """Return a function that listens, until the end of the test."""
    opened = []

    def listening(host, port=0, **options):
        opened.append(listen(BindAddress(host, port), 10, **options))
        return opened[-1]

    yield listening
    for sock in opened:
        sock.close()


def test_port_in_use_names_the_process_that_has_it(listening):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        port = int(process.stdout.readline())
        with pytest.raises(AddressInUse) as caught:
            listening("127.0.0.1", port)
    finally:
        process.communicate(b"\n", timeout=10)

    text = str(caught.value)
    assert text.startswith(f"cannot listen at 127.0.0.1:{port}: the port is in use by process ")
    assert f"process {process.pid} (python" in text


def test_port_that_this_process_has_says_so(listening):
    port = listening("127.0.0.1").getsockname()[1]

    with pytest.raises(AddressInUse, match=f"process {os.getpid()} .*, this process"):
        listening("127.0.0.1", port)


def test_port_that_nobody_has_has_no_holder(listening):
    sock = listening("127.0.0.1")
    port = sock.getsockname()[1]
    sock.close()

    assert holder_of(port) is None


def test_port_is_shared_only_where_all_want_to(listening):
    port = listening("127.0.0.1", reuse_port=True).getsockname()[1]

    listening("127.0.0.1", port, reuse_port=True)
    with pytest.raises(AddressInUse):
        listening("127.0.0.1", port)


@pytest.mark.parametrize("host", ["host.invalid", "203.0.113.1"])
def test_address_of_another_machine_is_refused(listening, host):
    with pytest.raises(ConfigurationError, match=f"cannot listen at {host}:"):
        listening(host)


def test_server_without_a_host_listens_everywhere(listening):
    assert listening("").getsockname()[0] == "0.0.0.0"


def test_server_that_cannot_listen_says_so_at_its_start(listening):
    port = listening("127.0.0.1").getsockname()[1]
    server = Server(BindAddress("127.0.0.1", port), Application(print), ServerSettings())

    with pytest.raises(AddressInUse):
        server.start()
