"""An extension from PyPI on rpcnode: `python -m tests.fleet.pypi_extensions` runs the others."""

import pytest

from tests.fleet import pypi_extensions


@pytest.mark.timeout(180)  # a virtual environment is made
def test_suite_of_nameko_sqlalchemy_does_on_rpcnode_what_it_does_on_nameko(capfd):
    status = pypi_extensions.main(["nameko-sqlalchemy"])

    output, errors = capfd.readouterr()
    assert status == 0, output + errors
    assert "nameko-sqlalchemy==1.5.0 on rpcnode: 2 failed, 50 passed" in output


def test_extension_that_is_not_known_is_named(capsys):
    status = pypi_extensions.main(["nameko-nothing"])

    assert status == 2
    assert "nameko-nothing" in capsys.readouterr().err
