"""Environment variables in text."""

import pytest

from rpcnode.substitution import substitute, variable_at

ENVIRON = {"SET": "v", "EMPTY": "", "NUM": "12", "REC": "${SET}"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("nothing", "nothing"),
        ("${UNSET}", ""),
        ("${UNSET:}", ""),
        ("x${UNSET}y", "xy"),
        ("${UNSET:d:e}", "d:e"),
        ("${EMPTY:d}", ""),
        ("x${NUM}", "x12"),
        ("${SET}${NUM}", "v12"),
        ("${UNSET:${SET}}", "v"),
        ("${U:x-${U2:y-${NUM}}}", "x-y-12"),
        ("${UNSET:{p}}", "{p}"),
        ('${U:"{name} {age}"}', '"{name} {age}"'),
        ("${REC}", "${SET}"),
        ("${MY VAR}", "${MY VAR}"),
        ("${}", "${}"),
        ("${:d}", "${:d}"),
        ("${SET", "${SET"),
        ("${U:{d}", "${U:{d}"),
        ("${MY ${SET}}", "${MY v}"),
        ("$SET $${SET}", "$SET $v"),
        ("${U:first\nsecond}", "first\nsecond"),
    ],
)
def test_variables_are_replaced_and_all_else_stays(text, result):
    assert substitute(text, ENVIRON) == result


def test_variable_ends_at_its_own_brace():
    variable = variable_at("a ${NAME:{b} ${C}} d}", 2)

    assert (variable.name, variable.default) == ("NAME", "{b} ${C}")
    assert "a ${NAME:{b} ${C}} d}"[variable.end :] == " d}"
