"""The files below a path: which are looked at, and which are not, and why."""

import fnmatch
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CACHES = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".nox", ".tox"}
FOREIGN = {".bzr", ".eggs", ".git", ".hg", ".svn", "node_modules", "site-packages"}
# Copies of other people's code: whether they are to be moved, somebody has to say.
VENDORED = {"_vendor", "third_party", "vendor", "vendored"}
LARGEST = 2 * 1024 * 1024  # bytes
LONGEST_LINE = 100_000  # characters; what nobody wrote by hand takes for ever, too


@dataclass(frozen=True, order=True)
class Skipped:
    """What was not looked at, and why; `counts` when somebody should."""

    path: Path
    reason: str
    counts: bool = True


def find_files(roots: Sequence[Path], excluded: Sequence[str]) -> Iterator[Path | Skipped]:
    """Yield each file below the roots, in order, or what is skipped of them.

    `excluded` are patterns of names, or of paths from the root: somebody does not want these.
    """
    seen: set[Path] = set()
    for root in roots:
        for found in _below(root, excluded):
            path = (found if isinstance(found, Path) else found.path).absolute()
            if path not in seen:
                seen.add(path)
                yield found


def _below(root: Path, excluded: Sequence[str]) -> Iterator[Path | Skipped]:
    waiting = [root]  # a stack: folders can be deeper than Python's
    while waiting:
        path = waiting.pop()
        try:
            skipped = None if path == root else _skipped(root, path, excluded)
            if skipped is not None:
                yield skipped
            elif path != root and path.is_symlink():
                continue  # the walk comes to what it leads to
            elif path.is_dir():
                inside = sorted(path.iterdir(), reverse=True)
                waiting += [each for each in inside if each.name not in CACHES]
            elif path.is_file():
                yield path
        except OSError as exc:
            yield Skipped(path, f"it cannot be read: {exc.strerror}")


def _skipped(root: Path, path: Path, excluded: Sequence[str]) -> Skipped | None:
    if _is_excluded(path.relative_to(root), excluded):
        return Skipped(path, "it is excluded", counts=False)
    mode = path.lstat().st_mode  # questions such as `is_dir` may hide that it cannot be read
    if stat.S_ISLNK(mode):
        return _reason_against_link(root, path)
    return _reason_against(path) if stat.S_ISDIR(mode) else None


def _is_excluded(path: Path, patterns: Sequence[str]) -> bool:
    names = (path.name, str(path))
    return any(fnmatch.fnmatch(name, each.rstrip("/")) for each in patterns for name in names)


def _reason_against_link(root: Path, path: Path) -> Skipped | None:
    try:
        target = path.resolve(strict=True)
    except (OSError, RuntimeError):  # a circle
        return Skipped(path, "it is a link to nowhere", counts=False)
    if target.is_relative_to(root.resolve()):
        return None
    return Skipped(path, f"it is a link to what lies outside: {path.readlink()}")


def _reason_against(path: Path) -> Skipped | None:
    if path.name in FOREIGN or path.name.endswith(".egg-info"):
        return Skipped(path, "nobody writes its files by hand", counts=False)
    if (path / "pyvenv.cfg").exists():
        return Skipped(path, "it is a virtual environment", counts=False)
    if path.name in VENDORED:
        return Skipped(path, "it is a copy of other people's code; name it to have it moved")
    return None
