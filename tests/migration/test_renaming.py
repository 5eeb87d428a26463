"""Python code that moves by replacing the word, and code that does not."""

import re

import pytest

# The words that are to be replaced stand in brackets.
MOVES = [
    "from «nameko».rpc import rpc\n",
    "from «nameko».rpc import rpc as call, RpcProxy\n",
    "from «nameko».rpc import (\n    rpc,  # nameko\n)\n",
    "from \\\n  «nameko» . rpc import rpc\n",
    "from «nameko» import rpc as r\nr.rpc(f)\n",
    "from «nameko».exceptions import *\n",
    "import os, «nameko».rpc as r, json\n",
    "import «nameko»\nprint(«nameko».__name__)\n",
    "import «nameko».rpc\nimport «nameko».events, os\n@«nameko».rpc.rpc\ndef f(): 0\n",
    "if a:\n\tfrom «nameko».rpc import rpc; x = 1\n",
    "é = 'é'; import «nameko».rpc; ü = «nameko».rpc\n",
    "x = 1\x0c\nimport «nameko».rpc as r\n",
    "import «nameko».rpc as r\r\nx = '''a\r\n'''\r\n",
    "import os\rimport «nameko».rpc as r\r",
    "try:\n    from «nameko».rpc import rpc\nexcept ImportError:\n    rpc = None\n",
    "mock.patch('«nameko».rpc.Rpc')\n",
    "patch(\n    r'''«nameko».rpc.Rpc.bind''')\n",
    "mock.patch.multiple('«nameko».rpc', a=1)\n",
    "monkeypatch.setattr('«nameko».rpc.Rpc', 1)\n",
    "import_module('«nameko».rpc')\n",
    "logging.getLogger('«nameko»')\n",
    "from nameko.nothing import x\nfrom «nameko».rpc import rpc\n",
]

STAYS = [
    "import my_nameko_helpers\nfrom nameko_tools import x\nfrom .nameko import y\n",
    "from . import nameko\nfrom lib.nameko import rpc\nlib.nameko.rpc.rpc\n",
    "EXCHANGE = 'nameko-rpc'\nheaders = {'nameko.call_id_stack': []}\n",
    "def f():\n    '''Calls nameko.rpc.rpc.'''\n    # nameko.rpc\n",
    "print('nameko.rpc.rpc')\nf'nameko.rpc {x}'\n",
    "logging.getLogger('nameko.rpc')\n",
    "from nameko.rpc import rpc, RpcConsumer\n",
    "from nameko import config\n",
    "import nameko.web.websocket\nimport nameko.rpc\n@nameko.rpc.rpc\ndef f(): ...\n",
    "import nameko.cli.run as r\n",
    "import nameko.web.server as s\ns.HttpOnlyProtocol\n",
    "mock.patch('nameko.nothing.Rpc')\n",
]


@pytest.mark.parametrize("text", MOVES)
def test_word_is_replaced_where_it_stands_for_the_package(moved, text):
    before = re.sub("[«»]", "", text)

    assert moved(before) == text.replace("«nameko»", "rpcnode")


@pytest.mark.parametrize("text", STAYS)
def test_all_else_stays_as_it_is(moved, text):
    assert moved(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "import nameko.rpc\ndef f(nameko): return nameko.rpc\n",
        "import nameko.rpc\nfor nameko in []: pass\n",
        "import nameko.rpc\nrpcnode = 1\n",
        "import nameko.rpc\nfrom x import nameko\n",
        "import nameko.rpc\nimport y as rpcnode\n",
        "import nameko.rpc\nclass nameko: ...\n",
        "import nameko.rpc\ndef f():\n    global nameko\n    import nameko.events\n",
        "import nameko.rpc\nmatch x:\n    case nameko: pass\n",
        "import nameko.rpc\nmatch x:\n    case [*nameko]: pass\n",
    ],
)
def test_name_with_two_meanings_is_told_and_nothing_is_renamed(moved, rules, text):
    assert moved(text) == text
    assert set(rules(text)) == {"two-meanings"}


def test_word_written_in_an_unusual_way_is_told(moved, rules):
    text = "import_module('\\x6eameko.rpc')\n"
    text += "import_module('nameko.rpc')\n"  # else the word is not in the file at all

    assert moved(text) == text.replace("nameko", "rpcnode")
    assert "unusual-spelling" in rules(text)


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("from nameko.rpc import RpcConsumer\n", "nameko.rpc.RpcConsumer: derive from `Rpc`"),
        ("from nameko import config\n", "nameko.config: pass a configuration to"),
        ("import nameko\nnameko.config.setup({})\n", "nameko.config.setup: pass a configuration"),
        ("import nameko.nothing\n", "nameko.nothing"),
        ("from nameko.nothing import *\n", "nameko.nothing"),
        ("import nameko.rpc as r\nr.Nothing\n", "nameko.rpc.Nothing"),
        ("patch('nameko.rpc.nothing')\n", "nameko.rpc.nothing"),
    ],
)
def test_name_that_is_not_there_is_told_with_what_to_write(code, text, detail):
    code.put("service.py", text)

    (place,) = [each for each in code.look().places if each.finding.rule == "not-there"]

    assert place.finding.detail.startswith(detail)


def test_text_with_the_word_is_told_once_and_documentation_is_not(rules):
    text = '"""About nameko."""\nx = ["nameko-rpc", "nameko"]\ny = "my_nameko"\n'

    assert rules(text) == ["text"]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"# coding: latin-1\nx = '\xe9'; import nameko.rpc as r\n", "latin-1"),
        (b"\xef\xbb\xbfx = '\xc3\xa9'; import nameko.rpc as r\r\n", "utf-8"),
    ],
)
def test_encoding_and_byte_order_mark_are_kept(code, data, encoding):
    code.put("service.py", data)

    (move,) = code.look().moves

    assert move.data == data.replace(b"nameko", b"rpcnode")
    assert move.data.decode(encoding)


def test_script_without_a_suffix_is_python_if_it_says_so(code):
    code.put("bin/serve", "#!/usr/bin/env python3\nfrom nameko.rpc import rpc\n")
    code.put("bin/notes", "from nameko.rpc import rpc\n")

    moves = code.look().moves

    assert [str(move.path) for move in moves] == ["bin/serve"]
