"""A JSON API."""

import pytest

from examples.http_api import SHELVES, Diary, Shop, Stock


@pytest.fixture
def session(runner_factory, memory_config, web_config, web_session):
    config = {**memory_config, **web_config, "API_TOKEN": "sesame"}
    runner_factory(config, Shop, Stock, Diary).start()
    return web_session


def test_item_is_looked_up_by_a_call(session):
    assert session.get("/items/pear").json() == {"sku": "pear", "quantity": 0}


def test_order_is_placed(session, monkeypatch):
    monkeypatch.setitem(SHELVES, "plum", 5)

    response = session.post("/orders", json={"sku": "plum", "quantity": 2})

    assert (response.status_code, response.json()) == (201, {"sku": "plum", "left": 3})


@pytest.mark.parametrize(
    ("order", "status", "detail"),
    [
        ({"sku": "pear"}, 409, "not enough of 'pear'"),
        ({"skew": "pear"}, 400, None),
        ({"sku": "p" * 10_000}, 413, "the body is larger than 10000 bytes"),
    ],
)
def test_order_that_cannot_be_placed_is_answered_with_the_reason(session, order, status, detail):
    response = session.post("/orders", json=order)

    assert (response.status_code, response.json().get("detail")) == (status, detail)


def test_who_has_no_token_is_kept_out(session):
    refused = session.post("/notes", json={"text": "hello"})
    page_refused = session.delete("/pages/0")
    session.headers["Authorization"] = "Bearer sesame"
    written = session.post("/notes", json={"text": "hello"})

    assert (refused.status_code, page_refused.status_code) == (401, 401)
    assert written.status_code == 201
    assert session.get("/notes").json() == [{"text": "hello", "written_by": "somebody"}]


def test_page_is_read_and_torn_out(session):
    session.headers["Authorization"] = "Bearer sesame"
    session.post("/notes", json={"text": "hello", "by": "Ada"})

    assert session.get("/pages/0").json()["written_by"] == "Ada"
    assert session.delete("/pages/0").status_code == 204
    assert session.get("/pages/0").status_code == 404
