"""A RabbitMQ of our own for the tests: a child process, on loopback, in a temporary folder.

The data, the logs, the Erlang cookie and the port mapper (epmd) belong to the one server, so
that it neither finds nor disturbs another one on the machine.
"""

import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.certificates import ServerTls

LOOPBACK = "127.0.0.1"
START_TIMEOUT = 60
# The server closes its connections and stores at once when it is asked to end (measured: 20 ms),
# then waits 5 s for a process of its management plugin: not worth our time.
HALT_GRACE = 1
# Below the range from which the kernel takes ports for outgoing connections: nothing else
# grabs one of these while the server restarts.
PORTS = range(20000, 32000)
AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
METHOD_FRAME = b"\x01"
# Debian's /usr/sbin/rabbitmq-server changes the user and quotes its arguments; this does not.
SCRIPT_FOLDERS = (
    "/usr/lib/rabbitmq/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/opt/rabbitmq/sbin",
)

# The API learns of connections as often as it takes samples: every 5 s is too seldom for tests
# that look for a connection to close it.
CONFIG = """\
[{{rabbit, [{{tcp_listeners, [{{"127.0.0.1", {amqp_port}}}]}}{tls}]}},
 {{rabbitmq_management, [{{tcp_config, [{{ip, "127.0.0.1"}}, {{port, {api_port}}}]}}]}},
 {{rabbitmq_management_agent, [{{sample_retention_policies,
    [{{global, [{{60, 1}}]}}, {{basic, [{{60, 1}}]}}, {{detailed, [{{10, 1}}]}}]}}]}}].
"""


class ServerFailed(Exception):
    """Raised when the server does not start; its text ends with the tail of the log."""


def find_scripts() -> Path | None:
    """Return the folder of RabbitMQ's own scripts, or None where no server is installed."""
    folders = list(SCRIPT_FOLDERS)
    on_path = shutil.which("rabbitmq-server")
    if on_path:
        folders.append(str(Path(on_path).resolve().parent))
    for folder in map(Path, folders):
        if all((folder / name).is_file() for name in ("rabbitmq-server", "rabbitmqctl")):
            return folder if shutil.which("erl") and shutil.which("epmd") else None
    return None


def with_vhost(uri: str, vhost: str) -> str:
    """Return `uri` with the virtual host `vhost` in the place of its own."""
    return urlsplit(uri)._replace(path="/" + quote(vhost, safe="")).geturl()


def find_free_ports(count: int) -> list[int]:
    """Return `count` ports of the loopback interface on which nobody listens."""
    free: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        if _is_free(port):
            free.append(port)
        if len(free) == count:
            return free
    raise ServerFailed(f"no {count} free ports between {PORTS.start} and {PORTS.stop}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As the server will do: connections that linger in TIME_WAIT do not occupy a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class RabbitServer:
    """One RabbitMQ server with its management API, started by `start()`, gone after `stop()`.

    With `tls` it listens for encrypted connections, too, at `tls_uri`.
    """

    def __init__(self, scripts: Path | None = None, tls: ServerTls | None = None) -> None:
        self.scripts = scripts or find_scripts()
        self.tls = tls
        self.cookie = secrets.token_hex(16)
        self.plugins = ("rabbitmq_management", "rabbitmq_auth_mechanism_ssl")
        ports = find_free_ports(5)
        self.amqp_port, self.api_port, self.node_port, self.epmd_port, self.tls_port = ports
        self.node = f"rpcnode-{secrets.token_hex(4)}@localhost"
        self.uri = f"amqp://guest:guest@{LOOPBACK}:{self.amqp_port}/"
        # The name is that of the certificate.
        self.tls_uri = f"amqps://guest:guest@localhost:{self.tls_port}/"
        self.api_uri = f"http://guest:guest@{LOOPBACK}:{self.api_port}"
        self._folder: Path | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._epmd: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the server (of Erlang's virtual machine)."""
        if self._server is None:
            raise ServerFailed("the server is not running")
        return self._server.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not halted since."""
        return self._server is not None

    @property
    def pids(self) -> list[int]:
        """The ids of the server's and the port mapper's processes, as long as they run."""
        return [child.pid for child in (self._server, self._epmd) if child is not None]

    @property
    def folder(self) -> Path:
        """The temporary folder of everything that the server writes."""
        if self._folder is None:
            raise ServerFailed("the server is not running")
        return self._folder

    def start(self) -> None:
        """Start the server and wait until it accepts AMQP; raise `ServerFailed` otherwise."""
        if self.scripts is None:
            raise ServerFailed("no rabbitmq-server is installed")
        self._folder = Path(tempfile.mkdtemp(prefix="rpcnode-rabbitmq-"))
        try:
            self._write_files()
            self._start_epmd()
            self._start_server()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all processes of the server and remove its folder."""
        # What it holds is thrown away: no need to wait for an orderly end.
        _end(self._server)
        _end(self._epmd)
        self._server = self._epmd = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        self._folder = None

    def restart(self) -> None:
        """End the server in good order and start it again, on the same ports and data."""
        self.halt()
        self.resume()

    def halt(self) -> None:
        """End the server in good order; its data stay for `resume()`."""
        _end(self._server, grace=HALT_GRACE)
        self._server = None

    def resume(self) -> None:
        """Start a halted server again, on the same ports and data."""
        if self._server is None:
            self._start_server()

    def ctl(self, *args: str) -> str:
        """Return what `rabbitmqctl` prints for `args`; raise `ServerFailed` when it fails."""
        done = subprocess.run(
            [str(self._script("rabbitmqctl")), "--quiet", "-n", self.node, *args],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=START_TIMEOUT,
        )
        if done.returncode != 0:
            raise ServerFailed(f"rabbitmqctl {' '.join(args)}: {done.stdout.strip()}")
        return done.stdout

    def log_tail(self, lines: int = 30) -> str:
        """Return the last lines of what the server printed and logged."""
        files = [self.folder / "output", *sorted((self.folder / "log").glob("*.log"))]
        written = [line for file in files if file.exists() for line in _lines(file)]
        return "\n".join(written[-lines:]) or "(nothing logged)"

    def _script(self, name: str) -> Path:
        assert self.scripts is not None
        return self.scripts / name

    def _write_files(self) -> None:
        for name in ("log", "data", "plugins"):
            (self.folder / name).mkdir()
        (self.folder / "empty.conf").touch()
        (self.folder / "enabled_plugins").write_text(f"[{', '.join(self.plugins)}].\n")
        cookie = self.folder / ".erlang.cookie"
        cookie.write_text(self.cookie)
        cookie.chmod(0o400)

    def _write_config(self) -> None:
        tls = "" if self.tls is None else self.tls.config(self.tls_port)
        config = CONFIG.format(amqp_port=self.amqp_port, api_port=self.api_port, tls=tls)
        (self.folder / "rabbitmq.config").write_text(config)

    def _environment(self) -> dict[str, str]:
        folder = self.folder
        loopback_only = "-kernel inet_dist_use_interface {127,0,0,1}"
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
        return inherited | {
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self.epmd_port),
            "RABBITMQ_NODENAME": self.node,
            "RABBITMQ_CONF_ENV_FILE": str(folder / "empty.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.config"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_DIST_PORT": str(self.node_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": f"{loopback_only} -start_epmd false +S 2:2",
            "RABBITMQ_CTL_ERL_ARGS": f"{loopback_only} -start_epmd false +S 1:1",
            # Any free port: those of the default are shared with other servers' tools.
            "RABBITMQ_CTL_DIST_PORT_MIN": "0",
            "RABBITMQ_CTL_DIST_PORT_MAX": "0",
            # The start script then becomes the server instead of waiting for it: one process,
            # whose id we know.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def _start_epmd(self) -> None:
        command = ["epmd", "-address", LOOPBACK, "-port", str(self.epmd_port)]
        self._epmd = self._spawn(command)
        self._wait_for("epmd", self._epmd, lambda: answers(self.epmd_port))

    def _start_server(self) -> None:
        self._write_config()
        self._server = self._spawn([str(self._script("rabbitmq-server"))])
        self._wait_for("RabbitMQ", self._server, self._accepts_amqp)

    def _spawn(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                [*bound_to_this_process(), *command],
                env=self._environment(),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C at the terminal is for the tests, which then stop the server.
                start_new_session=True,
            )

    def _accepts_amqp(self) -> bool:
        accepts_tls = self.tls is None or answers(self.tls_port)
        return accepts_tls and answers(self.amqp_port, AMQP_HEADER, METHOD_FRAME)

    def _wait_for(
        self, what: str, child: "subprocess.Popen[bytes]", is_ready: Callable[[], bool]
    ) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while not is_ready():
            status = child.poll()
            if status is not None:
                raise ServerFailed(f"{what} ended with status {status}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise ServerFailed(
                    f"{what} not ready after {START_TIMEOUT} seconds:\n{self.log_tail()}"
                )
            time.sleep(0.05)


def bound_to_this_process() -> list[str]:
    """Return a command prefix that makes a child die with us, even if we are killed."""
    return ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []


def answers(port: int, greeting: bytes = b"", expected: bytes = b"") -> bool:
    """Return whether what listens on `port` answers `greeting` with `expected`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1) as connection:
            connection.sendall(greeting)
            return not expected or connection.recv(1) == expected
    except OSError:
        return False


def _end(child: "subprocess.Popen[bytes] | None", *, grace: float = 0) -> None:
    if child is None:
        return
    if grace:
        child.terminate()
        child.send_signal(signal.SIGCONT)  # a test may have frozen it
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
    child.kill()
    child.wait()


def _lines(file: Path) -> list[str]:
    return file.read_text(errors="replace").splitlines()
