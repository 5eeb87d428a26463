"""`make test` takes the first possible way to a RabbitMQ and never goes without one unseen."""

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.external_server import API_URI_VARIABLE, REASON, URI_VARIABLE, ExternalServer
from tests.provide_rabbitmq import INSTALL_SCRIPT, Machine, NotProvided, choose, in_docker
from tests.rabbitmq_server import RabbitServer

ROOT = Path(__file__).parent.parent
NOTHING = Machine({}, has_server=False, has_docker=False, has_apt=True, is_root=False)
FAKE_DOCKER = """\
#!/bin/sh
echo "$@" >> {log}
case "$1" in
    run) echo the-container ;;
    port) [ "$3" = 5672/tcp ] && echo 127.0.0.1:{amqp_port} || echo 127.0.0.1:{api_port} ;;
esac
"""
FAKE_APT = """\
#!/bin/sh
{policy} && echo "$@: services start" >> {log} || echo "$@: services stay off" >> {log}
exit {status}
"""


@pytest.mark.parametrize(
    ("machine", "title"),
    [
        (
            Machine({URI_VARIABLE: "amqp://there"}, True, True, True, True),
            f"the server that {URI_VARIABLE} names",
        ),
        (Machine({}, True, True, True, True), "the installed server, started by the tests"),
        (Machine({}, False, True, True, True), "Docker, rabbitmq:3-management"),
        (Machine({}, False, False, True, True), "Debian's package, started by the tests"),
        (
            Machine({"CI": "true"}, False, False, True, False),
            "Debian's package, started by the tests",
        ),
    ],
)
def test_the_first_possible_way_is_taken(machine: Machine, title: str) -> None:
    way = choose(machine)

    assert way is not None
    assert way.title == title


@pytest.mark.parametrize(
    "machine",
    [
        NOTHING,
        Machine({"CI": "true"}, False, False, has_apt=False, is_root=True),
        Machine({URI_VARIABLE: ""}, False, False, has_apt=True, is_root=False),
    ],
)
def test_no_way_is_no_way(machine: Machine) -> None:
    assert choose(machine) is None


def test_without_a_way_it_says_what_to_do_and_fails(tmp_path: Path) -> None:
    code = (
        "import sys, tests.provide_rabbitmq as module\n"
        "from tests.test_provide_rabbitmq import NOTHING\n"
        "module.Machine.look = lambda: NOTHING\n"
        "sys.exit(module.main(['touch', sys.argv[1]]))"
    )

    done = run(code, str(tmp_path / "ran"))

    assert done.returncode == 2
    assert "apt-get install rabbitmq-server" in done.stderr
    assert URI_VARIABLE in done.stderr
    assert not (tmp_path / "ran").exists()


def test_status_of_the_command_is_handed_on() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.provide_rabbitmq", "sh", "-c", "exit 7"],
        cwd=ROOT,
        env={**os.environ, URI_VARIABLE: "amqp://there"},
        stdout=subprocess.PIPE,
        text=True,
    )

    assert done.returncode == 7
    assert done.stdout == f"RabbitMQ for the tests: the server that {URI_VARIABLE} names\n"


def test_docker_runs_on_loopback_and_is_removed(
    tmp_path: Path, rabbit_server: RabbitServer | ExternalServer
) -> None:
    amqp_port, api_port = (urlsplit(uri).port for uri in (rabbit_server.uri, rabbit_server.api_uri))
    log = tmp_path / "log"
    docker = FAKE_DOCKER.format(log=log, amqp_port=amqp_port, api_port=api_port)

    with in_docker(executable(tmp_path / "docker", docker)) as variables:
        assert variables == {
            URI_VARIABLE: f"amqp://guest:guest@127.0.0.1:{amqp_port}/",
            API_URI_VARIABLE: f"http://guest:guest@127.0.0.1:{api_port}",
        }

    first, *_, last = log.read_text().splitlines()
    assert first.startswith(
        "run --detach --rm --publish=127.0.0.1::5672 --publish=127.0.0.1::15672"
    )
    assert last == "rm --force the-container"


def test_docker_that_fails_is_named(tmp_path: Path) -> None:
    docker = executable(tmp_path / "docker", "#!/bin/sh\nexit 125\n")

    with (
        pytest.raises(NotProvided, match=r"docker run .*: ended with status 125"),
        in_docker(docker),
    ):
        pass


@pytest.mark.parametrize("status", [0, 100])
@pytest.mark.parametrize("old_policy", [None, "#!/bin/sh\nexit 0\n"])
def test_package_is_installed_without_starting_a_service(
    tmp_path: Path, status: int, old_policy: str | None
) -> None:
    policy, log = tmp_path / "policy-rc.d", tmp_path / "log"
    if old_policy is not None:
        executable(policy, old_policy)
    executable(tmp_path / "apt-get", FAKE_APT.format(policy=policy, log=log, status=status))

    done = subprocess.run(
        ["sh", "-c", INSTALL_SCRIPT, "install-rabbitmq", str(policy)],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )

    calls = log.read_text().splitlines()
    assert done.returncode == status
    assert all(call.endswith("services stay off") for call in calls)
    assert len(calls) == (2 if status == 0 else 1)
    assert (policy.read_text() if policy.exists() else None) == old_policy


def test_server_of_others_is_used_but_not_steered() -> None:
    server = ExternalServer.from_environment({URI_VARIABLE: "amqp://me:secret@there:5000/"})

    assert server is not None
    assert server.api_uri == "http://me:secret@there:15672"
    for steer in (server.restart, server.halt, server.resume, lambda: server.ctl("status")):
        with pytest.raises(pytest.skip.Exception, match=REASON):
            steer()


def executable(path: Path, script: str) -> str:
    path.write_text(script)
    path.chmod(0o755)
    return str(path)


def run(code: str, *args: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
