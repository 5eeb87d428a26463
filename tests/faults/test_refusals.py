"""What can never work, and the exit code that says so."""

import kombu
import pytest

SERVICES = """
import kombu
from rpcnode.extensions import DependencyProvider
from rpcnode.messaging import consume
from rpcnode.rpc import rpc


class Plain:
    name = "plain"

    @rpc
    def method(self): ...


class Nameless:
    @rpc
    def method(self): ...


class Twin:
    name = "plain"

    @rpc
    def method(self): ...


class Asynchronous:
    name = "asynchronous"

    @rpc
    async def method(self): ...


class Other:
    name = "other"

    @consume(kombu.Queue("taken", durable=True, max_length=5))
    def method(self, payload): ...


class Broken(DependencyProvider):
    def setup(self):
        raise OSError("no disk")


class Steady(DependencyProvider):
    def setup(self):
        print(self.attr_name, "is set up")

    def stop(self):
        print(self.attr_name, "is stopped")


class Failing:
    name = "failing"
    first = Steady()
    second = Steady()
    broken = Broken()
    last = Steady()

    @rpc
    def method(self): ...
"""


@pytest.fixture
def run(tmp_path, rpcnode):
    (tmp_path / "services.py").write_text(SERVICES)

    def run(uri, *classes):
        return rpcnode("run", "--broker", uri, *[f"services:{each}" for each in classes])

    return run


@pytest.mark.parametrize(
    ("classes", "code", "text"),
    [
        (["Nameless"], 2, "services.Nameless has no `name`"),
        (["Plain", "Twin"], 2, "two services are named 'plain'"),
        (["Asynchronous"], 2, "Asynchronous.method is an async method"),
    ],
)
def test_service_that_cannot_work(run, classes, code, text):
    done = run("memory://", *classes)

    assert text in done.stderr
    assert done.returncode == code


def test_dependency_whose_setup_fails_stops_what_was_set_up(run):
    done = run("memory://", "Failing")

    assert done.stdout.splitlines() == [
        "first is set up",
        "second is set up",
        "second is stopped",
        "first is stopped",
    ]
    assert "OSError: no disk" in done.stderr
    assert done.returncode == 1


def test_wrong_password(run, vhost_uri):
    done = run(vhost_uri.replace("guest:guest", "guest:secret-word"), "Plain")

    assert done.returncode == 3
    assert "refuses us" in done.stderr
    assert "secret-word" not in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_vhost(run, rabbit_uri):
    done = run(f"{rabbit_uri.rstrip('/')}/no-such-vhost", "Plain")

    assert done.returncode == 3
    assert "no-such-vhost" in done.stderr
    assert "Traceback" not in done.stderr


def test_queue_that_exists_with_other_arguments(run, vhost_uri):
    with kombu.Connection(vhost_uri) as connection:
        kombu.Queue("taken", durable=True)(connection.channel()).declare()

    done = run(vhost_uri, "Other")

    assert done.returncode == 3
    assert "'taken'" in done.stderr
    assert "x-max-length" in done.stderr
    assert "Traceback" not in done.stderr
