"""`rpcnode call`: call one method, print what it returns."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from rpcnode.cli.client import LEAST_TIMEOUT, Client
from rpcnode.cli.hosting import make_runner, prepare, stop_when_idle
from rpcnode.cli.options import (
    EMBEDDED_NOTE,
    add_host_option,
    is_embedded,
    make_parser,
    positive_number,
)
from rpcnode.cli.output import in_one_line, one_line, to_json
from rpcnode.config import Config
from rpcnode.exceptions import BrokerRefused, CommandError, ConfigurationError, RpcTimeout
from rpcnode.workers import Worker

logger = logging.getLogger(__name__)

CALLED = 0
FAILED = 1

DESCRIPTION = """\
Call a method and print its result as JSON. Arguments are JSON, too: 3, '"text"', name=null. What
begins with a dash and is no plain number comes after `--`. The exit code is 0 for a result, 1 for
an error of the call."""


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit code."""
    options = _parse(arguments)
    service_name, method_name = _split(options.method)
    args, kwargs = parse_arguments(options.arguments)
    config = prepare(options, logging.WARNING)
    runner = make_runner(config, options.host)
    _note_embedded(options, config)
    if not options.verbose and config["LOGGING"] is None:
        logging.getLogger(Worker.__module__).addFilter(in_one_line)
    seconds = config["RPC_TIMEOUT"] if options.timeout is None else options.timeout
    call = _Call(Client(runner), service_name, method_name, seconds)
    try:
        code = _report(lambda: call.make(args, kwargs))
    except BaseException:
        runner.kill()
        raise
    stop_when_idle(runner)
    return code


def _report(call: Callable[[], Any]) -> int:
    try:
        result = to_json(call())
    except (BrokerRefused, ConfigurationError):
        raise
    except Exception as exc:  # whatever the remote method raised
        print(one_line(exc), file=sys.stderr)
        return FAILED
    print(result, flush=True)
    return CALLED


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = make_parser("call", DESCRIPTION)
    add_host_option(parser)
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=positive_number,
        help="how long all may take, connecting included (default: RPC_TIMEOUT)",
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", help="show the tracebacks of hosted services"
    )
    parser.add_argument("method", metavar="SERVICE.METHOD", help="for example orders.place")
    parser.add_argument(
        "arguments", metavar="ARGUMENT", nargs="*", help="a JSON value, or NAME=VALUE"
    )
    return parser.parse_intermixed_args(arguments)


def _split(path: str) -> tuple[str, str]:
    service_name, _, method_name = path.rpartition(".")
    if not service_name or not method_name:
        raise CommandError(f"expected SERVICE.METHOD, not {path!r}")
    return service_name, method_name


def parse_arguments(texts: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call; CommandError for what is not JSON."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name.isidentifier():
            args.append(_from_json(text))
        elif name in kwargs:
            raise CommandError(f"the argument {name!r} is given twice")
        else:
            kwargs[name] = _from_json(value)
    return tuple(args), kwargs


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        as_text = json.dumps(text, ensure_ascii=False)
        raise CommandError(
            f"the argument {text!r} is not JSON ({exc}); a text is written '{as_text}'"
        ) from exc


def _note_embedded(options: argparse.Namespace, config: Config) -> None:
    if not is_embedded(config):
        return
    if not options.host:
        raise CommandError(
            "on the embedded broker only services of this process can be called: name them with "
            "--host, or another broker with --broker"
        )
    logger.setLevel(logging.INFO)
    logger.info(EMBEDDED_NOTE)


@dataclass(frozen=True)
class _Call:
    """One call, that takes `seconds` at most, connecting included; None for no limit."""

    client: Client
    service_name: str
    method_name: str
    seconds: float | None

    def make(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Return the result, or raise the error."""
        method = self.client.rpc[self.service_name][self.method_name]
        began = monotonic()
        self.client.start(self.seconds)
        if self.seconds is None:
            return method.with_options(timeout=None)(*args, **kwargs)
        left = max(LEAST_TIMEOUT, self.seconds - (monotonic() - began))
        try:
            return method.with_options(timeout=left)(*args, **kwargs)
        except RpcTimeout as exc:
            raise self._as_asked(exc, left) from None

    def _as_asked(self, error: RpcTimeout, left: float) -> RpcTimeout:
        """Return the error with the seconds of the user, of which the call itself had fewer."""
        text, has_run_out, reason = str(error).partition(f" within {left:.3g} s")
        if not has_run_out:
            return error  # it comes from further away
        result = RpcTimeout(f"{text} within {self.seconds:g} s{reason}")
        if not reason and self.service_name not in self.client.hosted:
            result.add_note(f"is an instance of {self.service_name!r} running?")
        return result
