"""Services under load and random faults; the exit code says whether all promises were kept."""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

from tests.faults.random_run.actor import Settings
from tests.faults.random_run.faults import CATALOGUE
from tests.faults.random_run.scene import Plan, Scene
from tests.faults.random_run.stage import Stage
from tests.faults.random_run.totals import report, totals
from tests.faults.random_run.verdict import judge

SHOWN = 40  # problems; the file has them all


def main(arguments: Sequence[str]) -> int:
    """Run; print what happens and the totals, write them to a file, and return 0 if all is well."""
    options = _parse(arguments)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="rpcnode-random-"))
    catalogue = [each for each in CATALOGUE if not options.only or each.__name__ in options.only]
    plan = Plan(options.seed, options.minutes * 60 + options.seconds, catalogue)
    _say(f"seed {plan.seed}, {plan.seconds:g} s of faults; the ledger is in {folder}")
    settings = Settings(folder, plan.seed, tuple(options.define))
    with closing(Stage(settings)) as stage:
        scene = Scene(plan, stage, folder, _say)
        scene.play()
    problems = [*scene.problems, *judge(scene.history, scene.dead)]
    figures = totals(scene.history)
    result = {"seed": plan.seed, "problems": problems, "totals": figures, "states": scene.states}
    (folder / "result.json").write_text(json.dumps(result, indent=1))
    print(report(figures))
    for problem in problems[:SHOWN]:
        print(f"PROBLEM: {problem}")
    print(f"{len(problems)} problems" if problems else "all is well")
    return 1 if problems else 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="random_run", description=__doc__)
    parser.add_argument("--seed", default=str(int(time.time())))
    parser.add_argument("--minutes", type=float, default=0.0, help="how long things are broken")
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--folder", type=Path, help="where the ledger, logs and result.json go")
    names = [each.__name__ for each in CATALOGUE]
    parser.add_argument("--only", action="append", choices=names, help="a kind (can be repeated)")
    parser.add_argument(
        "--define", action="append", default=[], help="KEY=VALUE of the services' configuration"
    )
    options = parser.parse_args(arguments)
    if options.minutes + options.seconds == 0:
        options.minutes = 1.0
    if options.folder is not None:
        options.folder.mkdir(parents=True, exist_ok=True)
        if any(options.folder.iterdir()):
            parser.error(f"{options.folder} is not empty: the ledger of another run may be in it")
    return options


def _say(text: str) -> None:
    print(time.strftime("%H:%M:%S"), text, flush=True)


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # so that the broker and its folder go, too
    sys.exit(main(sys.argv[1:]))
