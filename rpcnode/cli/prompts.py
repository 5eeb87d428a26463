"""Prompts: bpython, IPython, Python's own, and none at all for code from a pipe."""

import ast
import code
import os
import rlcompleter
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from importlib.util import find_spec
from io import BufferedReader, FileIO, TextIOWrapper
from pathlib import Path
from typing import Any

from rpcnode.cli.output import printable
from rpcnode.exceptions import CommandError

Namespace = dict[str, Any]
Interface = Callable[[Namespace, str], object]


def run_piped(source: str, namespace: Namespace) -> int:
    """Run statement by statement, showing what expressions return; 1 when one raises.

    As at a prompt, what comes before the failing statement has happened.
    """
    try:
        for statement in ast.parse(source, "<stdin>").body:
            exec(compile(ast.Interactive([statement]), "<stdin>", "single"), namespace)
    except SystemExit as exc:
        return _exit_code(exc)
    except Exception as exc:  # the code is the user's
        _print_error(exc)
        return 1
    return 0


def _exit_code(error: SystemExit) -> int:
    if isinstance(error.code, str):
        print(error.code, file=sys.stderr)
        return 1
    return error.code or 0


def _print_error(error: Exception) -> None:
    frame = error.__traceback__
    # The first frame is ours.
    lines = traceback.format_exception(type(error), error, frame and frame.tb_next)
    print(printable("".join(lines)), file=sys.stderr, end="")


def find_interface(name: str | None) -> Interface:
    """Return the interface of that name, or else the first that is installed."""
    if name is None:
        return next(INTERFACES[each] for each in INTERFACES if _is_installed(each))
    if not _is_installed(name):
        raise CommandError(f"{name} is not installed: pip install {name}")
    return INTERFACES[name]


def _is_installed(name: str) -> bool:
    module = {"ipython": "IPython", "plain": "code"}.get(name, name)
    return find_spec(module) is not None


def _bpython(namespace: Namespace, banner: str) -> None:
    _move_standard_input()
    import_module("bpython").embed(locals_=_started(namespace), banner=banner)


def _ipython(namespace: Namespace, banner: str) -> None:
    _move_standard_input()
    # What services print in the hub's thread would go through a queue of this thread, and a
    # patched queue cannot be used across threads. So it goes to the terminal as it is.
    vars(import_module("IPython.terminal.interactiveshell"))["patch_stdout"] = _as_it_is
    import_module("IPython").embed(user_ns=_started(namespace), banner1=f"{banner}\n")


def _move_standard_input() -> None:
    # Eventlet's `select` overlooks what has the file number 0, and these prompts wait with it.
    raw = FileIO(os.dup(sys.stdin.fileno()))
    moved = TextIOWrapper(BufferedReader(raw), encoding=sys.stdin.encoding)
    vars(sys).update(stdin=moved, __stdin__=moved)


def _as_it_is(*, raw: bool) -> AbstractContextManager[None]:
    return nullcontext()


def _plain(namespace: Namespace, banner: str) -> None:
    _started(namespace)
    with suppress(ImportError):  # Windows has no readline
        readline = import_module("readline")
        readline.set_completer(rlcompleter.Completer(namespace).complete)
        is_editline = "libedit" in (readline.__doc__ or "")
        readline.parse_and_bind("bind ^I rl_complete" if is_editline else "tab: complete")
    with suppress(SystemExit):
        _Console(namespace).interact(banner, exitmsg="")


class _Console(code.InteractiveConsole):
    def write(self, data: str) -> None:
        super().write(printable(data))  # errors come from elsewhere


INTERFACES: dict[str, Interface] = {"bpython": _bpython, "ipython": _ipython, "plain": _plain}


def _started(namespace: Namespace) -> Namespace:
    """Run PYTHONSTARTUP in `namespace`, as Python does; an error there is shown."""
    startup = os.environ.get("PYTHONSTARTUP")
    if startup:
        try:
            source = Path(startup).read_text(encoding="utf-8")
            exec(compile(source, startup, "exec"), namespace)
        except Exception as exc:  # the code is the user's
            _print_error(exc)
    return namespace
