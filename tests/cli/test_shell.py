"""`rpcnode shell`."""

import importlib.util
import logging
from time import monotonic

import pytest

from rpcnode.cli.shell import let_threads_log
from rpcnode.concurrency import native_lock
from tests.cli.processes import eventually
from tests.faults.proxy import Proxy

PROMPT = ">>> "
PLAIN = ("shell", "--interface", "plain")


@pytest.fixture
def shell(terminal, shop):
    """A plain prompt that hosts the shop."""
    shell = terminal(*PLAIN, "--host", "shop")
    shell.banner = shell.expect(PROMPT)
    return shell


def say(shell, line):
    shell.type(f"{line}\n")
    return shell.expect(PROMPT)


def test_banner_tells_where_it_is(terminal, shop):
    shell = terminal(*PLAIN, "--host", "shop", "--broker", "memory://me:secret@name")

    banner = shell.expect(PROMPT)

    assert "memory://me:********@name (--broker)" in banner
    assert "hosted here: stock, orders, mailer, clock" in banner
    assert "nothing outside this process can reach its services" in banner
    assert "secret" not in banner


def test_services_are_called_and_events_dispatched(shell, notes):
    placed = say(shell, 'n.rpc.orders.place("plum")')
    by_key = say(shell, 'n.rpc["orders"]["place"]("plum", quantity=3)')
    say(shell, 'n.dispatch_event("orders", "placed", {"sku": "pear"})')

    assert "'status': 'placed'" in placed
    assert "'quantity': 3" in by_key
    eventually(lambda: "mail pear" in notes())


def test_other_ways_to_call_work_across_the_threads(shell):
    say(shell, 'reply = n.rpc.orders.place.call_async("plum")')

    assert "'placed'" in say(shell, "reply.result()")
    assert "'placed'" in say(shell, "reply.result(timeout=1)")
    assert "Error" not in say(shell, 'del reply; n.rpc.orders.place.cast("plum")')
    assert "RpcTimeout" in say(shell, "n.rpc.orders.nap.with_options(timeout=.1)(1)")


def test_configuration_is_at_hand(shell):
    assert "memory://" in say(shell, 'n.config["AMQP_URI"]')
    assert "10" in say(shell, "n.config['max_workers']")


def test_errors_are_shown_with_hints_and_the_prompt_goes_on(shell):
    failed = say(shell, 'n.rpc.orders.place("none")')
    unknown = say(shell, "n.rpc.ordres.place()")
    no_method = say(shell, "n.rpc.orders.plce()")

    assert "RemoteError: ValueError no such sku" in failed
    assert "did you mean 'orders'?" in unknown
    assert "did you mean 'place'?" in no_method
    assert "2" in say(shell, "1 + 1")


def test_services_work_on_while_the_prompt_waits(shell, notes):
    eventually(lambda: notes().count("tick") > 2)
    began, ticks = monotonic(), notes().count("tick")

    eventually(lambda: notes().count("tick") >= ticks + 10)

    assert monotonic() - began < 2


def test_services_work_on_while_the_prompt_computes(shell, notes):
    shell.type("while True: pass\n\n")
    ticks = notes().count("tick")

    eventually(lambda: notes().count("tick") >= ticks + 3)
    shell.type("\x03")
    shell.expect("KeyboardInterrupt")
    shell.expect(PROMPT)

    assert "2" in say(shell, "1 + 1")


def test_interrupt_ends_a_line_and_not_the_shell(shell):
    shell.type("n.rpc.orders.place(")
    shell.expect("place(")  # before that, readline itself may miss the interrupt

    shell.type("\x03")
    shell.expect("KeyboardInterrupt")
    shell.expect(PROMPT)

    assert "'status': 'placed'" in say(shell, 'n.rpc.orders.place("plum")')


def test_interrupt_ends_a_call_and_not_the_shell(shell, notes):
    shell.type("n.rpc.orders.nap(600)\n")
    eventually(lambda: "napping" in notes())

    shell.type("\x03")
    shell.expect("KeyboardInterrupt")
    shell.expect(PROMPT)

    assert "'status': 'placed'" in say(shell, 'n.rpc.orders.place("plum")')


def test_prompt_is_there_while_the_broker_is_away(terminal):
    shell = terminal(*PLAIN, "--broker", "amqp://me:secret@127.0.0.1:1")

    banner = shell.expect(PROMPT)
    called = say(shell, "n.rpc.orders.place.with_options(timeout=.1)()")
    shell.type("n.rpc.orders.place()\n")
    shell.expect("place()")
    shell.type("\x03")
    interrupted = shell.expect(PROMPT)
    shell.type("\x04")

    assert "no connection yet" in banner
    assert "BrokerUnavailable: no connection to amqp://me:********@127.0.0.1:1" in called
    assert "within 0.1 s; nothing was sent" in called
    assert "KeyboardInterrupt" in interrupted
    assert shell.wait() == 0
    assert "secret" not in banner + called + interrupted


@pytest.fixture
def proxy(vhost_uri):
    """What stands before the broker, and refuses connections until it is told otherwise."""
    with Proxy(vhost_uri) as proxy:
        proxy.refuse()
        yield proxy


def test_prompt_connects_as_soon_as_the_broker_is_there(terminal, start, shop, vhost_uri, proxy):
    start("run", "shop:Stock", "--broker", vhost_uri).wait_for("services are up")
    shell = terminal(*PLAIN, "--broker", proxy.uri)
    banner = shell.expect(PROMPT)

    shell.type("n.rpc.stock.reserve('plum', 3) * 7\n")
    proxy.admit()
    waited = shell.expect(PROMPT)
    later = say(shell, "n.rpc.stock.reserve('plum', 4) * 7")

    assert "no connection yet" in banner
    assert "21" in waited
    assert "28" in later


def test_refusal_that_comes_at_once_ends_the_prompt(terminal, vhost_uri):
    wrong = vhost_uri.replace("guest:guest@", "guest:wrong-password@")
    shell = terminal(*PLAIN, "--broker", wrong)

    shell.expect("refuses us")

    assert shell.wait() == 3


def test_interrupt_ends_the_wait_of_hosted_services_for_a_broker_that_is_away(terminal, shop):
    shell = terminal(*PLAIN, "--host", "shop", "--broker", "amqp://127.0.0.1:1")
    shell.expect("cannot reach the broker")

    shell.type("\x03")

    assert shell.wait() == 130


@pytest.mark.parametrize("end", ["quit()\n", "\x04", "raise SystemExit\n"])
def test_leaving_ends_the_command(shell, end):
    shell.type(end)

    assert shell.wait() == 0


def test_hosted_services_and_methods_are_completed(shell):
    shell.type("n.rpc.ord\t")
    shell.expect("n.rpc.orders")
    shell.type(".pla\t")
    shell.expect("place(")

    shell.type('"plum")\n')

    assert "'status': 'placed'" in shell.expect(PROMPT)


def test_startup_file_is_run(terminal, shop, environ):
    (shop / "startup.py").write_text("own = n.rpc.orders")
    environ["PYTHONSTARTUP"] = str(shop / "startup.py")
    shell = terminal(*PLAIN, "--host", "shop")
    shell.expect(PROMPT)

    assert "'status': 'placed'" in say(shell, 'own.place("plum")')


def test_startup_file_that_fails_is_shown(terminal, shop, environ):
    environ["PYTHONSTARTUP"] = str(shop / "missing.py")
    shell = terminal(*PLAIN, "--host", "shop")

    assert "FileNotFoundError" in shell.expect(PROMPT)


@pytest.mark.parametrize(
    ("interface", "module", "prompt"),
    [("ipython", "IPython", "In [1]:"), ("bpython",) * 2 + (PROMPT,)],
)
def test_other_prompts_call_services_that_work_on(
    terminal, shop, environ, notes, interface, module, prompt
):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: it is optional")
    environ["IPYTHONDIR"] = str(shop / "ipython")
    shell = terminal("shell", "--interface", interface, "--host", "shop")
    shell.expect(prompt)

    shell.type('n.rpc.orders.place("plum")\r')
    eventually(lambda: shell.read() and "mail plum" in notes())
    ticks = notes().count("tick")
    eventually(lambda: shell.read() and notes().count("tick") >= ticks + 3)
    shell.type("quit()\r")

    assert shell.wait() == 0


def test_interface_that_does_not_exist_is_refused(rpcnode):
    result = rpcnode("shell", "--interface", "other")

    assert result.returncode == 2


def test_piped_code_runs_without_a_prompt(rpcnode, shop, notes):
    code = 'for sku in ("a", "b"):\n    n.rpc.orders.place(sku)\ndef f():\n    return 3\nf()\n'

    result = rpcnode("shell", "--host", "shop", stdin=code)

    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "3"
    assert result.stdout.count("'placed'") == 2
    assert PROMPT not in result.stdout
    assert [each for each in notes() if each.startswith("mail")] == ["mail a", "mail b"]


@pytest.mark.parametrize(
    ("code", "exit_code", "error"),
    [
        ("print(1)\n1/0\nprint(2)", 1, "ZeroDivisionError"),
        ("print(1)\nn.rpc.orders.place('none')", 1, "RemoteError: ValueError no such sku"),
        ("print(1)\nraise SystemExit(4)", 4, ""),
        ("print(1)\nraise SystemExit('enough')", 1, "enough"),
        ("print(1)\nquit()\nprint(2)", 0, ""),
    ],
)
def test_exception_in_piped_code_ends_it(rpcnode, shop, code, exit_code, error):
    result = rpcnode("shell", "--host", "shop", stdin=code)

    assert result.returncode == exit_code
    assert result.stdout == "1\n"
    assert error in result.stderr
    assert "prompts.py" not in result.stderr


def test_piped_code_that_is_none_runs_nothing(rpcnode, shop):
    result = rpcnode("shell", "--host", "shop", stdin="print(1)\nprint(")

    assert result.returncode == 1
    assert result.stdout == ""
    assert "SyntaxError" in result.stderr


@pytest.mark.parametrize("hosting", [(), ("--host", "shop")])
def test_piped_code_gives_up_when_the_broker_is_away(rpcnode, shop, hosting):
    away = ("--broker", "amqp://me:secret@127.0.0.1:1", "-d", "RPC_TIMEOUT=0.5")

    result = rpcnode("shell", *hosting, *away, stdin="print(1)")

    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == (
        "BrokerUnavailable: no connection to amqp://me:********@127.0.0.1:1 within 0.5 s; "
        "nothing was sent"
    )


def test_error_from_elsewhere_steers_no_terminal(rpcnode, shop):
    result = rpcnode("shell", "--host", "shop", stdin="n.rpc.orders.shout()")

    assert "RemoteError: ValueError \\x1b[31mred" in result.stderr
    assert "\x1b" not in result.stderr.partition("<stdin>")[2]


def test_error_from_elsewhere_is_escaped_at_the_prompt(shell):
    shown = say(shell, "n.rpc.orders.shout()")

    assert "RemoteError: ValueError \\x1b[31mred" in shown


def test_broker_that_refuses_has_its_own_exit_code(rpcnode, vhost_uri):
    wrong = vhost_uri.replace("guest:guest@", "guest:wrong-password@")

    result = rpcnode("shell", "--broker", wrong, stdin="1")

    assert result.returncode == 3
    assert "wrong-password" not in result.stderr


def test_service_in_another_process_is_called(rpcnode, start, shop, vhost_uri, notes):
    start("run", "shop", "--broker", vhost_uri).wait_for("services are up")
    code = 'n.rpc.orders.place("plum")\nn.dispatch_event("orders", "placed", {"sku": "pear"})\n'

    result = rpcnode("shell", "--broker", vhost_uri, stdin=code)

    assert result.returncode == 0, result.stderr
    assert "'sku': 'plum'" in result.stdout
    eventually(lambda: {"mail plum", "mail pear"} <= set(notes()))


def test_logging_works_in_both_threads():
    logger = logging.getLogger("test_shell.own")
    handler = logging.NullHandler()
    logger.addHandler(handler)

    handler.createLock()
    let_threads_log()

    assert type(handler.lock) is type(native_lock())
