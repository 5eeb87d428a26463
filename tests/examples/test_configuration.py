"""The configuration file of the documentation."""

from pathlib import Path

import pytest

from rpcnode.config import load

FILE = Path(__file__).parent.parent.parent / "examples" / "configuration.yaml"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, {"AMQP_URI": "amqp://guest:guest@localhost:5672//", "MAX_WORKERS": 20}),
        (
            {"RABBIT_HOST": "mq", "RABBIT_USER": "shop", "RABBIT_PASSWORD": "secret"},
            {"AMQP_URI": "amqp://shop:secret@mq:5672//"},
        ),
        ({"MAX_WORKERS": "3"}, {"MAX_WORKERS": 3}),
        ({"AMQP_URI": "memory://"}, {"AMQP_URI": "memory://"}),
    ],
)
def test_variables_of_the_environment_set_what_the_page_says(environ, expected):
    config = load(FILE, environ=environ)

    assert {name: config[name] for name in expected} == expected


def test_the_file_sets_no_key_that_is_unknown(caplog):
    load(FILE, environ={})

    assert caplog.text == ""


@pytest.mark.parametrize(("environ", "level"), [({}, "INFO"), ({"LOG_LEVEL": "DEBUG"}, "DEBUG")])
def test_the_level_of_the_log_can_be_set_from_outside(environ, level):
    config = load(FILE, environ=environ)

    assert config["LOGGING"]["root"]["level"] == level
