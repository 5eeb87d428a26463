"""A framework that is measured, and the interpreter that it runs in."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent


class NotAvailable(Exception):
    """Raised when the environment of a peer cannot be made."""


@dataclass(frozen=True)
class Peer:
    """The framework whose programs are in `peers/{name}`.

    It runs in a virtual environment of its own if there is a `requirements.txt` beside them,
    else in the one that we run in.
    """

    name: str

    @property
    def _requirements(self) -> Path:
        return ROOT / "benchmarks" / "peers" / self.name / "requirements.txt"

    @property
    def _environment(self) -> Path:
        return ROOT / "benchmarks" / f".venv-{self.name}"

    @property
    def python(self) -> str:
        """The interpreter that runs its programs."""
        has_own = self._requirements.exists()
        return str(self._environment / "bin" / "python") if has_own else sys.executable

    def command(self, program: str) -> list[str]:
        """Return the command that runs its `program`, from the project's folder."""
        return [self.python, "-m", f"benchmarks.peers.{self.name}.{program}"]

    def prepare(self) -> None:
        """Make its environment, unless it is there as it must be; raise NotAvailable."""
        if not self._requirements.exists():
            return
        wanted = f"# {sys.version}\n{self._requirements.read_text(encoding='utf-8')}"
        made = self._environment / "made"
        if made.exists() and made.read_text(encoding="utf-8") == wanted:
            return
        print(f"making an environment for {self.name}", flush=True)
        self._run(sys.executable, "-m", "venv", "--clear", str(self._environment))
        self._run(self.python, "-m", "pip", "install", "-q", "-r", str(self._requirements))
        made.write_text(wanted, encoding="utf-8")

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            reason = done.stdout.strip()[-1000:]
            raise NotAvailable(f"no environment for {self.name}: {reason}")


RPCNODE = Peer("rpcnode")
NAMEKO = Peer("nameko")
PEERS = (RPCNODE, NAMEKO)
