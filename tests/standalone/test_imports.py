"""What the clients load: no green threads."""

import pkgutil
import subprocess
import sys

from rpcnode import standalone

PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print([name for name in sys.modules if name.partition(".")[0] in ("eventlet", "greenlet")])
"""


def test_no_module_of_the_clients_loads_green_threads():
    names = [
        each.name for each in pkgutil.iter_modules(standalone.__path__, f"{standalone.__name__}.")
    ]

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *names], check=True, capture_output=True, text=True
    )

    assert "rpcnode.standalone.rpc" in names
    assert done.stdout.strip() == "[]"
