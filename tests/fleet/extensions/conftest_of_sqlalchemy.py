"""What the suite of nameko-sqlalchemy imports from a conftest that its archive does not have.

There is no Toxiproxy before a MySQL, so the suite skips what needs one.
"""
# ruff: noqa: E402 (the patch comes first)

import eventlet

eventlet.monkey_patch()

import pytest
from sqlalchemy import Column, Integer, String
from sqlalchemy.ext.declarative import declarative_base

DeclarativeBase = declarative_base(name="examplebase")


class ExampleModel(DeclarativeBase):
    """The table that the suite works on."""

    __tablename__ = "example"
    id = Column(Integer, primary_key=True)
    data = Column(String(100))


@pytest.fixture
def toxiproxy():
    """None means that there is none."""
    return
