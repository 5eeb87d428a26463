"""What comes with the import of the helpers."""

import subprocess
import sys
from textwrap import dedent

from rpcnode import testing


def test_helpers_can_be_imported_before_the_patch():
    program = """
        import sys
        import rpcnode.testing

        assert not {"kombu", "amqp"} & sys.modules.keys()
        from rpcnode.concurrency import is_patched, monkey_patch
        assert not is_patched()
        monkey_patch()

        from rpcnode.rpc import RpcProxy, rpc
        from rpcnode.runners import run_services
        from rpcnode.testing import entrypoint_hook

        class Service:
            name = "service"
            service = RpcProxy("service")

            @rpc
            def outer(self):
                return self.service.inner()

            @rpc
            def inner(self):
                return "inner"

        with run_services({"AMQP_URI": "memory://"}, Service) as runner:
            with entrypoint_hook(runner.containers[0], "outer", timeout=10) as outer:
                assert outer() == "inner"
    """

    finished = subprocess.run(
        [sys.executable, "-c", dedent(program)], capture_output=True, text=True, timeout=50
    )

    assert (finished.returncode, finished.stderr) == (0, "")


def test_all_that_is_promised_is_there():
    assert [name for name in testing.__all__ if not hasattr(testing, name)] == []
