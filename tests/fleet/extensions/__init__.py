"""Tests of extensions from PyPI, written for Nameko, and what their own suites lack.

`tests/fleet/pypi_extensions.py` runs them, on Nameko as they are and on rpcnode with the word
replaced. Here no test is collected: the extensions are not installed.
"""
