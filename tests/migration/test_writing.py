"""Files are written whole, and only where there is a way back."""

import os
import stat
import subprocess

import pytest

from rpcnode.migration.writing import without_way_back, write

SERVICE = "from nameko.rpc import rpc\n"


def git(*arguments):
    """Run Git as nobody in particular."""
    names = {
        f"GIT_{role}_{what}": "x@x"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    environ = {**os.environ, **names, "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", *arguments], check=True, capture_output=True, env=environ)


@pytest.fixture
def repository(code):
    """A repository with two files that are committed."""
    code.put("sub/service.py", SERVICE)
    code.put("sub/[s]ervice.py", SERVICE)
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "begin")
    return code


def test_file_is_replaced_and_keeps_its_mode(code):
    path = code.put("serve.py", SERVICE)
    path.chmod(0o755)
    (move,) = code.look().moves

    problem = write(move)

    assert problem is None
    assert path.read_text() == SERVICE.replace("nameko", "rpcnode")
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert os.listdir(code.folder) == ["serve.py"]  # noqa: PTH208 (hidden files, too)


def test_file_with_the_longest_name_is_replaced(code):
    path = code.put("x" * 252 + ".py", SERVICE)
    (move,) = code.look().moves

    assert write(move) is None
    assert path.read_text() == SERVICE.replace("nameko", "rpcnode")


def test_file_that_changes_meanwhile_is_left_alone(code):
    path = code.put("service.py", SERVICE)
    (move,) = code.look().moves
    path.write_text("import other\n")

    assert write(move) == "it has changed meanwhile"
    assert path.read_text() == "import other\n"


def test_failing_write_leaves_the_file_and_nothing_else(code, monkeypatch):
    path = code.put("service.py", SERVICE)
    (move,) = code.look().moves

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)  # nobody wants to fill the disk

    assert write(move) == "it cannot be written: No space left on device"
    assert path.read_text() == SERVICE
    assert list(code.folder.iterdir()) == [path]


def test_file_that_is_gone_is_told(code):
    path = code.put("service.py", SERVICE)
    (move,) = code.look().moves
    path.unlink()

    assert write(move) == "it cannot be written: No such file or directory"


def test_committed_files_can_be_brought_back(repository):
    paths = [move.path for move in repository.look().moves]

    assert len(paths) == 2
    assert without_way_back(paths) == []


def test_changed_staged_and_new_files_cannot(repository):
    repository.put("sub/service.py", SERVICE + "x = 1\n")
    repository.put("new.py", SERVICE)
    repository.put("staged.py", SERVICE)
    git("add", "staged.py")

    paths = [move.path for move in repository.look().moves]

    lost = [str(path.relative_to(repository.folder)) for path in without_way_back(paths)]
    assert lost == ["new.py", "staged.py", "sub/service.py"]


def test_nothing_can_be_brought_back_without_a_repository_a_commit_or_git(code, monkeypatch):
    path = code.put("service.py", SERVICE)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(code.folder.parent))

    assert without_way_back([path]) == [path]
    git("init", "-q")
    git("add", ".")
    assert without_way_back([path]) == [path]
    monkeypatch.setenv("PATH", "")
    assert without_way_back([path]) == [path]


def test_committed_file_with_line_ends_of_the_working_tree_can_be_brought_back(repository):
    git("config", "core.autocrlf", "true")
    repository.put("sub/service.py", SERVICE.replace("\n", "\r\n"))

    assert without_way_back([move.path for move in repository.look().moves]) == []


@pytest.mark.parametrize("flag", ["--assume-unchanged", "--skip-worktree"])
def test_change_that_git_was_told_not_to_look_at_is_a_change(repository, flag):
    git("update-index", flag, "sub/service.py")
    changed = repository.put("sub/service.py", SERVICE + "local = True\n")

    assert without_way_back([move.path for move in repository.look().moves]) == [changed]


def name_a_watcher(code, spy):
    git("config", "core.fsmonitor", spy)


def name_a_filter(code, spy):
    code.put(".git/info/attributes", "*.py filter=spy\n")
    git("config", "filter.spy.clean", spy)


def name_a_hook(code, spy):
    code.put(".git/hooks/post-index-change", f"#!/bin/sh\n{spy}\n").chmod(0o755)


def name_a_remote_for_what_is_missing(code, spy):
    tree = subprocess.run(
        ["git", "rev-parse", "HEAD^{tree}"], check=True, capture_output=True, text=True
    ).stdout
    (code.folder / ".git/objects" / tree[:2] / tree[2:].strip()).unlink()
    for key, value in {
        "remote.origin.url": str(code.folder),
        "remote.origin.promisor": "true",
        "remote.origin.uploadpack": spy,
        "extensions.partialClone": "origin",
        "core.repositoryFormatVersion": "1",
    }.items():
        git("config", key, value)


@pytest.mark.parametrize(
    "name_it", [name_a_watcher, name_a_filter, name_a_hook, name_a_remote_for_what_is_missing]
)
def test_git_runs_nothing_that_a_repository_names(repository, name_it):
    paths = [move.path for move in repository.look().moves]
    spied = repository.folder / "spied"
    spy = repository.put(".git/spy", f"#!/bin/sh\ntouch '{spied}'\ncat\n")
    spy.chmod(0o755)
    name_it(repository, str(spy))
    for path in paths:
        os.utime(path, (1, 1))  # as if it had been written to

    without_way_back(paths)

    assert not spied.exists()
