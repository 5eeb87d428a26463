"""A hundred thousand requests, most of them spoilt: what we make of them, held against h11."""

import os
import re
from collections import Counter

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.httpd.mutations import Mutations
from tests.httpd.reading import STRICTER, Ours, comparable, cut, read_by_h11, why_refused

REQUESTS = int(os.environ.get("RPCNODE_TEST_HTTP_REQUESTS", "100000"))
BATCH = 1000  # requests of one seed
# A size in hexadecimal has no bound but its value for us; h11 takes 20 digits.
LONG_SIZE = re.compile(rb"\n0{5,}[0-9A-Fa-f]{1,16}[;\r]")


def seeds(number):
    """Run a test with so many seeds; a failure names its seed, and shows the bytes."""

    def decorate(test):
        given_seed = given(st.integers(0, 2**64))(test)
        return settings(max_examples=number, deadline=None, database=None, phases=[Phase.generate])(
            given_seed
        )

    return decorate


def compare(data, ours, theirs):
    """Assert that both have read the same, but for what is meant; return why we refuse, if so."""
    common = min(len(ours.requests), len(theirs.requests))
    assert list(map(comparable, ours.requests[:common])) == list(
        map(comparable, theirs.requests[:common])
    ), data
    if len(ours.requests) > common:
        # Nothing that it refuses, or waits for more of, reaches the application.
        assert LONG_SIZE.search(data), data
    elif len(theirs.requests) > common:
        reasons = why_refused(theirs.requests[common], theirs.raw[common])
        assert ours.refusals, data
        assert reasons, data
        return reasons
    return []


@pytest.mark.timeout(600)
def test_we_read_what_h11_reads_and_refuse_what_it_refuses():
    seen = Counter()

    @seeds(max(1, REQUESTS // BATCH))
    def run(seed):
        mutations, number = Mutations(seed), 0
        while number < BATCH:
            data, requests = mutations.stream()
            ours = Ours().feed([data])
            seen.update(compare(data, ours, read_by_h11(data)))
            seen["whole"] += len(ours.requests)
            number += requests

            in_parts = Ours().feed(cut(data, mutations.cuts(len(data))))

            # Of the status of a refusal that much: a method that arrives in two parts is not
            # known to be one, so that it is malformed (400) and not unknown (501).
            assert in_parts.requests == ours.requests, data
            assert len(in_parts.refusals) == len(ours.refusals) <= 1, data
            assert ours.is_settled, data
            assert in_parts.is_settled, data
        seen["all"] += number

    run()

    assert seen["all"] >= REQUESTS
    assert seen["whole"] > REQUESTS / 5  # enough is in order to get to the faults of the rest
    assert all(seen[name] for name in STRICTER), seen  # none of the differences is made up


def test_tab_behind_the_coding_is_refused_although_h11_takes_it():
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked%b\r\n\r\n"
    body = b"1\r\na\r\n0\r\n\r\n"

    with_tab, with_space = Ours().feed([head % b"\t" + body]), Ours().feed([head % b" " + body])

    assert with_tab.refusals == [400]
    assert [each.body for each in with_space.requests] == [b"a"]
    reasons = compare(head % b"\t" + body, with_tab, read_by_h11(head % b"\t" + body))
    assert reasons == ["a tab behind the coding"]


@pytest.mark.timeout(600)
def test_result_is_the_same_for_every_offset_at_which_the_bytes_are_cut():
    number_of_cuts = 0

    @seeds(100)
    def run(seed):
        nonlocal number_of_cuts
        data, _ = Mutations(seed).stream()
        whole = Ours().feed([data])
        cuts = [cut(data, [offset]) for offset in range(1, len(data))]

        for parts in (*cuts, [data[at : at + 1] for at in range(len(data))]):
            in_parts = Ours().feed(parts)

            assert in_parts.requests == whole.requests, parts
            assert len(in_parts.refusals) == len(whole.refusals), parts
            assert in_parts.is_settled, parts
        number_of_cuts += len(cuts)

    run()

    assert number_of_cuts > 5_000


@pytest.mark.timeout(600)
def test_body_that_nobody_reads_is_never_taken_for_a_request():
    seen = Counter()

    @seeds(20)
    def run(seed):
        mutations = Mutations(seed)
        for _ in range(200):
            data, _ = mutations.stream()
            theirs = read_by_h11(data)
            expected = [*theirs.requests, *([theirs.begun] if theirs.begun else [])]

            ours = Ours(reads=False).feed(cut(data, mutations.cuts(len(data))))

            heads = [comparable(request) for request in ours.requests]
            prefix = [comparable(each._replace(body=b"")) for each in expected[: len(heads)]]
            assert heads == prefix or LONG_SIZE.search(data), data
            assert ours.is_settled, data
            seen["bodies"] += sum(bool(each.body) for each in expected[: len(heads)])
            seen["after a body"] += any(each.body for each in expected[: len(heads) - 1])

    run()

    assert seen["bodies"] > 500
    assert seen["after a body"] > 100
