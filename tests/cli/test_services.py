"""Finding services by what stands on a command line."""

import sys

import pytest

from rpcnode.cli.services import find_services
from rpcnode.exceptions import CommandError, ConfigurationError

SERVICE = """
from rpcnode.extensions import Entrypoint

dummy = Entrypoint.decorator

class {name}:
    name = "{name}"

    @dummy
    def method(self): ...
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write_module(path, text):
        file = tmp_path / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    return write_module


def names(services):
    return [cls.__name__ for cls in services]


def test_classes_with_entrypoints_are_found_in_a_module(write):
    write("mod_a.py", SERVICE.format(name="One") + SERVICE.format(name="Two") + "class Other: ...")

    assert names(find_services(["mod_a"])) == ["One", "Two"]


def test_class_whose_dependency_works_alone_is_found(write):
    write(
        "mod_files.py",
        "from rpcnode.http import StaticFiles\n"
        "class Files:\n"
        "    name = 'files'\n"
        "    files = StaticFiles('/', '.')\n",
    )

    assert names(find_services(["mod_files"])) == ["Files"]


def test_imported_classes_are_not_meant(write):
    write("mod_b.py", SERVICE.format(name="One"))
    write("mod_c.py", "from mod_b import One\n" + SERVICE.format(name="Two"))

    assert names(find_services(["mod_c"])) == ["Two"]


def test_imported_classes_are_meant_when_all_lists_them(write):
    write("mod_d.py", SERVICE.format(name="One"))
    write("mod_e.py", "from mod_d import One\n__all__ = ['One']")

    assert names(find_services(["mod_e"])) == ["One"]


def test_package_offers_what_it_imports_from_its_own_modules(write):
    write("mod_f.py", SERVICE.format(name="Foreign"))
    write("pack/orders.py", SERVICE.format(name="One"))
    write("pack/__init__.py", "from pack.orders import One\nfrom mod_f import Foreign")

    assert names(find_services(["pack"])) == ["One"]
    assert names(find_services(["pack.orders"])) == ["One"]


def test_one_class_can_be_named(write):
    write("mod_g.py", SERVICE.format(name="One") + SERVICE.format(name="Two"))

    assert names(find_services(["mod_g:Two"])) == ["Two"]


def test_several_targets_give_each_class_once(write):
    write("mod_h.py", SERVICE.format(name="One") + SERVICE.format(name="Two"))
    write("mod_i.py", SERVICE.format(name="Three"))

    assert names(find_services(["mod_h:Two", "mod_i", "mod_h"])) == ["Two", "Three", "One"]


def test_nameless_base_of_a_service_is_left_out(write):
    base = SERVICE.format(name="Base").replace('name = "Base"', "")
    write("mod_j.py", base + "class One(Base):\n    name = 'one'\n")

    assert names(find_services(["mod_j"])) == ["One"]


def test_missing_module_gets_a_hint(write):
    write("mod_orders.py", "")
    write("packet/__init__.py", "")
    write("packet/stock.py", "")

    with pytest.raises(CommandError, match="no module 'mod_ordes'; did you mean 'mod_orders'"):
        find_services(["mod_ordes"])
    with pytest.raises(
        CommandError, match=r"no module 'packet\.stok'; did you mean 'packet\.stock"
    ):
        find_services(["packet.stok"])
    with pytest.raises(CommandError, match=r"no module 'paket'; did you mean 'packet\.stock'"):
        find_services(["paket.stock"])


def test_class_written_with_a_dot_gets_a_hint(write):
    write("mod_k.py", SERVICE.format(name="One"))

    with pytest.raises(CommandError, match="did you mean 'mod_k:One'"):
        find_services(["mod_k.One"])
    with pytest.raises(CommandError, match="'mod_k' is not a package"):
        find_services(["mod_k.other"])


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("shop.py", "'shop'"),
        ("./shop.py", "'shop'"),
        ("shop.py:Orders", "'shop:Orders'"),
        ("examples/shop.py", "'examples.shop'"),
        ("examples/shop", "'examples.shop'"),
    ],
)
def test_file_gets_a_hint(target, meant):
    with pytest.raises(CommandError, match=f"did you mean {meant}"):
        find_services([target])


@pytest.mark.parametrize("target", ["", ":Orders", "..", ".orders", "a b", "-x", "a..b"])
def test_what_is_no_name_is_an_error(target):
    with pytest.raises(CommandError, match="neither a module nor MODULE:CLASS"):
        find_services([target])


def test_colon_without_a_class_is_an_error():
    with pytest.raises(
        CommandError, match="'hello:' names no class: write MODULE:CLASS or 'hello'"
    ):
        find_services(["hello:"])


def test_missing_class_gets_a_hint(write):
    write("mod_l.py", SERVICE.format(name="Orders") + "number = 3")

    with pytest.raises(CommandError, match="no class 'Ordres' in 'mod_l'; did you mean 'Orders'"):
        find_services(["mod_l:Ordres"])
    with pytest.raises(CommandError, match="no class 'number'"):
        find_services(["mod_l:number"])


def test_class_without_entrypoints_is_an_error(write):
    write("mod_m.py", "class Plain: ...")

    with pytest.raises(CommandError, match="'mod_m:Plain' has no entrypoints"):
        find_services(["mod_m:Plain"])


def test_module_without_services_says_what_is_there(write):
    write("mod_n.py", SERVICE.format(name="One"))
    write("mod_o.py", "from mod_n import One\nclass Plain: ...")
    write("mod_p.py", "")

    with pytest.raises(CommandError, match=r"One \(from mod_n\), Plain \(no entrypoints\)"):
        find_services(["mod_o"])
    with pytest.raises(CommandError, match="What is there: no classes"):
        find_services(["mod_p"])


def test_many_classes_are_not_all_listed(write):
    write("mod_q.py", "\n".join(f"class Plain{number}: ..." for number in range(12)))

    with pytest.raises(CommandError, match=r"Plain9 \(no entrypoints\) and 2 more$"):
        find_services(["mod_q"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("1/0", "ZeroDivisionError"),
        ("x = ", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
    ],
)
def test_module_that_fails_is_an_error_with_its_own_traceback(write, capsys, text, message):
    write("mod_r.py", text)

    with pytest.raises(CommandError, match=f"cannot import 'mod_r': {message}"):
        find_services(["mod_r"])

    errors = capsys.readouterr().err
    assert "mod_r.py" in errors
    assert "importlib" not in errors
    assert "services.py" not in errors


@pytest.mark.parametrize("name", ["rpc", "timer"])
def test_module_used_as_a_decorator_gets_advice(write, capsys, name):
    write("mod_s.py", f"from rpcnode import {name}\n@{name}\ndef method(self): ...")

    with pytest.raises(CommandError, match=f"write `from rpcnode.{name} import {name}`"):
        find_services(["mod_s"])


def test_other_type_errors_get_no_advice(write, capsys):
    write("mod_t.py", "import json\njson()")

    with pytest.raises(CommandError, match="cannot import 'mod_t': TypeError: 'module' object"):
        find_services(["mod_t"])


def test_entrypoint_that_cannot_work_is_an_error(write):
    write("mod_u.py", SERVICE.format(name="One").replace("def method", "async def method"))

    with pytest.raises(ConfigurationError, match="One.method is an async method"):
        find_services(["mod_u"])
