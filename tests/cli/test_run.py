"""`rpcnode run`."""

import json
import signal

import pytest

from rpcnode.concurrency import socket
from tests.cli.processes import eventually

MEMORY = ("--broker", "memory://")
FAILING = """
from rpcnode.extensions import DependencyProvider, Entrypoint

class Broken(DependencyProvider):
    def {hook}(self):
        {action}

class Service:
    name = "service"
    broken = Broken()

    @Entrypoint.decorator
    def method(self): ...
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_services_run_until_a_signal_stops_them(start, shop, notes, number):
    process = start("run", *MEMORY, "shop")
    process.wait_for("services are up: stock, orders, mailer, clock")
    eventually(lambda: "tick" in notes())

    process.process.send_signal(number)

    assert process.wait() == 0
    assert "services have stopped" in process.errors
    assert "nothing outside this process can reach its services" in process.errors


def test_messages_lost_with_the_embedded_broker_are_counted(start, shop, notes):
    (shop / "busy.py").write_text("""
from rpcnode.events import EventDispatcher
from rpcnode.lifecycle import on_start
from shop import Mailer as ShopMailer

class Mailer(ShopMailer):
    dispatch = EventDispatcher()

    @on_start
    def begin(self):
        for seconds in (0.5, 0, 0):
            self.dispatch("nap", seconds)

Mailer.name = "orders"
""")
    process = start("run", *MEMORY, "-d", "MAX_WORKERS=1", "busy")
    eventually(lambda: "napping" in notes())

    process.process.terminate()

    assert process.wait() == 0
    assert "messages that are lost with the embedded broker: 2" in process.errors
    assert notes() == ["napping", "napped"]


def test_running_call_ends_before_the_process_does(start, shop, notes, vhost_uri):
    service = start("run", "--broker", vhost_uri, "shop:Orders")
    service.wait_for("services are up")
    caller = start("call", "--broker", vhost_uri, "orders.nap", "0.5")
    eventually(lambda: "napping" in notes())

    service.process.terminate()

    assert service.wait() == 0
    assert caller.wait() == 0, caller.errors
    assert json.loads(caller.output) == "rested"


def test_second_signal_kills_at_once(start, shop, notes, vhost_uri):
    service = start("run", "--broker", vhost_uri, "shop:Orders")
    service.wait_for("services are up")
    start("call", "--broker", vhost_uri, "orders.nap", "600")
    eventually(lambda: "napping" in notes())
    service.process.terminate()
    service.wait_for("a second signal kills")

    service.process.terminate()

    assert service.wait() == 1
    assert "services were killed: orders" in service.errors
    assert "napped" not in notes()


def test_second_signal_kills_a_method_that_never_pauses(start, shop, notes, vhost_uri):
    service = start("run", "--broker", vhost_uri, "shop:Orders")
    service.wait_for("services are up")
    start("call", "--broker", vhost_uri, "orders.spin")
    eventually(lambda: "spinning" in notes())

    # Two pending signals of one number would be one.
    service.process.send_signal(signal.SIGINT)
    service.process.send_signal(signal.SIGTERM)

    assert service.wait() == 1


def test_broker_that_is_away_is_named_and_tried_again_until_a_signal(start, shop):
    process = start("run", "--broker", "amqp://me:secret@127.0.0.1:1//", "shop")
    eventually(lambda: process.errors.count("cannot reach the broker") >= 2)

    process.process.terminate()

    assert process.wait() == 0
    assert "services are up" not in process.errors
    assert "127.0.0.1:1" in process.errors
    assert "--broker, AMQP_URI, --config" in process.errors
    assert "secret" not in process.errors
    assert "Traceback" not in process.errors


@pytest.mark.parametrize("part", ["password", "vhost"])
def test_broker_that_refuses_has_its_own_exit_code(rpcnode, shop, vhost_uri, part):
    wrong = {
        "password": vhost_uri.replace("guest:guest@", "guest:wrong-password@"),
        "vhost": f"{vhost_uri}-missing",
    }[part]

    result = rpcnode("run", "--broker", wrong, "shop")

    assert result.returncode == 3
    assert "refuses us" in result.stderr
    assert "wrong-password" not in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("from rpcnode import rpc\n@rpc\ndef method(): ...", "write `from rpcnode.rpc import rpc`"),
        ("class Plain: ...", "What is there: Plain (no entrypoints)"),
        ("import no_such_thing", "No module named 'no_such_thing'"),
        (
            "from rpcnode.rpc import rpc\nclass A:\n    @rpc\n    def method(self): ...",
            "service class module.A has no `name`",
        ),
        (
            "from rpcnode.rpc import rpc\nclass A:\n    name = 'a'\n    @rpc\n"
            "    def method(self): ...\nclass B(A): ...",
            "two services are named 'a': module.A and module.B",
        ),
    ],
)
def test_what_cannot_be_hosted_is_told(rpcnode, tmp_path, module, message):
    (tmp_path / "module.py").write_text(module)

    result = rpcnode("run", *MEMORY, "module")

    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["shop.py"], "'shop.py' is a file, and a module is wanted; did you mean 'shop'?"),
        (["shop:Ordres"], "did you mean 'Orders'?"),
        (["-d", "MAX_WORKERS=many", "shop"], "MAX_WORKERS must be"),
        (["-d", "LOGGING={handlers: {a: {class: no.such.Handler}}}", "shop"], "LOGGING: "),
        (["-d", "SERVICE_CONTAINER_CLS=no.such", "shop"], "there is no class 'no.such'"),
        (["--backdoor-port", "host", "shop"], "expected [HOST:]PORT"),
        ([], "MODULE[:CLASS]"),
    ],
)
def test_bad_input_is_told(rpcnode, shop, arguments, message):
    result = rpcnode("run", *MEMORY, *arguments)

    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_failing_setup_ends_it(rpcnode, tmp_path):
    (tmp_path / "module.py").write_text(
        FAILING.format(hook="setup", action="raise OSError('no database')")
    )

    result = rpcnode("run", *MEMORY, "module")

    assert result.returncode == 1
    assert "services failed: service" in result.stderr
    assert "OSError: no database" in result.stderr


def test_container_that_dies_ends_it(rpcnode, tmp_path):
    action = "self.container.spawn_managed_thread(lambda: [].pop())"
    (tmp_path / "module.py").write_text(FAILING.format(hook="start", action=action))

    result = rpcnode("run", *MEMORY, "module")

    assert result.returncode == 1
    assert "services failed: service" in result.stderr
    assert "IndexError: pop from empty list" in result.stderr


def test_modules_see_the_configuration_at_import(rpcnode, tmp_path):
    (tmp_path / "module.py").write_text(
        "from rpcnode.config import as_config\nprint(as_config(None)['MAX_WORKERS'])"
    )

    result = rpcnode("run", *MEMORY, "-d", "max_workers=3", "module")

    assert result.stdout == "3\n"


def test_logging_is_as_configured(start, shop):
    (shop / "my.yaml").write_text("""
AMQP_URI: memory://
LOGGING:
  formatters: {own: {format: "own %(message)s"}}
  handlers: {own: {class: logging.StreamHandler, formatter: own}}
  root: {level: INFO, handlers: [own]}
""")

    process = start("run", "-c", "my.yaml", "shop:Stock")

    process.wait_for("own services are up: stock")


@pytest.fixture
def backdoor(start, shop):
    """A connection to the backdoor of a process, and a function to say something there."""
    process = start("run", *MEMORY, "--backdoor-port", "0", "shop:Stock")
    process.wait_for("services are up")
    process.wait_for("telnet 127.0.0.1 ")
    port = int(process.errors.partition("telnet 127.0.0.1 ")[2].split()[0])

    def talk(*lines):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
            with connection.makefile() as stream:
                return stream.read()  # until the session ends

    return process, talk


def test_backdoor_is_a_prompt_inside_the_process(backdoor):
    process, talk = backdoor

    said = talk("runner.service_names", "print('hello')", "1/0", "quit()")

    assert "['stock']" in said
    assert "hello" in said
    assert "ZeroDivisionError" in said
    assert "hello" not in process.output


@pytest.mark.parametrize(
    "end", ["quit()", "exit()", "raise SystemExit(3)", "import sys; sys.exit()"]
)
def test_leaving_the_backdoor_ends_the_session_only(backdoor, end):
    process, talk = backdoor

    talk(end)

    assert "2" in talk("1 + 1", end)
    assert process.process.poll() is None


def test_backdoor_executes_nothing_of_an_http_request(backdoor, shop):
    process, talk = backdoor

    said = talk(
        "POST / HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: text/plain",
        "",
        "open('executed', 'w')",
        "print('exe' + 'cuted')",
    )

    assert "executed" not in said
    assert not (shop / "executed").exists()
    assert "the backdoor was sent an HTTP request" in process.errors
    assert "2" in talk("1 + 1", "quit()")


def test_backdoor_can_stop_the_process(backdoor):
    process, talk = backdoor

    talk("runner.stop()", "quit()")

    assert process.wait() == 0


def test_backdoor_port_that_is_taken_is_told(rpcnode, shop):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = rpcnode("run", *MEMORY, "--backdoor-port", str(port), "shop")

    assert result.returncode == 2
    assert f"the backdoor cannot listen on 127.0.0.1:{port}" in result.stderr
