"""A feed that goes on."""

import json

from examples.http_feed import Feed, Listeners
from rpcnode.testing.utils import get_extension
from tests.hosting import wait_until


def test_news_reach_all_who_listen(container_factory, memory_config, web_config, web_session):
    container = container_factory(Feed, {**memory_config, **web_config})
    container.start()
    feeds = [web_session.get("/news", stream=True) for _ in range(3)]
    lines = [feed.iter_lines() for feed in feeds]
    assert [json.loads(next(each))["type"] for each in lines] == ["welcome"] * 3

    web_session.post("/news", json={"title": "plums are ripe"})

    assert [json.loads(next(each)) for each in lines] == [{"title": "plums are ripe"}] * 3
    for feed in feeds:
        feed.close()
    wait_until(lambda: not get_extension(container, Listeners).queues)
