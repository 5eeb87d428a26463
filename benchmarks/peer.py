"""A framework that is measured, what it promises, and how its programs are run."""

import os
import shutil
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.environment import NotAvailable, make_environment, python_of, run

ROOT = Path(__file__).parent.parent
PEERS_FOLDER = ROOT / "benchmarks" / "peers"
# The first is the one that the others are compared with.
NAMES = (
    "rpcnode",
    "nameko",
    "faststream",
    "celery",
    "dramatiq",
    "aio_pika",
    "pika",
    "kombu",
    "py_amqp",
    "librabbitmq",
    "fastapi",
    "starlette",
)
PROGRAMS = ("client", "service")
OTHERS = "others"  # in `lacks`: the reason for all that has none of its own
PROMISES = ("persistent", "confirmed", "acked", "errors", "deadline")


@dataclass(frozen=True)
class Peer:
    """The framework whose programs are in `peers/{name}`, which also has its `peer.toml`.

    They run in a virtual environment of their own if there is a `requirements.txt` beside them,
    as what is compiled if there are sources in C, else in the environment that we run in.
    `does` are the kinds of work that it can be measured with; `lacks` has the reasons for others.
    """

    name: str
    title: str = ""
    how: str = ""
    promises: Mapping[str, str] = field(default_factory=dict, compare=False)
    does: frozenset[str] = frozenset()
    lacks: Mapping[str, str] = field(default_factory=dict, compare=False)
    is_python: bool = True
    system_packages: tuple[str, ...] = ()

    @classmethod
    def load(cls, name: str) -> "Peer":
        """Return the peer that a folder describes; raises KeyError when a promise is missing."""
        text = (PEERS_FOLDER / name / "peer.toml").read_text(encoding="utf-8")
        said = tomllib.loads(text)
        return cls(
            name,
            said["title"],
            said["how"],
            {each: said["promises"][each] for each in PROMISES},
            frozenset(said["does"]),
            said.get("lacks", {}),
            said.get("is_python", True),
            tuple(said.get("system_packages", ())),
        )

    def reason(self, work: str) -> str:
        """Return why it is not measured with some kind of work; empty where nobody said it."""
        return self.lacks.get(work) or self.lacks.get(OTHERS, "")

    @property
    def _folder(self) -> Path:
        return PEERS_FOLDER / self.name

    @property
    def _requirements(self) -> Path:
        return self._folder / "requirements.txt"

    def requirements(self) -> list[str]:
        """Return the lines of its requirements that name a package."""
        lines = self._requirements.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line and not line.startswith("#")]

    @property
    def _environment(self) -> Path:
        return ROOT / "benchmarks" / f".venv-{self.name}"

    @property
    def python(self) -> str:
        """The interpreter that runs its programs."""
        has_own = self._requirements.exists()
        return python_of(self._environment) if has_own else sys.executable

    def command(self, program: str) -> list[str]:
        """Return the command that runs its `program`, from the project's folder."""
        if self.is_python:
            return [self.python, "-m", f"benchmarks.peers.{self.name}.{program}"]
        return [str(self._environment / program)]

    def prepare(self) -> None:
        """Make its environment, unless it is there as it must be; raise NotAvailable."""
        inputs = [self._requirements] if self.is_python else sorted(self._folder.glob("*.[ch]"))
        texts = [each.read_text(encoding="utf-8") for each in inputs if each.exists()]
        wanted = "\n".join([f"# {sys.version}", *texts])
        made = self._environment / "made"
        if not texts or (made.exists() and made.read_text(encoding="utf-8") == wanted):
            return
        print(f"making an environment for {self.name}", flush=True)
        if self.is_python:
            make_environment(self._environment, self.name, "-r", str(self._requirements))
        else:
            self._compile()
        made.write_text(wanted, encoding="utf-8")

    def _compile(self) -> None:
        self._environment.mkdir(exist_ok=True)
        try:
            self._compile_programs()
        except NotAvailable:
            self._install_packages()
            self._compile_programs()

    def _compile_programs(self) -> None:
        for program in PROGRAMS:
            sources = [str(self._folder / f"{each}.c") for each in (program, "common")]
            target = str(self._environment / program)
            options = ("-O2", "-Wall", "-Wextra", "-o", target, *sources, "-lrabbitmq")
            run(self.name, "gcc", *options)

    def _install_packages(self) -> None:
        if os.geteuid() != 0 or shutil.which("apt-get") is None:
            needed = " ".join(self.system_packages)
            raise NotAvailable(f"no environment for {self.name}: it needs gcc and {needed}")
        print(f"installing {' '.join(self.system_packages)}", flush=True)
        run(self.name, "apt-get", "update", "-qq")
        options = ("-y", "--no-install-recommends")
        run(self.name, "apt-get", "install", *options, *self.system_packages)


def load_peers() -> tuple[Peer, ...]:
    """Return all peers, the one that the others are compared with first."""
    return tuple(map(Peer.load, NAMES))
