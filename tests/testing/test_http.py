"""The client that asks services under test."""

import pytest
from werkzeug.wrappers import Response

from rpcnode.concurrency import Event
from rpcnode.http import http
from rpcnode.testing.http import HttpStatusError


class Service:
    name = "service"

    @http("GET", "/login")
    def login(self, request):
        response = Response("in")
        response.set_cookie("session", "plum", httponly=True)
        return response

    @http("GET", "/logout")
    def logout(self, request):
        response = Response("out")
        response.delete_cookie("session")
        return response

    @http("GET", "/who")
    def who(self, request):
        return {"session": request.cookies.get("session"), "args": request.args.to_dict()}

    @http("GET", "/never")
    def never(self, request):
        Event().wait()


@pytest.fixture
def session(container_factory, web_config, web_session):
    container_factory(Service, web_config).start()
    return web_session


def test_cookie_is_sent_until_it_is_deleted(session):
    session.get("/login")
    inside = session.get("/who").json()["session"]

    session.get("/logout")

    assert inside == "plum"
    assert session.cookies == {}
    assert session.get("/who").json()["session"] is None


def test_parameters_join_the_query_of_the_url(session):
    response = session.get("/who?a=1", params={"b": "ü &"})

    assert response.json()["args"] == {"a": "1", "b": "ü &"}


def test_status_of_an_error_may_be_raised(session):
    response = session.get("/nowhere")

    assert not response.ok
    with pytest.raises(HttpStatusError, match="404 Not Found"):
        response.raise_for_status()


def test_answer_that_does_not_come_is_waited_for_no_longer_than_said(session):
    with pytest.raises(TimeoutError, match=r"0\.02 seconds"):
        session.get("/never", timeout=0.02)
