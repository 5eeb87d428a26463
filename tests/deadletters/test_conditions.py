"""Conditions: which dead letters are meant."""

from datetime import UTC, datetime, timedelta

import pytest

from rpcnode.amqp.reading import Fetched
from rpcnode.dead import matching
from rpcnode.deadletters.letter import letter_from
from rpcnode.exceptions import CommandError
from tests.deadletters.notes import notes


def letter(**others):
    """Return a letter that died two hours ago."""
    died = datetime.now(UTC) - timedelta(hours=2)
    known = {"last_failed": round(died.timestamp() * 1000), **others}
    return letter_from(
        Fetched(1, "", "", False, {"message_id": "a-1"}, notes(**known), b"", b""), ""
    )


@pytest.mark.parametrize(
    ("conditions", "is_met"),
    [
        ([], True),
        (["reason=exhausted"], True),
        (["reason!=exhausted"], False),
        (["exc-type=Value*"], True),
        (["exc-type=value*"], False),
        (["exc-type!=Key*", "handler=mailer.*", "host=here"], True),
        (["exc-message=*no such*", "exc-message=*a=b*"], False),
        (["id=a-?"], True),
        (["exchange=shop.events", "key=placed"], True),
        (["age>1h"], True),
        (["age>7000s", "age<121m", "age<1d"], True),
        (["age<1.5h"], False),
        (["attempts=3", "attempts>2", "attempts<4", "attempts!=2"], True),
        (["replayed>0"], False),
    ],
)
def test_all_conditions_must_hold(conditions, is_met):
    assert matching(*conditions)(letter()) is is_met


def test_letter_whose_age_is_not_known_meets_no_condition_on_it():
    ageless = letter(last_failed="long ago")

    assert not matching("age>0s")(ageless)
    assert not matching("age<9d")(ageless)
    assert not matching("age!=1h")(ageless)


@pytest.mark.parametrize(
    ("condition", "problem"),
    [
        ("", "is no condition"),
        ("reason", "is no condition"),
        ("reason>a", "reason is a text"),
        ("colour=red", "there is no 'colour', only reason"),
        ("age>1w", "a time such as 90s"),
        ("age>-1h", "a time such as 90s"),
        ("attempts>3h", "compared with a number"),
    ],
)
def test_what_is_no_condition_is_refused(condition, problem):
    with pytest.raises(CommandError, match=problem):
        matching(condition)
