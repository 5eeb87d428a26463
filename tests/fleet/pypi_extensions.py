"""Runs extensions from PyPI on Nameko as they are, and on rpcnode with the word replaced.

`python -m tests.fleet.pypi_extensions [NAME ...]` takes each extension's source archive from the
package index and runs its own tests, where the archive has some, else ours in `extensions/`. It
works in a temporary folder with a virtual environment of its own, prints what passed on either
side, and ends with 1 when something that passes on Nameko does not pass on rpcnode.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from benchmarks.environment import NotAvailable, make_environment, python_of, run_pip
from benchmarks.peer import ROOT, Peer

OURS = Path(__file__).parent / "extensions"
WORD = re.compile(r"\bnameko\b")
NAMEKO, RPCNODE = "nameko", "rpcnode"
PLUGINS = {NAMEKO: "nameko.testing.pytest", RPCNODE: "rpcnode.pytest_plugin"}
# nameko-sqlalchemy's suite is written for these: `yield_fixture`, SQLAlchemy's first API.
TOOLS = ("pytest==8.4.2", "requests==2.34.2")
LONGEST = 120  # seconds that a suite may take


@dataclass(frozen=True)
class Extension:
    """One extension of the package index, and what runs its tests.

    `files` are ours beside it: where they go, by their names in `extensions/`.
    """

    requirement: str
    needs: str
    files: dict[str, str]
    suite: str
    plugins: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name without the version."""
        return self.requirement.partition("==")[0]


EXTENSIONS = (
    Extension(
        "nameko-sqlalchemy==1.5.0",
        "sqlalchemy==1.4.54",
        {"conftest_of_sqlalchemy.py": "test/conftest.py", "__init__.py": "test/__init__.py"},
        "test",
        ("nameko_sqlalchemy.pytest_fixtures", "pytester"),
        ("--toxiproxy-db-url", "sqlite://"),
    ),
    Extension(
        "nameko-sentry==1.0.0",
        "raven==6.10.0",
        {"conftest_of_others.py": "conftest.py", "sentry_in_use.py": "test_in_use.py"},
        "test_in_use.py",
    ),
    Extension(
        "nameko-tracer==1.4.0",
        "six==1.17.0",
        {"conftest_of_others.py": "conftest.py", "tracer_in_use.py": "test_in_use.py"},
        "test_in_use.py",
    ),
)


class Failed(Exception):
    """Raised when tests do not even begin; its text says which, and why."""


def needed(extensions: list[Extension]) -> list[str]:
    """Return the requirements of Nameko, of rpcnode, and of extensions and their tests."""
    theirs = Peer.load(NAMEKO).requirements()
    ours = [each for each in requires("rpcnode") or [] if "extra ==" not in each]
    return [*theirs, *ours, *TOOLS, *(each.needs for each in extensions)]


def fetch(environment: Path, extension: Extension, folder: Path) -> Path:
    """Unpack the source archive of an extension in `folder`; return where it is."""
    archives = folder / "archives"
    # The environment's setuptools will do: no need to fetch one for each archive.
    options = ("--no-deps", "--no-binary", ":all:", "--no-build-isolation")
    options = (*options, "--dest", str(archives))
    run_pip(environment, extension.name, "download", *options, extension.requirement)
    name, _, version = extension.requirement.partition("==")
    (archive,) = archives.glob(f"{name.replace('-', '?')}-{version}.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def arrange(source: Path, extension: Extension, side: str) -> Path:
    """Copy an extension, with the tests that are ours, and replace the word for rpcnode."""
    place = source.with_name(f"{source.name}-on-{side}")
    # What its installer has left behind would load its plugin a second time.
    shutil.copytree(source, place, ignore=shutil.ignore_patterns("*.egg-info"))
    for name, target in extension.files.items():
        shutil.copy(OURS / name, place / target)
    if side == RPCNODE:
        for path in place.rglob("*.py"):
            text = WORD.sub(RPCNODE, path.read_text(encoding="utf-8"))
            path.write_text(text, encoding="utf-8")
    return place


def outcomes(environment: Path, place: Path, extension: Extension, side: str) -> dict[str, str]:
    """Run the tests; return what came of each: passed, failed or skipped."""
    report = place / "report.xml"
    arguments = ["-q", f"--junitxml={report}", *extension.options, extension.suite]
    try:
        done = subprocess.run(
            [python_of(environment), "-m", "pytest", *arguments],
            cwd=place,
            env=_variables(place, PLUGINS[side], *extension.plugins),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired as exc:
        raise Failed(f"the tests of {extension.name} take too long on {side}: {exc}") from exc
    if not report.exists():
        raise Failed(f"the tests of {extension.name} do not run on {side}:\n{done.stdout[-2000:]}")
    cases = ET.parse(report).iter("testcase")
    return {f"{each.get('classname')}.{each.get('name')}": _outcome(each) for each in cases}


def _variables(place: Path, *plugins: str) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": f"{place}{os.pathsep}{ROOT}",
        "PYTHONWARNINGS": "ignore",
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": ",".join(plugins),
    }


def _outcome(case: ET.Element) -> str:
    tags = {child.tag for child in case}
    if "skipped" in tags:
        return "skipped"
    return "failed" if tags & {"failure", "error"} else "passed"


def compare(environment: Path, extension: Extension, folder: Path) -> list[str]:
    """Run an extension's tests on both; print what came of them, return what is worse on ours."""
    source = fetch(environment, extension, folder)
    by_side = {}
    for side in (NAMEKO, RPCNODE):
        place = arrange(source, extension, side)
        by_side[side] = outcomes(environment, place, extension, side)
        counts = Counter(by_side[side].values())
        shown = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        print(f"{extension.requirement} on {side}: {shown}", flush=True)
    if set(by_side[NAMEKO]) != set(by_side[RPCNODE]):
        raise Failed(f"{extension.name}: not the same tests were run on both")
    both = {name: (by_side[NAMEKO][name], by_side[RPCNODE][name]) for name in by_side[NAMEKO]}
    return [
        f"{extension.name}: {name}: {theirs} on Nameko, {ours} on rpcnode"
        for name, (theirs, ours) in both.items()
        if ours not in ("passed", theirs)
    ]


def main(names: list[str]) -> int:
    """Compare the extensions of these names, or all; return the exit code."""
    chosen = [each for each in EXTENSIONS if not names or each.name in names]
    if unknown := set(names) - {each.name for each in EXTENSIONS}:
        print(f"not known here: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    with TemporaryDirectory(prefix="rpcnode-extensions-") as name:
        folder = Path(name)
        try:
            environment = folder / "environment"
            make_environment(environment, "extensions", "--no-compile", *needed(chosen))
            worse = [line for each in chosen for line in compare(environment, each, folder)]
        except (NotAvailable, Failed) as exc:
            print(exc, file=sys.stderr)
            return 2
    print("\n".join(worse) or "nothing that passes on Nameko fails on rpcnode")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
