"""`rpcnode call`."""

import json
import signal

import pytest

from rpcnode.cli.call import parse_arguments
from rpcnode.exceptions import CommandError
from tests.cli.processes import eventually


def test_arguments_are_json_and_keywords_have_names():
    args, kwargs = parse_arguments(['"a=b"', "3", '{"k": "x=y"}', 'sku="p"', "none=null"])

    assert args == ("a=b", 3, {"k": "x=y"})
    assert kwargs == {"sku": "p", "none": None}


@pytest.mark.parametrize("text", ["apple", "sku=apple", "[1", ""])
def test_argument_that_is_not_json_is_an_error_that_tells_how_to_write_it(text):
    with pytest.raises(CommandError, match="is not JSON .* a text is written '\""):
        parse_arguments([text])


def test_keyword_given_twice_is_an_error():
    with pytest.raises(CommandError, match="'a' is given twice"):
        parse_arguments(["a=1", "a=2"])


def test_hosted_service_is_called(rpcnode, shop):
    result = rpcnode("call", "--host", "shop", "orders.place", '"äpfel"', "quantity=2")

    assert result.returncode == 0
    assert json.loads(result.stdout) == {"status": "placed", "sku": "äpfel", "quantity": 2}
    assert "nothing outside this process" in result.stderr


def test_event_of_a_hosted_service_is_handled_before_the_end(rpcnode, shop, notes):
    rpcnode("call", "--host", "shop:Orders", "--host", "shop", "orders.place", '"plum"')

    assert "mail plum" in notes()


def test_options_may_stand_between_arguments(rpcnode, shop):
    result = rpcnode("call", "orders.place", '"plum"', "--host", "shop", "quantity=-2")

    assert json.loads(result.stdout)["quantity"] == -2


def test_failure_of_the_method_is_a_typed_error(rpcnode, shop):
    result = rpcnode("call", "--host", "shop", "orders.place", '"none"')

    assert result.returncode == 1
    assert result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("RemoteError: ValueError no such sku")


def test_failure_of_a_hosted_worker_is_one_line(rpcnode, shop):
    result = rpcnode("call", "--host", "shop", "orders.place", '"none"')

    failures = [line for line in result.stderr.splitlines() if " failed: " in line]
    assert len(failures) == 2  # of stock, and of orders
    assert failures[0].endswith(" failed: ValueError: no such sku")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("option", ["-v", "-dLOGGING={root: {level: WARNING}}"])
def test_traceback_of_a_hosted_worker_is_shown_to_who_asks(rpcnode, shop, option):
    result = rpcnode("call", option, "--host", "shop", "orders.place", '"none"')

    assert result.returncode == 1
    assert "Traceback" in result.stderr


def test_values_that_json_lacks_are_printed_as_texts(rpcnode, shop):
    result = rpcnode("call", "--host", "shop", "orders.age")

    assert json.loads(result.stdout) == {"born": "2024-02-29", "price": "1.50", "ratio": "NaN"}
    assert "NaN," not in result.stdout


def test_error_from_elsewhere_steers_no_terminal(rpcnode, shop):
    result = rpcnode("call", "--host", "shop", "orders.shout")

    last = result.stderr.splitlines()[-1]
    assert last.startswith("RemoteError: ValueError \\x1b[31mred\\nFAKE: line (")
    assert "\x1b" not in result.stderr


@pytest.mark.parametrize(
    ("method", "arguments", "error"),
    [
        ("ordres.place", [], "UnknownService: .*did you mean 'orders'?"),
        ("orders.plce", [], "MethodNotFound: .*did you mean 'place'?"),
        ("orders.place", [], "IncorrectSignature: "),
    ],
)
def test_call_that_cannot_be_made_is_a_typed_error(rpcnode, shop, method, arguments, error):
    result = rpcnode("call", "--host", "shop", method, *arguments)

    assert result.returncode == 1
    kind, _, hint = error.partition(".*")
    last = result.stderr.splitlines()[-1]
    assert last.startswith(kind)
    assert last.endswith(hint)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["place"], "expected SERVICE.METHOD, not 'place'"),
        ([".place"], "expected SERVICE.METHOD"),
        (["orders."], "expected SERVICE.METHOD"),
        (["orders.place", "apple"], "is not JSON"),
        (["orders.place", "--timeout", "0"], "expected a number above 0"),
        (["orders.place", "--timeout", "soon"], "expected a number above 0"),
        (["--host", "shpo", "orders.place"], "there is no module 'shpo'; did you mean 'shop'?"),
        (["--broker", "user:s3cr3t@host:5672", "a.b"], "not 'user:********@host:5672' (--broker)"),
        (["--broker", "memory://", "orders.place"], "name them with --host"),
        (["-d", "MAX_WORKERS=many", "orders.place"], "MAX_WORKERS must be"),
        ([], "SERVICE.METHOD"),
    ],
)
def test_bad_input_is_told(rpcnode, shop, arguments, message):
    result = rpcnode("call", *arguments)

    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    assert "s3cr3t" not in result.stderr


def test_embedded_broker_is_not_told_of_when_there_is_nothing_to_host(rpcnode, shop):
    result = rpcnode("call", "--host", "shpo", "orders.place")

    assert "nothing outside this process" not in result.stderr


def test_call_ends_within_its_time(rpcnode, shop):
    result = rpcnode("call", "--host", "shop", "--timeout", "0.3", "orders.nap", "1")

    assert result.returncode == 1
    assert any(line.startswith("RpcTimeout: ") for line in result.stderr.splitlines())
    assert "running?" not in result.stderr  # it is: here


def test_timeout_says_what_was_asked_for_and_what_may_be_wrong(rpcnode, start, shop, vhost_uri):
    service = start("run", "shop:Orders", "--broker", vhost_uri)
    service.wait_for("services are up")
    service.process.terminate()
    service.wait()

    result = rpcnode("call", "--broker", vhost_uri, "--timeout", "1", "orders.place", '"plum"')

    assert result.returncode == 1
    assert result.stderr == (
        "RpcTimeout: no reply from orders.place within 1 s; is an instance of 'orders' running?\n"
    )


def test_broker_that_is_away_ends_it_within_its_time(rpcnode):
    result = rpcnode("call", "--timeout", "0.5", "--broker", "amqp://me:secret@127.0.0.1:1", "a.b")

    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last == (
        "BrokerUnavailable: no connection to amqp://me:********@127.0.0.1:1 within 0.5 s; "
        "nothing was sent"
    )
    assert "secret" not in result.stderr


def test_service_in_another_process_is_called(rpcnode, start, shop, vhost_uri):
    start("run", "shop", "--broker", vhost_uri).wait_for("services are up")

    placed = rpcnode("call", "--broker", vhost_uri, "orders.place", '"plum"')
    missing = rpcnode("call", "--broker", vhost_uri, "nobody.place", '"plum"')

    assert placed.returncode == 0, placed.stderr
    assert placed.stderr == ""
    assert json.loads(placed.stdout)["sku"] == "plum"
    assert missing.returncode == 1
    assert missing.stderr.startswith("UnknownService: ")


def test_environment_names_the_broker_of_hosted_services(rpcnode, shop, environ, vhost_uri):
    environ["AMQP_URI"] = vhost_uri

    result = rpcnode("call", "--host", "shop", "orders.place", '"plum"')

    assert result.returncode == 0, result.stderr
    assert "nothing outside this process" not in result.stderr


def test_broker_that_refuses_has_its_own_exit_code(rpcnode, vhost_uri):
    wrong = vhost_uri.replace("guest:guest@", "guest:wrong-password@")

    result = rpcnode("call", "--broker", wrong, "orders.place")

    assert wrong != vhost_uri
    assert result.returncode == 3
    assert "refuses us" in result.stderr
    assert "wrong-password" not in result.stderr


def test_interrupt_ends_it(start, shop, notes):
    process = start("call", "--host", "shop", "orders.nap", "600")
    eventually(lambda: "napping" in notes())

    process.process.send_signal(signal.SIGINT)

    assert process.wait() == 130
    assert "Traceback" not in process.errors
