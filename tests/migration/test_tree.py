"""Which files are looked at; the others are named, with the reason."""

import inspect
import os
import sys
import time
from pathlib import Path

import pytest

from rpcnode.migration.moving import look
from rpcnode.migration.tree import LARGEST

SERVICE = "from nameko.rpc import rpc\n"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("old.py", "print 'nameko'\n", "it does not parse as Python 3: Missing parentheses"),
        ("null.py", "import nameko\0\n", "it does not parse as Python 3"),
        ("deep.py", "x = nameko" + "(" * 500 + ")" * 500, "it does not parse as Python 3"),
        ("latin.py", b"# nameko \xe9\n", "it is no UTF-8"),
        ("wide.py", "import nameko".encode("utf-16"), "it is no UTF-8"),
        ("odd.py", "# coding: klingon\nimport nameko\n", "it is no UTF-8"),
        ("requirements.txt", b"nameko # \xe9\n", "it is no UTF-8"),
        ("huge.py", "#" * (LARGEST + 1), "it is larger than 2 MiB"),
        ("long.sh", "nameko run " * 10_000, "it has a line of more than 100000 characters"),
        ("date.yaml", "AMQP_URI: x\nd: 2026-13-45\n", "it does not parse as YAML"),
        ("deep.yaml", "AMQP_URI: x\nd: " + "[" * 3000, "it does not parse as YAML"),
        (
            "seven.py",
            "# coding: utf-7\nimport nameko\nx = '\\'\n",
            "its encoding, utf-7, would not",
        ),
    ],
)
def test_file_that_cannot_be_understood_is_skipped_with_the_reason(code, name, content, reason):
    code.put(name, content)
    code.put("service.py", SERVICE)

    result = code.look()

    assert [(str(each.path), each.counts) for each in result.skipped] == [(name, True)]
    assert result.skipped[0].reason.startswith(reason)
    assert [str(move.path) for move in result.moves] == ["service.py"]


def test_broken_file_that_has_nothing_to_do_with_nameko_is_passed_over(code):
    code.put("broken.py", "print 'x'\n")
    code.put("data.bin", os.urandom(100) + b"nameko")

    assert code.skipped() == {}


def test_folders_of_other_people_are_named(code):
    for folder in (".git", "venv", "node_modules", "src/vendor", "x.egg-info", "__pycache__"):
        code.put(f"{folder}/service.py", SERVICE)
    code.put("venv/pyvenv.cfg", "")

    skipped = code.skipped()

    assert {path: counts for path, (_, counts) in skipped.items()} == {
        ".git": False,
        "venv": False,
        "node_modules": False,
        "src/vendor": True,
        "x.egg-info": False,
    }
    assert code.look().moves == []


def test_folder_that_is_named_is_looked_at_whatever_it_is_called(code):
    code.put("vendor/service.py", SERVICE)

    assert len(look([Path("vendor")]).moves) == 1
    assert len(look([Path("vendor/service.py")]).moves) == 1


def test_file_that_two_paths_lead_to_is_looked_at_once(code):
    code.put("a/service.py", SERVICE)

    assert len(look([Path("a"), Path("a/service.py"), code.folder]).moves) == 1


def test_what_is_excluded_does_not_count(code):
    code.put("src/vendor/service.py", SERVICE)
    code.put("src/old.py", "print 'nameko'\n")

    skipped = code.skipped("vendor", "src/o*.py")

    assert {path: counts for path, (_, counts) in skipped.items()} == {
        "src/vendor": False,
        "src/old.py": False,
    }


def test_folder_may_be_excluded_as_a_shell_completes_it(code):
    code.put("src/vendor/service.py", SERVICE)

    assert code.skipped("vendor/") == {"src/vendor": ("it is excluded", False)}


def test_links_are_not_followed_out_of_the_tree_nor_twice_into_it(code, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "service.py").write_text(SERVICE)
    code.put("service.py", SERVICE)
    for name, target in {
        "file.py": outside / "service.py",
        "folder": outside,
        "own.py": code.folder / "service.py",
        "circle": code.folder,
        "nowhere": code.folder / "missing",
    }.items():
        (code.folder / name).symlink_to(target)

    result = code.look()

    assert [str(move.path) for move in result.moves] == ["service.py"]
    counts = {str(each.path): each.counts for each in result.skipped}
    assert counts == {"file.py": True, "folder": True, "nowhere": False}


@pytest.mark.parametrize("what", ["iterdir", "exists", "lstat"])
def test_folder_that_may_not_be_read_is_named_and_the_others_are_read(code, monkeypatch, what):
    code.put("closed/service.py", SERVICE)
    code.put("open/service.py", SERVICE)
    ask = getattr(Path, what)

    def refuse(self, **options):
        if "closed" in self.parts:
            raise PermissionError(13, "Permission denied")
        return ask(self, **options)

    monkeypatch.setattr(Path, what, refuse)  # root may read everything

    assert code.skipped() == {"closed": ("it cannot be read: Permission denied", True)}
    assert [str(move.path) for move in code.look().moves] == ["open/service.py"]


def test_folders_may_be_deeper_than_calls(code):
    code.put("d/" * 200 + "service.py", SERVICE)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack(0)) + 150)  # a deeper tree, nobody can remove

    try:
        moves = code.look().moves
    finally:
        sys.setrecursionlimit(limit)

    assert len(moves) == 1


@pytest.mark.parametrize("name", ["service.py", "pyproject.toml", "requirements.txt", "run.sh"])
@pytest.mark.parametrize(
    "line",
    [
        "nameko" + "!" * 2000,
        "pip install nameko" + "!" * 2000 + "@",
        "import nameko.rpc",
        "from nameko.rpc import rpc; rpc",
        "requires = ['nameko']",
        "nameko run",
    ],
)
def test_no_file_takes_for_ever(code, name, line):
    code.put(name, f"{line}\n" * 3000)
    begin = time.process_time()

    code.look()

    assert time.process_time() - begin < 10  # by trying all ways to read it: years


def test_package_that_extends_nameko_is_none_of_somebody_elses_in_its_own_code(code):
    code.put("nameko_own/__init__.py", "from nameko_own.parts import x\nimport nameko_other\n")
    code.put("setup.py", "setup(name='nameko-own', install_requires=['nameko-other'])\n")

    places = code.look().places

    told = [(str(each.path), each.finding.detail) for each in places if each.finding.detail]
    assert told == [("nameko_own/__init__.py", "nameko_other"), ("setup.py", "nameko-other")]
