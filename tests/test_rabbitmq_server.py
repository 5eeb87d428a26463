"""The tests' own RabbitMQ starts, keeps to itself, and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import kombu
import pytest

from tests.external_server import REASON, ExternalServer
from tests.management_api import ManagementApi
from tests.rabbitmq_server import RabbitServer, ServerFailed, find_free_ports, find_scripts

ROOT = Path(__file__).parent.parent
FAILING_SCRIPT = """\
#!/bin/sh
echo "the disk is on fire"
exit 3
"""


@pytest.fixture
def server(rabbit_server: RabbitServer | ExternalServer) -> RabbitServer:
    """The session's server, where it is our own."""
    if isinstance(rabbit_server, ExternalServer):
        pytest.skip(REASON)
    return rabbit_server


def test_server_passes_a_message_on(server: RabbitServer) -> None:
    with kombu.Connection(server.uri) as connection:
        queue = connection.SimpleQueue("letters")
        queue.put({"said": "hello"})
        message = queue.get(timeout=5)
        message.ack()

    assert message.payload == {"said": "hello"}


def test_management_api_answers(server: RabbitServer) -> None:
    overview = ManagementApi(server.api_uri).request("GET", "overview")

    assert overview["node"] == server.node


def test_ctl_talks_to_this_server_and_names_its_failures(server: RabbitServer) -> None:
    assert server.ctl("eval", "node().").strip() == f"'{server.node}'"
    with pytest.raises(ServerFailed, match="no-such-vhost"):
        server.ctl("delete_vhost", "no-such-vhost")


def test_all_that_listens_listens_on_loopback_only(server: RabbitServer) -> None:
    processes = [p for pid in server.pids for p in with_descendants(pid)]

    addresses = listening_addresses(processes)

    expected = {server.amqp_port, server.api_port, server.node_port, server.epmd_port}
    assert {port for _, port in addresses} == expected
    assert {host for host, _ in addresses} <= {"127.0.0.1", "::1"}


def test_restart_keeps_durable_queues_and_persistent_messages(server: RabbitServer) -> None:
    with kombu.Connection(server.uri) as connection:
        connection.SimpleQueue("kept").put("still here")
    old_pid = server.pid

    server.restart()

    assert server.pid != old_pid
    with kombu.Connection(server.uri) as connection:
        message = connection.SimpleQueue("kept").get(timeout=5)
        message.ack()
    assert message.payload == "still here"


@pytest.mark.skipif(find_scripts() is None, reason="no rabbitmq-server is installed")
def test_stop_leaves_no_process_and_no_file_even_of_a_frozen_server() -> None:
    server = RabbitServer()
    server.start()
    folder = server.folder
    processes = [p for pid in server.pids for p in with_descendants(pid)]
    os.kill(server.pid, signal.SIGSTOP)

    server.stop()

    wait_until(lambda: not any(is_running(pid) for pid in processes))
    assert not folder.exists()


@pytest.mark.skipif(find_scripts() is None, reason="no rabbitmq-server is installed")
def test_start_that_fails_shows_what_was_printed_and_cleans_up(tmp_path: Path) -> None:
    (tmp_path / "rabbitmq-server").write_text(FAILING_SCRIPT)
    (tmp_path / "rabbitmq-server").chmod(0o755)
    server = RabbitServer(scripts=tmp_path)

    with pytest.raises(
        ServerFailed, match=r"RabbitMQ ended with status 3:\n(.*\n)?the disk is on fire"
    ):
        server.start()

    assert server.pids == []


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
def test_server_dies_with_a_test_run_that_is_killed() -> None:
    code = (
        "import subprocess, sys\n"
        "from tests.rabbitmq_server import bound_to_this_process\n"
        "print(subprocess.Popen([*bound_to_this_process(), 'sleep', '60']).pid, flush=True)\n"
        "sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    ) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        wait_until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n")

        run.kill()

    wait_until(lambda: not is_running(pid))


def test_free_ports_are_distinct() -> None:
    assert len(set(find_free_ports(20))) == 20


def with_descendants(pid: int) -> list[int]:
    """Return `pid` and the ids of all processes that descend from it."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    ids = [int(child) for file in children for child in file.read_text().split()]
    return [pid, *(descendant for child in ids for descendant in with_descendants(child))]


def listening_addresses(pids: list[int]) -> set[tuple[str, int]]:
    """Return host and port of all TCP sockets on which one of `pids` listens."""
    inodes = {inode for pid in pids for inode in socket_inodes(pid)}
    addresses = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                addresses.add(decoded(fields[1]))
    return addresses


def socket_inodes(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = str(descriptor.readlink())
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]


def decoded(address: str) -> tuple[str, int]:
    """Return host and port of an address as the kernel prints it: `0100007F:1F90`."""
    host, port = address.split(":")
    names = {"0100007F": "127.0.0.1", "00000000000000000000000001000000": "::1"}
    return names.get(host, host), int(port, 16)


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def wait_until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
