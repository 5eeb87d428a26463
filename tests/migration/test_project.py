"""Requirements and commands in the files around the code."""

import re

import pytest

# What is to be replaced, by the other word alone, stands in brackets.
MOVES = [
    ("requirements.txt", "a\n«nameko==2.14.1»\nb\n"),
    ("requirements.txt", "«nameko >= 2, <3» ; python_version > '3'  # n\r\n"),
    ("requirements/base.in", "«nameko»"),
    ("setup.cfg", "install_requires =\n    «nameko>=2»\n    x\n"),
    ("tox.ini", "deps = «nameko==2.14»\ncommands = «nameko» test\n"),
    ("pyproject.toml", 'dependencies = [\n "«nameko»",\n "x"]\n'),
    ("pyproject.toml", 'requires = ["«nameko>=2»"]\n'),
    ("setup.py", "setup(install_requires=['a[b]', '«nameko~=2.1»'])\n"),
    ("Dockerfile", "RUN pip install «nameko==2.14.1» x\n"),
    ("Dockerfile.dev", 'CMD ["«nameko»", "run", "a"]\n'),
    ("Makefile", "run:\n\t«nameko» run --config a.yaml a:B\n"),
    ("run.sh", "exec /usr/bin/«nameko» run a\n"),
    ("Procfile", "web: «nameko» run a\n"),
    ("start", "#!/bin/sh\n«nameko» run a\n"),
    ("compose.yml", "command: [«nameko», run]\nx: «nameko» shell\n"),
    ("compose.yml", "command:\n  - «nameko»\n  - run\n  - a\n"),
]

STAYS = [
    ("requirements.txt", "nameko-tools\nmynameko\nnamekoid==1\n"),
    ("requirements.txt", "nameko==2.14.1 \\\n  --hash=sha256:ab\n"),
    ("requirements.txt", "nameko[dev]==2.14.1\n"),
    ("notes.txt", "nameko==2.14.1\n"),
    ("README.md", "nameko run a\n"),
    ("setup.py", "setup(name='x', keywords=['nameko'])\n"),
    ("pyproject.toml", '[project.scripts]\nnameko = "own.main:main"\n'),
    ("setup.cfg", "[metadata]\nname = nameko\n"),
    ("Dockerfile", "# nameko run\nFROM nameko/base\nCOPY nameko /nameko\nRUN x --nameko run\n"),
    ("run.sh", "nameko backdoor 3000\nmy-nameko run\nnameko running\n"),
]

TELLS = [
    ("requirements.txt", "nameko==2.14.1 \\\n  --hash=sha256:ab\n", ["requirement"]),
    ("requirements.txt", "nameko[dev]==2.14.1\n", ["requirement"]),
    ("requirements.txt", "nameko-sqlalchemy>=1\n", ["extension-package"]),
    ("setup.py", "setup(install_requires=['nameko-sentry'])\n", ["extension-package"]),
    ("Dockerfile", "RUN pip install nameko-sentry==1\n", ["extension-package"]),
    ("pyproject.toml", 'nameko = {version = "2"}\n', ["requirement"]),
    ("requirements.txt", "git+https://host/nameko.git#egg=nameko\n", ["text"]),
    ("compose.yml", "# nameko\nimage: nameko/x  # nameko\nmy-nameko: 1\n", ["text"]),
    ("Makefile", "x:\n\tnameko --version\n", ["text"]),
    ("poetry.lock", 'name = "nameko"\n', ["requirement"]),
    ("poetry.lock", 'name = "nameko-x"\n', []),
    ("run.sh", "nameko backdoor 3000\n", ["command"]),
    ("run.sh", "nameko run --config a.yaml --broker b c\n", ["command"]),
    ("run.sh", "rpcnode run --config a.yaml --broker b c\n", ["command"]),
]


@pytest.mark.parametrize(("name", "text"), MOVES)
def test_requirement_or_command_is_replaced(moved, name, text):
    before = re.sub("[«»]", "", text)

    assert moved(before, name) == re.sub("«.*?»", "rpcnode", text)


def test_requirement_in_a_table_loses_its_version(moved):
    before = '[tool.poetry.dependencies]\nnameko = "^2.14"\n'

    assert moved(before, "pyproject.toml") == before.replace('nameko = "^2.14"', 'rpcnode = "*"')


@pytest.mark.parametrize(("name", "text"), STAYS)
def test_all_else_stays_as_it_is(moved, name, text):
    assert moved(text, name) == text


@pytest.mark.parametrize(("name", "text", "told"), TELLS)
def test_what_a_machine_cannot_do_is_told(rules, name, text, told):
    assert rules(text, name) == told


def test_longer_of_two_edits_that_overlap_is_made(code):
    quoted = "build = \"pip install 'nameko >=2; python_version>3'\"\n"

    assert code.moved(quoted, "pyproject.toml") == (
        "build = \"pip install 'rpcnode; python_version>3'\"\n"
    )


def test_file_that_a_shell_writes_to_is_no_version(code):
    assert code.moved("pip install nameko > log\n", "run.sh") == "pip install rpcnode > log\n"
