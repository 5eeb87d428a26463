"""How long something took, in the log."""

import logging
import re

import pytest

from rpcnode.log_helpers import make_timing_logger

logger = logging.getLogger(__name__)


def test_block_is_logged_with_the_time_it_took(caplog):
    caplog.set_level(logging.DEBUG)

    with make_timing_logger(logger)("placed %s of %d", "order", 3):
        pass

    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert re.fullmatch(r"placed order of 3 in 0\.\d{3}s", record.getMessage())


def test_precision_and_level_can_be_chosen(caplog):
    caplog.set_level(logging.INFO)

    with make_timing_logger(logger, precision=1, level=logging.INFO)("placed"):
        pass

    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert re.fullmatch(r"placed in 0\.\ds", record.getMessage())


def test_block_that_fails_is_logged_as_well(caplog):
    caplog.set_level(logging.DEBUG)
    log_time = make_timing_logger(logger)

    with pytest.raises(KeyError), log_time("placed"):
        raise KeyError

    assert len(caplog.records) == 1
