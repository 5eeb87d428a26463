"""`rpcnode dead`: what operators do with dead letters."""

import json
import subprocess
import sys
from subprocess import PIPE

import pytest

from rpcnode.cli.main import main
from tests.cli.processes import eventually
from tests.deadletters.broker import Broker
from tests.deadletters.notes import notes


@pytest.fixture
def broker(vhost_uri):
    """The test's broker, with the queue `orders` and its dead queue."""
    with Broker({"AMQP_URI": vhost_uri}) as broker:
        yield broker


@pytest.fixture
def run(vhost_uri, capfd):
    """Return a function that runs the command; it returns exit code, output and errors."""

    def run_command(*arguments):
        code = main(["dead", *arguments, "--broker", vhost_uri])
        return code, *capfd.readouterr()

    return run_command


def test_list_counts_letters_by_what_they_died_of(broker, run, rabbit_api_uri):
    for exc_type in ("ValueError", "KeyError", "ValueError"):
        broker.put("orders.dead", headers=notes(exc_type=exc_type, last_failed=1_700_000_000_000))
    broker.make_dead_queue("empty.dead")

    code, output, _errors = run("list", "--management-uri", rabbit_api_uri)

    when = "2023-11-14T22:13:20Z"
    assert code == 0
    assert [line.split() for line in output.splitlines()] == [
        ["QUEUE", "LETTERS", "REASON", "EXCEPTION", "HANDLER", "OLDEST", "NEWEST"],
        ["empty.dead", "0", "-", "-", "-", "-", "-"],
        ["orders.dead", "2", "exhausted", "ValueError", "mailer.send", when, when],
        ["orders.dead", "1", "exhausted", "KeyError", "mailer.send", when, when],
    ]


def test_list_needs_no_management_api_for_queues_that_are_named(broker, run):
    broker.put("orders.dead", headers=notes())
    broker.put("orders.dead", headers=notes(reason="rejected"))

    code, output, errors = run("list", "orders", "nothing", "--format", "json")
    limited = run("list", "orders", "--limit", "1", "--where", "reason=rejected")
    total = run("list", "orders", "--totals")

    lines = json.loads(output)
    assert code == 1
    assert [(line["queue"], line["letters"], line["reason"]) for line in lines] == [
        ("orders.dead", 1, "exhausted"),
        ("orders.dead", 1, "rejected"),
    ]
    assert "'nothing.dead'" in errors
    assert "rejected" not in limited[1]
    assert "the oldest 1 of the 2 letters" in limited[2]
    assert total[1].split()[-7:] == ["orders.dead", "2", "-", "-", "-", "-", "-"]


def test_list_finds_the_dead_queues_of_services(broker, run, shop, monkeypatch):
    monkeypatch.chdir(shop)
    broker.make_dead_queue("evt-orders-placed--mailer.send.dead")
    broker.put("evt-orders-placed--mailer.send.dead", headers=notes())

    code, output, _errors = run("list", "--service", "shop", "--totals")

    assert code == 0
    assert output.splitlines()[1].split()[:2] == ["evt-orders-placed--mailer.send.dead", "1"]


def test_list_without_an_api_says_what_to_do(broker, run):
    code, _output, errors = run("list", "--management-uri", "http://guest:secret@127.0.0.1:1")

    assert code == 1
    assert "no management API at http://guest:********@127.0.0.1:1" in errors
    assert "--service" in errors


@pytest.mark.parametrize(
    "configuration",
    [
        "AMQP_URI: amqps://me:secret@127.0.0.1",
        "{AMQP_URI: amqp://me:secret@127.0.0.1, AMQP_SSL: true}",
    ],
)
def test_password_of_an_encrypted_connection_is_not_told_in_the_clear(
    configuration, tmp_path, capsys
):
    (tmp_path / "config.yaml").write_text(configuration)

    code = main(["dead", "list", "--config", str(tmp_path / "config.yaml")])

    error = capsys.readouterr().err
    assert code == 1
    assert "https://me:" in error
    assert "@127.0.0.1:15671" in error
    assert "secret" not in error


def test_show_has_all_that_helps_and_steers_no_terminal(broker, run):
    headers = notes(exc_message="\x1b[31mred", traceback="first\n  second\x07\n", extra="a\x1bb")
    headers["nameko.language"] = "de\x1b"
    body = b'{"sku": "plum\\u001b", "deep": [1]}'
    broker.put("orders.dead", body, headers, content_type="application/json", message_id="a")

    code, output, _errors = run("show", "orders")

    assert code == 0
    assert output.isprintable() or {each for each in output if not each.isprintable()} == {"\n"}
    for text in (
        *("orders.dead", "exhausted", "ValueError: \\x1b[31mred", "mailer.send (ran 3 times)"),
        *(
            "'shop.events', routing key 'placed'",
            "  second\\x07",
            '"de\\u001b"',
            "application/json",
        ),
        *('"sku": "plum\\u001b"', '"deep": ['),
    ):
        assert text in output


def test_show_finds_a_letter_by_its_id_or_its_place(broker, run):
    for number in range(3):
        broker.put("orders.dead", b"\xff" * number, notes(), message_id=f"id-{number}")

    by_place = json.loads(run("show", "orders", "--index", "2", "--format", "json")[1])
    by_id = json.loads(run("show", "orders", "--id", "id-1", "--format", "json")[1])
    missing = run("show", "orders", "--index", "3")
    unknown = run("show", "orders", "--id", "id-3")

    assert (by_place["id"], by_place["body_base64"]) == ("id-2", "//8=")
    assert (by_id["id"], by_id["reason"]) == ("id-1", "exhausted")
    assert (missing[0], unknown[0]) == (1, 1)
    assert "no letter with the index 3 in 'orders.dead'" in missing[2]
    assert "no letter with the id 'id-3'" in unknown[2]


def test_show_cuts_a_long_body(broker, run):
    broker.put("orders.dead", b"x" * 20_000)

    cut, full = run("show", "orders")[1], run("show", "orders", "--full")[1]

    assert "and 10000 characters more: --full" in cut
    assert "x" * 20_000 in full


def test_replay_sends_back_what_is_meant(broker, run):
    ids = [broker.put("orders.dead", headers=notes(exc_type=each)) for each in ("A", "B", "A")]

    dry = run("replay", "orders", "--where", "exc-type=A", "--dry-run")
    code, output, errors = run("replay", "orders", "--where", "exc-type=A", "--rate", "100")

    assert dry[:2] == (0, "would replay 2 letters of 'orders.dead'\n")
    assert (code, output, errors) == (0, "replayed 2 of 2 letters of 'orders.dead'\n", "")
    assert broker.ids("orders") == [ids[0], ids[2]]


def test_replay_names_what_could_not_be_done(broker, run):
    broker.make_queue("rpc-stock", "nameko-rpc", "stock.*")
    broker.make_dead_queue("rpc-stock.dead")
    broker.make_dead_queue("gone.dead")
    broker.put("rpc-stock.dead", headers=notes(origin_exchange="other", origin_key="stock.reserve"))

    exchange, queue = run("replay", "rpc-stock"), run("replay", "gone")
    elsewhere = run("replay", "rpc-stock", "--to", "orders")

    assert exchange[:2] == (1, "replayed 0 of 1 letter of 'rpc-stock.dead'\n")
    assert "1 not replayed: there is no exchange 'other'" in exchange[2]
    assert queue[0] == 1
    assert "there is no queue 'gone'" in queue[2]
    assert elsewhere[0] == 0
    assert broker.session.count("orders") == 1


def test_purge_asks_unless_it_is_told_not_to(broker, run, terminal, vhost_uri):
    broker.put("orders.dead", headers=notes())
    broker.put("orders.dead", headers=notes(reason="rejected"))

    unasked = run("purge", "orders", "--where", "reason=rejected", "--yes")
    asking = terminal("dead", "purge", "orders", "--broker", vhost_uri)
    asking.expect("Throw away 1 letter of 'orders.dead'? [y/N]")
    asking.type("\n")

    assert unasked[:2] == (0, "threw away 1 letter of 'orders.dead'\n")
    assert asking.wait() == 1
    assert broker.session.count("orders.dead") == 1


def test_purge_takes_no_more_than_it_asked_for(broker, terminal, vhost_uri):
    broker.put("orders.dead", headers=notes())

    asking = terminal("dead", "purge", "orders", "--broker", vhost_uri)
    asking.expect("Throw away 1 letter of 'orders.dead'? [y/N]")
    later = broker.put("orders.dead", headers=notes())
    asking.type("y\n")

    asking.expect("threw away 1 letter of 'orders.dead'")
    assert asking.wait() == 0
    assert broker.ids("orders.dead") == [later]


def test_purge_without_anybody_to_ask_is_refused(broker, rpcnode, vhost_uri):
    broker.put("orders.dead", headers=notes())

    done = rpcnode("dead", "purge", "orders", "--broker", vhost_uri, stdin="y\n")

    assert done.returncode == 2
    assert "--yes" in done.stderr
    assert broker.session.count("orders.dead") == 1


def test_what_was_exported_is_imported(broker, run, tmp_path):
    ids = [broker.put("orders.dead", b"\xff", notes()) for _ in range(3)]
    file = tmp_path / "letters"

    exported = run("export", "orders", str(file), "--remove")
    twice = run("export", "orders", str(file))
    imported = run("import", str(file))

    assert exported == (0, "", "exported 3 letters of 'orders.dead', and removed them\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert (twice[0], "exists" in twice[2]) == (2, True)
    assert imported[:2] == (0, "imported 3 letters\n")
    assert broker.ids("orders.dead") == ids


def test_export_to_the_standard_output_removes_nothing(broker, run):
    broker.put("orders.dead", headers=notes())

    code, output, errors = run("export", "orders")
    refused = run("export", "orders", "--remove")

    assert (code, errors) == (0, "exported 1 letter of 'orders.dead'\n")
    assert json.loads(output)["queue"] == "orders.dead"
    assert refused[0] == 2
    assert broker.session.count("orders.dead") == 1


def test_export_of_a_missing_queue_makes_no_file(broker, run, tmp_path):
    code, _output, errors = run("export", "nothing", str(tmp_path / "letters"))

    assert code == 1
    assert "'nothing.dead'" in errors
    assert not (tmp_path / "letters").exists()


def test_import_refuses_what_is_no_export(broker, run, tmp_path):
    file = tmp_path / "letters"
    file.write_bytes(b'{"queue": "orders.dead", "properties": {}, "body": ""}\n{"body": "\xff"}\n')

    code, _output, errors = run("import", str(file))
    missing = run("import", str(tmp_path / "nothing"))

    assert (code, missing[0]) == (2, 2)
    assert "line 2 is no dead letter" in errors
    assert broker.session.count("orders.dead") == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["frobnicate"], "no command 'dead frobnicate'"),
        (["lost"], "did you mean 'list'?"),
        (["list", "orders", "--where", "exc-type"], "'exc-type' is no condition"),
        (["list", "orders", "--where", "colour=red"], "there is no 'colour', only reason"),
        (["list", "orders", "--where", "age>old"], "a time such as 90s"),
        (["list", "orders", "--where", "reason>x"], "reason is a text"),
        (["purge", "q" * 251, "--yes"], "too long for the name of a queue"),
    ],
)
def test_command_line_that_cannot_be_is_refused(arguments, problem, capsys):
    code = main(["dead", *arguments])

    assert code == 2
    assert problem in capsys.readouterr().err


def test_queue_that_letters_cannot_go_to_is_refused(broker, run):
    broker.put("orders.dead", headers=notes())

    code, _output, errors = run("replay", "orders", "--to", "q" * 256)

    assert code == 2
    assert "too long for the name of a queue" in errors


@pytest.mark.parametrize("uri", ["http://u:sec/ret@host", "http://u:secret@host:99999", "http://["])
def test_management_uri_that_cannot_be_is_refused_without_its_password(uri, capsys):
    code = main(["dead", "list", "--broker", "amqp://127.0.0.1:1", "--management-uri", uri])

    error = capsys.readouterr().err
    assert code == 2
    assert "--management-uri has no host" in error
    assert "sec" not in error


def test_embedded_broker_cannot_be_looked_into(capsys):
    assert main(["dead", "list", "orders", "--broker", "memory://"]) == 2
    assert "ends with its process" in capsys.readouterr().err


def test_help_lists_the_commands(capsys):
    assert main(["dead", "--help"]) == 0
    assert main(["dead"]) == 2
    assert "replay" in capsys.readouterr().out


def test_wrong_password_is_exit_code_3_and_not_shown(vhost_uri, capsys):
    uri = vhost_uri.replace("guest:guest", "guest:secret")

    assert main(["dead", "list", "orders", "--broker", uri]) == 3
    assert "secret" not in capsys.readouterr().err


def test_reader_of_an_export_may_leave(broker, vhost_uri, environ):
    for _ in range(300):
        broker.put("orders.dead", b"x" * 1000)
    command = [sys.executable, "-m", "rpcnode", "dead", "export", "orders", "--broker", vhost_uri]

    with subprocess.Popen(command, stdout=PIPE, stderr=PIPE, env=environ, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()

    assert (process.returncode, errors) == (1, "")
    assert broker.session.count("orders.dead") == 300


def test_replay_that_is_killed_leaves_all_others_where_they_were(broker, start, vhost_uri):
    ids = {broker.put("orders.dead", headers=notes()) for _ in range(50)}
    process = start("dead", "replay", "orders", "--rate", "10", "--broker", vhost_uri)
    eventually(lambda: broker.session.count("orders") > 0)

    process.kill()

    eventually(lambda: broker.session.count("orders.dead") + broker.session.count("orders") >= 50)
    assert {*broker.ids("orders.dead"), *broker.ids("orders")} == ids


def test_two_who_replay_at_the_same_time_share_the_work(broker, start, vhost_uri):
    ids = [broker.put("orders.dead", headers=notes()) for _ in range(60)]
    command = ("dead", "replay", "orders", "--rate", "40", "--broker", vhost_uri)

    replays = [start(*command), start(*command)]

    assert [each.wait() for each in replays] == [0, 0]
    assert sum(int(each.output.split()[1]) for each in replays) == 60
    assert sorted(broker.ids("orders")) == sorted(ids)
    assert broker.session.count("orders.dead") == 0
