"""Large bodies in flat memory, measured in a process of its own."""

import re
import socket
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from rpcnode.testing.utils import find_free_port

ROOT = Path(__file__).parents[2]
SIZE = 150_000_000
ALLOWED = 20_000_000  # bytes that the process may grow by, whatever the size is
CHUNK = b"x" * 1_000_000

SERVICE = """
    from rpcnode.concurrency import monkey_patch
    monkey_patch()
    import sys, tempfile
    from pathlib import Path
    from rpcnode.http import File, http
    from rpcnode.runners import run_services

    class Service:
        name = "service"

        @http("POST", "/form", max_body="1 GB", timeout=60)
        def form(self, request):
            return {"size": request.files["file"].stream.seek(0, 2)}

        @http("PUT", "/raw", max_body="1 GB", timeout=60)
        def raw(self, request):
            size = 0
            while chunk := request.stream.read(65_536):
                size += len(chunk)
            return {"size": size}

        @http("GET", "/file")
        def file(self, request):
            return File(sys.argv[2])

        @http("GET", "/made")
        def made(self, request):
            for _ in range(int(request.args["size"]) // 100_000):
                yield b"x" * 100_000

    with run_services({"WEB_SERVER_ADDRESS": f"127.0.0.1:{sys.argv[1]}"}, Service) as runner:
        print("ready", flush=True)
        runner.wait()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A service in a process of its own: its port, and the process."""
    large = tmp_path_factory.mktemp("files") / "large.bin"
    with large.open("wb") as file:
        file.truncate(SIZE)
    port = find_free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", dedent(SERVICE), str(port), str(large)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield port, process.pid
    process.terminate()
    process.wait(10)
    large.unlink()


def peak(pid):
    """Return the most memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) * 1024


def exchange(port, head, body=()):
    """Send a request; return the end of the answer, and how many bytes it had."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head.encode() + b"Host: x\r\nConnection: close\r\n\r\n")
        for chunk in body:
            connection.sendall(chunk)
        size, end = 0, b""
        while data := connection.recv(1_000_000):
            size += len(data)
            end = data[-100:]
        return size, end


def large_body(before=b"", after=b""):
    yield before
    for _ in range(SIZE // len(CHUNK)):
        yield CHUNK
    yield after


FORM = (
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n",
    b"\r\n--b--\r\n",
)


def test_large_upload_takes_no_memory(server):
    port, pid = server
    exchange(port, "PUT /raw HTTP/1.1\r\nContent-Length: 1\r\n", [b"x"])
    before = peak(pid)

    _size, end = exchange(port, f"PUT /raw HTTP/1.1\r\nContent-Length: {SIZE}\r\n", large_body())

    assert end.endswith(b'{"size":%d}' % SIZE)
    assert peak(pid) - before < ALLOWED


def test_large_form_goes_to_disk(server):
    port, pid = server
    length = SIZE + sum(map(len, FORM))
    kind = "Content-Type: multipart/form-data; boundary=b\r\n"
    before = peak(pid)

    _size, end = exchange(
        port, f"POST /form HTTP/1.1\r\n{kind}Content-Length: {length}\r\n", large_body(*FORM)
    )

    assert end.endswith(b'{"size":%d}' % SIZE)
    assert peak(pid) - before < ALLOWED


@pytest.mark.parametrize("path", ["/file", f"/made?size={SIZE}"])
def test_large_download_takes_no_memory(server, path):
    port, pid = server
    before = peak(pid)

    size, _end = exchange(port, f"GET {path} HTTP/1.1\r\n")

    assert size > SIZE
    assert peak(pid) - before < ALLOWED
