"""Objects that a configuration names by their path."""

import json.decoder

import pytest

from rpcnode.locating import locate


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("json", json),
        ("json.decoder", json.decoder),
        ("json.decoder.JSONDecoder", json.JSONDecoder),
        ("json.decoder.JSONDecoder.decode", json.JSONDecoder.decode),
        ("json.nothing", None),
        ("nothing.at.all", None),
        ("", None),
        ("..", None),
        ("no name", None),
    ],
)
def test_path_leads_to_its_object(path, found):
    assert locate(path) is found


def test_module_that_cannot_be_imported_says_why(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "lacking_module.py").write_text("import a_module_that_is_missing")

    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        locate("lacking_module.name")
