"""Files that take their new content in one step, where there is a way back."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from rpcnode.migration.moving import Move


def without_way_back(paths: Iterable[Path]) -> list[Path]:
    """Return which of the files Git could not bring back as they are now, line ends apart."""
    committed: dict[Path, dict[str, str]] = {}
    lost: list[Path] = []
    for path in map(Path.resolve, paths):
        if path.parent not in committed:
            committed[path.parent] = _committed_in(path.parent)
        if not _is_content(path, committed[path.parent].get(path.name, "")):
            lost.append(path)
    return lost


def _committed_in(folder: Path) -> dict[str, str]:
    """Return the files of a folder that the last commit has, and the hash of each."""
    # To compare files itself, Git would run what a repository names (filters, hooks, a watcher
    # of files), and would believe its index, which may say not to look. It lists the commit
    # only; what a partial clone lacks it would fetch, which runs programs as well.
    environ = {**os.environ, "GIT_ALLOW_PROTOCOL": "none"}
    command = ["git", "ls-tree", "-z", "HEAD"]
    try:
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
    except OSError:
        return {}
    entries = [] if done.returncode else os.fsdecode(done.stdout).split("\0")
    described = [entry.partition("\t") for entry in entries if entry]
    return {name: description.split()[-1] for description, _, name in described}


def _is_content(path: Path, object_id: str) -> bool:
    """Return whether a file is what Git has under a hash, with its line ends or with Git's."""
    try:
        data = path.read_bytes()
    except OSError:
        return False
    return object_id in (
        hashlib.new(algorithm, b"blob %d\0%b" % (len(each), each)).hexdigest()
        for algorithm in ("sha1", "sha256")
        for each in (data, data.replace(b"\r\n", b"\n"))
    )


def write(move: Move) -> str | None:
    """Put a file's new content in its place, all or nothing; return what went wrong."""
    path = move.path.resolve()
    try:
        if path.read_bytes() != move.before.data:
            return "it has changed meanwhile"
        _replace(path, move.data)
    except OSError as exc:
        return f"it cannot be written: {exc.strerror}"
    return None


def _replace(path: Path, data: bytes) -> None:
    if not os.access(path, os.W_OK):
        raise PermissionError(13, "it is read-only")
    descriptor, name = tempfile.mkstemp(prefix=".rpcnode-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
