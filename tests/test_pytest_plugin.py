"""The pytest plugin, as a user's run of pytest sees it."""

import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from rpcnode.testing.utils import find_free_port

ROOT = Path(__file__).parent.parent
HOSTED = """
    from rpcnode.events import EventDispatcher, event_handler
    from rpcnode.rpc import RpcProxy, rpc
    from rpcnode.testing import entrypoint_hook, entrypoint_waiter

    class Stock:
        name = "stock"

        @rpc
        def reserve(self, sku):
            return f"one {sku}"

    class Orders:
        name = "orders"
        stock = RpcProxy("stock")
        dispatch = EventDispatcher()

        @rpc
        def place(self, sku):
            self.dispatch("placed", self.stock.reserve(sku))

    class Mailer:
        name = "mailer"

        @event_handler("orders", "placed")
        def send(self, payload):
            return payload

    def check(runner, patched):
        from rpcnode.concurrency import is_patched

        runner.start()
        orders, mailer = runner.service_map["orders"], runner.service_map["mailer"]
        with entrypoint_waiter(mailer, "send", timeout=10) as mail:
            with entrypoint_hook(orders, "place", timeout=10) as place:
                place("plum")
        assert mail.get() == "one plum"
        assert is_patched() == patched
"""


@pytest.fixture
def run_pytest(tmp_path):
    """Return a function that runs a test file in a process of its own and returns the output.

    Nothing is patched there; the exit code must be the one given.
    """

    def run(source, *options, code=0, conftest="", **environment):
        (tmp_path / "test_it.py").write_text(dedent(source))
        (tmp_path / "conftest.py").write_text(dedent(conftest))
        command = [sys.executable, "-m", "pytest", "-p", "rpcnode.pytest_plugin", *options]
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        finished = subprocess.run(
            [*command, "-rA", "test_it.py"],
            capture_output=True,
            check=False,
            text=True,
            timeout=50,
            cwd=tmp_path,
            env={
                **inherited,
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
                "PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}",
                **environment,
            },
        )
        assert finished.returncode == code, finished.stdout + finished.stderr
        return finished.stdout

    return run


def test_plugin_does_nothing_until_a_fixture_is_used(run_pytest):
    run_pytest(
        """
        import socket
        import sys

        def test_nothing():
            loaded = {name.partition(".")[0] for name in sys.modules}
            assert "rpcnode.pytest_plugin" in sys.modules
            assert not loaded & {"eventlet", "greenlet", "kombu", "amqp", "yaml", "mock"}
            assert socket.socket.__module__ == "socket"
        """
    )


def test_whole_stack_works_unpatched_on_the_embedded_broker(run_pytest):
    run_pytest(
        dedent(HOSTED)
        + dedent(
            """
            def test_first(runner_factory, memory_config):
                check(runner_factory(memory_config, Stock, Orders, Mailer), patched=False)

            def test_second(memory_config, runner_factory):
                check(runner_factory(memory_config, Stock, Orders, Mailer), patched=False)
            """
        )
    )


@pytest.mark.parametrize("patched", [True, False])
def test_whole_stack_works_on_rabbitmq(run_pytest, rabbit_uri, rabbit_api_uri, patched):
    run_pytest(
        dedent(HOSTED)
        + dedent(
            f"""
            def test_first(runner_factory, rabbit_config):
                check(runner_factory(rabbit_config, Stock, Orders, Mailer), patched={patched})

            def test_second(rabbit_config, runner_factory):
                check(runner_factory(rabbit_config, Stock, Orders, Mailer), patched={patched})
            """
        ),
        f"--amqp-uri={rabbit_uri}",
        f"--rabbit-api-uri={rabbit_api_uri}",
        conftest="from rpcnode.concurrency import monkey_patch; monkey_patch()" if patched else "",
    )


def test_each_test_has_a_virtual_host_of_its_own(
    run_pytest, rabbit_uri, rabbit_api_uri, management_api
):
    output = run_pytest(
        """
        def test_first(rabbit_config):
            print("uri:", rabbit_config["AMQP_URI"])

        def test_second(rabbit_config):
            print("uri:", rabbit_config["AMQP_URI"])
        """,
        RPCNODE_TEST_AMQP_URI=rabbit_uri,
        RPCNODE_TEST_API_URI=rabbit_api_uri,
    )

    first, second = re.findall(r"uri: .*/(rpcnode-test-\w+)", output)
    assert first != second
    left = {vhost["name"] for vhost in management_api.request("GET", "vhosts")}
    assert not left & {first, second}


def test_virtual_host_is_the_given_one_without_a_management_api(run_pytest, rabbit_uri):
    run_pytest(
        f"""
        import pytest

        @pytest.fixture(scope="session")
        def rabbit_api_uri():
            return None

        def test_it(rabbit_config):
            assert rabbit_config == {{"AMQP_URI": {rabbit_uri!r}}}
        """,
        f"--rabbit-amqp-uri={rabbit_uri}",
        RPCNODE_TEST_AMQP_URI="amqp://nowhere",
    )


def test_missing_broker_is_one_line_that_names_the_ways_out(run_pytest):
    uri = f"amqp://guest:hidden@127.0.0.1:{find_free_port()}/"

    output = run_pytest("def test_it(rabbit_config): ...", f"--amqp-uri={uri}", code=1)

    (line,) = [line for line in output.splitlines() if line.startswith("no RabbitMQ at")]
    for word in ("--amqp-uri", "RPCNODE_TEST_AMQP_URI", "memory_config"):
        assert word in line
    assert "hidden" not in output
    assert "Traceback" not in output


def test_missing_management_api_is_one_line_that_names_the_ways_out(run_pytest, rabbit_uri):
    api_uri = f"http://guest:hidden@127.0.0.1:{find_free_port()}"

    output = run_pytest(
        "def test_it(rabbit_config): ...",
        f"--amqp-uri={rabbit_uri}",
        f"--rabbit-api-uri={api_uri}",
        code=1,
    )

    (line,) = [line for line in output.splitlines() if line.startswith("no management API at")]
    assert "--rabbit-api-uri" in line
    assert "hidden" not in output
    assert "Traceback" not in output


NEEDS_A_BROKER = """
    from rpcnode.rpc import rpc
    from rpcnode.testing import entrypoint_hook, replace_dependencies

    class Greeter:
        name = "greeter"

        @rpc
        def hello(self):
            return "hello"
"""


def lines_of(output, beginning):
    return [line for line in output.splitlines() if line.startswith(beginning)]


def test_start_without_a_named_broker_is_one_line_that_names_the_fix(run_pytest):
    output = run_pytest(
        dedent(NEEDS_A_BROKER)
        + dedent(
            """
            def test_no_config(container_factory):
                container_factory(Greeter).start()

            def test_empty_config(container_factory, empty_config):
                container_factory(Greeter, empty_config).start()

            def test_runner(runner_factory):
                runner_factory({"MAX_WORKERS": 3}, Greeter).start()
            """
        ),
        code=1,
    )

    lines = lines_of(output, "the service needs a broker")
    assert len(lines) == 3
    assert all("pass memory_config or rabbit_config" in line for line in lines)
    assert "Traceback" not in output


def test_container_that_is_not_started_needs_no_broker(run_pytest):
    run_pytest(
        dedent(NEEDS_A_BROKER)
        + dedent(
            """
            def test_it(container_factory):
                with entrypoint_hook(container_factory(Greeter), "hello") as hello:
                    assert hello() == "hello"
            """
        )
    )


def test_process_default_may_name_the_broker(run_pytest):
    run_pytest(
        dedent(NEEDS_A_BROKER)
        + dedent(
            """
            from rpcnode.config import use_as_default

            def test_it(container_factory, memory_config):
                use_as_default(memory_config)
                container_factory(Greeter).start()
            """
        )
    )


def test_start_with_a_broker_that_is_away_is_one_line(run_pytest):
    uri = f"amqp://guest:hidden@127.0.0.1:{find_free_port()}/"

    output = run_pytest(
        dedent(NEEDS_A_BROKER)
        + dedent(
            f"""
            class Other(Greeter):
                name = "other"

            def test_container(container_factory):
                container_factory(Greeter, {{"AMQP_URI": {uri!r}}}).start()

            def test_runner(runner_factory):
                runner_factory({{"AMQP_URI": {uri!r}}}, Greeter, Other).start()
            """
        ),
        code=1,
    )

    lines = lines_of(output, "no RabbitMQ at")
    assert len(lines) == 2
    assert all("memory_config" in line for line in lines)
    assert "hidden" not in output
    assert "Traceback" not in output


def test_start_with_a_broker_that_never_answers_is_one_line(run_pytest):
    output = run_pytest(
        dedent(NEEDS_A_BROKER)
        + dedent(
            """
            import socket

            from rpcnode.testing import broker_check

            def test_it(container_factory, monkeypatch):
                monkeypatch.setattr(broker_check, "PATIENCE", 0.1)
                with socket.create_server(("127.0.0.1", 0)) as listener:
                    port = listener.getsockname()[1]
                    uri = f"amqp://guest:hidden@127.0.0.1:{port}/"
                    container_factory(Greeter, {"AMQP_URI": uri}).start()
            """
        ),
        code=1,
    )

    (line,) = lines_of(output, "no connection to the broker")
    assert "memory_config" in line
    assert "hidden" not in line


def test_fixtures_of_nameko_are_there(run_pytest, rabbit_uri, rabbit_api_uri):
    run_pytest(
        dedent(NEEDS_A_BROKER)
        + dedent(
            """
            import logging

            from rpcnode.config import Config, as_config
            from rpcnode.contextdata import CallStack
            from rpcnode.testing import dummy

            class Service:
                name = "service"
                calls = CallStack()

                @dummy
                def method(self):
                    return list(self.calls)

            def test_call_ids(container_factory, empty_config, predictable_call_ids):
                container = container_factory(Service, empty_config)
                with entrypoint_hook(container, "method") as method:
                    assert [method(), method()] == [["service.method.0"], ["service.method.1"]]
                assert predictable_call_ids.call_count == 2

            def test_call_ids_are_what_they_were(container_factory):
                with entrypoint_hook(container_factory(Service), "method") as method:
                    assert method() != ["service.method.0"]

            def test_rabbit(rabbit_config, amqp_uri, caplog):
                assert rabbit_config["AMQP_URI"] == amqp_uri
                assert amqp_uri.endswith(rabbit_config["vhost"])
                assert rabbit_config["username"] in amqp_uri
                assert as_config({**rabbit_config, "MAX_WORKERS": 3})["AMQP_URI"] == amqp_uri
                assert caplog.messages == []
            """
        ),
        f"--amqp-uri={rabbit_uri}",
        f"--rabbit-api-uri={rabbit_api_uri}",
    )


def test_what_a_test_hosted_is_killed_after_it(run_pytest):
    run_pytest(
        """
        from rpcnode.concurrency import Event
        from rpcnode.extensions import DependencyProvider
        from rpcnode.testing import once

        hosted, killed = [], []

        class Probe(DependencyProvider):
            def kill(self):
                killed.append(self.container)

        class Service:
            name = "service"
            probe = Probe()

            @once
            def method(self):
                Event().wait()

        class Other(Service):
            name = "other"

        def test_container(container_factory):
            container = container_factory(Service, {"MAX_WORKERS": 3})
            container.start()
            assert container.max_workers == 3
            hosted.append(container)

        def test_runners(runner_factory):
            with_config = runner_factory({"MAX_WORKERS": 3}, Service, Other)
            without = runner_factory(Service, Other)
            for runner in (with_config, without, runner_factory(None, Service)):
                runner.start()
                hosted.extend(runner.containers)
            assert [container.max_workers for container in hosted] == [3, 3, 3, 10, 10, 10]
            assert runner_factory().containers == []

        def test_all_were_killed():
            assert set(killed) == set(hosted)
            for container in hosted:
                container.wait()
        """
    )


def test_error_while_cleaning_up_is_logged_and_nothing_else(run_pytest):
    output = run_pytest(
        """
        from rpcnode.containers import ServiceContainer

        class Stubborn(ServiceContainer):
            def kill(self, exc_info=None):
                if not self.is_stopping:
                    self.is_stopping = True
                    raise OSError(f"{self.service_name} cannot be killed")
                super().kill(exc_info)

        class Service:
            name = "service"

        hosted = []

        def test_it(container_factory):
            hosted.append(container_factory(Service))
            hosted.append(container_factory(Service, {"SERVICE_CONTAINER_CLS": "test_it.Stubborn"}))

        def test_the_other_was_killed_nevertheless():
            other, stubborn = hosted
            assert type(stubborn) is Stubborn
            other.wait()
        """,
        "-olog_cli=true",
    )

    assert "the cleanup after a test failed" in output
    assert "service cannot be killed" in output


def test_embedded_broker_of_a_test_is_forgotten_after_it(run_pytest):
    run_pytest(
        """
        from rpcnode.amqp import memory

        uris = []

        def test_first(memory_config, container_factory):
            uris.append(memory_config["AMQP_URI"])
            memory._host_for(uris[0].removeprefix("memory://"), "/")

        def test_second(memory_config):
            assert memory_config["AMQP_URI"] not in uris
            assert memory._hosts == {}
        """
    )


def test_plugin_leaves_its_options_to_that_of_nameko(run_pytest, tmp_path):
    (tmp_path / "nameko.py").touch()
    (tmp_path / "options_of_nameko.py").write_text(
        "def pytest_addoption(parser):\n"
        "    option = ('--amqp-uri', '--rabbit-amqp-uri')\n"
        "    parser.addoption(*option, dest='RABBIT_AMQP_URI', default='amqp://theirs')\n"
    )

    run_pytest(
        """
        def test_it(rabbit_uri):
            assert rabbit_uri == "amqp://theirs"
        """,
        "-p",
        "options_of_nameko",
    )


def test_plugin_has_its_options_where_the_one_of_nameko_is_blocked(run_pytest, tmp_path):
    (tmp_path / "nameko.py").touch()

    run_pytest(
        """
        def test_it(rabbit_uri):
            assert rabbit_uri == "amqp://ours"
        """,
        "-p",
        "no:pytest_nameko",
        "--amqp-uri=amqp://ours",
    )


def test_rabbitmq_is_looked_at_and_changed(run_pytest, rabbit_uri, rabbit_api_uri, management_api):
    output = run_pytest(
        """
        import queue

        import pytest

        def test_manager(rabbit_manager, rabbit_config, get_message_from_queue, fast_teardown):
            vhost = rabbit_config["vhost"]
            rabbit_manager.create_queue(vhost, "inbox", durable=True)
            properties = {"content_type": "application/json"}
            rabbit_manager.publish(vhost, "amq.default", "inbox", "[1]", properties=properties)

            assert get_message_from_queue("inbox", ack=False).payload == [1]
            assert get_message_from_queue("inbox").payload == [1]
            with pytest.raises(queue.Empty):
                get_message_from_queue("inbox", block=False)

        def test_pipeline(vhost_pipeline, rabbit_manager):
            with vhost_pipeline.get() as vhost, vhost_pipeline.get() as other:
                print("made:", vhost)
                print("made:", other)
                assert vhost != other
                rabbit_manager.create_queue(vhost, "inbox")
        """,
        f"--amqp-uri={rabbit_uri}",
        f"--rabbit-ctl-uri={rabbit_api_uri}",
    )

    made = set(re.findall(r"made: (rpcnode-test-\w+)", output))
    left = {vhost["name"] for vhost in management_api.request("GET", "vhosts")}
    assert len(made) == 2
    assert not left & made


def test_management_api_that_is_not_there_is_one_line_that_names_it(run_pytest):
    uri = f"amqp://guest:hidden@127.0.0.1:{find_free_port()}/"
    api_uri = f"http://guest:hidden@127.0.0.1:{find_free_port()}"
    source = """
        def test_manager(rabbit_manager): ...

        def test_pipeline(vhost_pipeline): ...
    """

    none = run_pytest(source, f"--amqp-uri={uri}", code=1)
    away = run_pytest(source, f"--amqp-uri={uri}", f"--rabbit-api-uri={api_uri}", code=1)

    lines = lines_of(none, "no management API beside amqp://guest:****")
    lines += lines_of(away, "no management API at http://guest:****")
    assert len(lines) == 4
    assert all("--rabbit-api-uri" in line for line in lines)
    assert "hidden" not in none + away
    assert "Traceback" not in none + away


def test_every_fixture_of_rabbitmq_fails_in_one_line_without_a_broker(run_pytest):
    output = run_pytest(
        """
        def test_config(rabbit_config): ...

        def test_tls(rabbit_ssl_config): ...

        def test_uri(amqp_uri): ...

        def test_message(get_message_from_queue): ...
        """,
        f"--amqp-uri=amqp://guest:hidden@127.0.0.1:{find_free_port()}/",
        "--amqp-ssl-option=check_hostname=false",
        code=1,
    )

    assert len(lines_of(output, "no RabbitMQ at")) == 4
    assert "hidden" not in output
    assert "Traceback" not in output


def test_configuration_for_tls_has_the_options_and_the_port(run_pytest, rabbit_uri):
    run_pytest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def rabbit_api_uri():
            return None

        def test_it(rabbit_ssl_config, rabbit_config):
            host = rabbit_config["AMQP_URI"].rpartition(":")[0]
            assert rabbit_ssl_config["AMQP_URI"].startswith(f"{host}:5679")
            assert rabbit_ssl_config["vhost"] == rabbit_config["vhost"]
            assert rabbit_ssl_config["AMQP_SSL"] == {
                "ca_certs": "ca.pem",
                "cert_reqs": "CERT_NONE",
                "check_hostname": False,
                "tls": True,
            }
            assert "AMQP_SSL" not in rabbit_config
        """,
        f"--amqp-uri={rabbit_uri}",
        "--amqp-ssl-port=5679",
        "--amqp-ssl-option=ca_certs=ca.pem",
        "--amqp-ssl-option=cert_reqs=CERT_NONE",
        "--amqp-ssl-option=check_hostname=false",
        "--amqp-ssl-option=tls",
    )


def test_configuration_for_tls_has_the_certificates_where_nameko_s_users_have_them(
    run_pytest, tmp_path
):
    source = """
        def test_it(rabbit_ssl_options):
            assert rabbit_ssl_options == {
                "ca_certs": "certs/cacert.pem", "cert_reqs": "CERT_REQUIRED", "certfile": "own.pem"
            }
    """

    output = run_pytest(source, code=1)
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs" / "cacert.pem").touch()
    run_pytest(source, "--amqp-ssl-option=certfile=own.pem")

    (line,) = lines_of(output, "no certificates (certs/cacert.pem")
    assert "--amqp-ssl-option" in line


BLOCKING = """
    import time

    from rpcnode.testing import dummy, entrypoint_hook
    from rpcnode.testing.utils import assert_stops_raising

    class Service:
        name = "service"

        @dummy
        def method(self):
            time.sleep(0.3)  # nothing is patched here: it keeps all others from running

    def test_it(container_factory, caplog):
        def is_told():
            assert "time.sleep(0.3)" in caplog.text

        with entrypoint_hook(container_factory(Service), "method") as method:
            method()
        assert_stops_raising(is_told, timeout={timeout})
"""
SOON = "from rpcnode import hubwatch; hubwatch.PERIOD, hubwatch.LIMIT = 0.05, 0.1"


def test_who_blocks_green_threads_is_told_when_the_option_asks_for_it(run_pytest):
    run_pytest(BLOCKING.format(timeout=10), "--blocking-detection", conftest=SOON)
    run_pytest(BLOCKING.format(timeout=0.5), conftest=SOON, code=1)


def test_option_against_a_notification_that_does_not_exist_is_taken(run_pytest):
    options = [f"--suppress-{name}-eventlet-notification" for name in ("nameko", "rpcnode")]

    run_pytest("def test_it(): ...", *options)
