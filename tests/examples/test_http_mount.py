"""An application of old beside new routes."""

import pytest

from examples.http_mount import Powered, Site


@pytest.fixture
def session(request, container_factory, web_config, web_session):
    container_factory(request.param, web_config).start()
    return web_session


@pytest.mark.parametrize("session", [Site], indirect=True)
def test_old_and_new_pages_are_there(session):
    assert session.get("/old/page").text == "the old page /page, mounted at /old"
    assert session.get("/old/status").json() == {"status": "this one is new"}


@pytest.mark.parametrize("session", [Powered], indirect=True)
def test_middleware_sees_every_answer(session):
    answers = session.get("/powered"), session.get("/nowhere")

    assert [each.status_code for each in answers] == [200, 404]
    assert [each.headers["X-Powered-By"] for each in answers] == ["plums", "plums"]
