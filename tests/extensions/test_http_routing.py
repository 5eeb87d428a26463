"""Which route a request takes."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, Rule

from rpcnode.exceptions import ConfigurationError
from rpcnode.extensions.web.paths import PathTree
from rpcnode.http import http
from rpcnode.runners import ServiceRunner
from rpcnode.testing.http import HttpClient


def service_of(*routes, name="service"):
    """Return a service with a method for each route, which returns the rule."""
    body = {"name": name}
    for number, (method, url) in enumerate(routes):
        body[f"method{number}"] = http(method, url)(lambda self, request, url=url, **_: url)
    return type("Service", (), body)


def test_unknown_path_is_not_found(host):
    response = host(service_of(("GET", "/it"))).get("/other")

    assert response.status_code == 404
    assert response.json() == {"type": "about:blank", "title": "Not Found", "status": 404}


def test_other_method_is_told_which_there_are(host):
    session = host(service_of(("GET", "/it"), ("POST", "/it")))

    response = session.delete("/it")

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


def test_options_are_answered_without_a_route(host):
    session = host(service_of(("GET", "/it"), ("PATCH", "/<x>/y")))

    one, two, none = (session.options(path) for path in ("/it", "/x/y", "/z/z"))

    assert (one.status_code, one.headers["Allow"]) == (204, "GET, HEAD, OPTIONS")
    assert (two.status_code, two.headers["Allow"]) == (204, "OPTIONS, PATCH")
    assert none.status_code == 404


def test_head_is_answered_by_the_route_for_get(host):
    response = host(service_of(("GET", "/it"))).head("/it")

    assert response.status_code == 200
    assert response.headers["Content-Length"] == "3"
    assert response.content == b""


@pytest.mark.parametrize("url", ["/it", "/<x>"])
def test_route_for_head_beats_the_one_for_get(host, url):
    class Service:
        name = "service"

        @http("GET", url)
        def get(self, request, **_):
            return "get"

        @http("HEAD", url)
        def head(self, request, **_):
            return 200, {"X-Head": "yes"}, None

    session = host(Service)

    assert session.head("/it").headers["X-Head"] == "yes"
    assert session.get("/it").text == "get"


def test_fixed_path_beats_a_variable_one_and_another_method_goes_on(host):
    session = host(service_of(("GET", "/items/<x>"), ("GET", "/items/new"), ("POST", "/items/<x>")))

    assert session.get("/items/new").text == "/items/new"
    assert session.get("/items/old").text == "/items/<x>"
    assert session.post("/items/new").text == "/items/<x>"


def test_missing_slash_is_redirected_on_the_same_host(host):
    session = host(service_of(("GET", "/items/")))

    response = session.get("/items?a=b")

    assert response.status_code == 308
    assert response.headers["Location"] == "/items/?a=b"


def test_redirect_does_not_lead_to_another_host(host):
    session = host(service_of(("GET", "/<path:x>/")))

    response = session.get("//evil.example/x")

    assert response.status_code in (308, 404)
    assert not (response.headers["Location"] or "").startswith(("//", "http"))


def test_escaped_path_is_found(host):
    session = host(service_of(("GET", "/it"), ("GET", "/p/<path:x>")))

    assert session.get("/%69t").text == "/it"
    assert session.get("/p/a%2Fb%00%ff").status_code == 200


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("GET", "/it"), ("GET", "/it")),
        (("GET,POST", "/it"), ("POST,PUT", "/it")),
        (("GET", "/items/<int:item_id>"), ("GET", "/items/<int:id>")),
        (("GET", "/items/<item_id>"), ("GET", "/items/<default:id>")),
        (("HEAD", "/it"), ("HEAD", "/it")),
    ],
)
def test_routes_that_want_the_same_are_an_error_that_names_both(host, first, second):
    with pytest.raises(
        ConfigurationError, match="service.method0> and <.*service.method1> both want"
    ):
        host(service_of(first, second))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("GET", "/it"), ("POST", "/it")),
        (("GET", "/items/<int:item_id>"), ("GET", "/items/<name>")),
        (("GET", "/items/<item_id>"), ("GET", "/shelves/<item_id>")),
    ],
)
def test_routes_that_differ_are_no_error(host, first, second):
    assert host(service_of(first, second)).get("/other").status_code == 404


def test_services_of_a_process_share_an_address(runner_factory, web_config):
    runner = runner_factory(
        web_config, service_of(("GET", "/one"), name="one"), service_of(("GET", "/two"), name="two")
    )
    runner.start()
    session = HttpClient(runner)

    assert [session.get(path).text for path in ("/one", "/two")] == ["/one", "/two"]


def test_services_of_a_process_that_want_the_same_do_not_start(web_config):
    runner = ServiceRunner(web_config)
    for name in ("one", "two"):
        runner.add_service(service_of(("GET", "/it"), name=name))

    with pytest.raises(ConfigurationError, match="one.method0.*two.method0|two.*one") as error:
        runner.start()

    assert "both want GET /it" in str(error.value)


def test_number_of_too_many_digits_is_not_found(host):
    session = host(service_of(("GET", "/items/<int:item_id>")))

    assert session.get("/items/" + "9" * 18).status_code == 200
    assert session.get("/items/" + "9" * 19).status_code == 200
    assert session.get("/items/" + "9" * 5000).status_code == 404


SEGMENTS = ["a", "b", "12", "", "x.y", "<s>", "<int:n>", "<string:t>"]
ASKED = ["a", "b", "12", "007", "", "x.y", "c", "9" * 30]
METHODS = [["GET", "HEAD"], ["POST"], ["GET", "HEAD", "PUT"]]


def rule_of(segments, methods, endpoint):
    # Each name once in a rule.
    names = iter("abcdef")
    named = [re.sub(r"\w+>", lambda _: f"{next(names)}>", each) for each in segments]
    rule = Rule("/" + "/".join(named), endpoint=endpoint)
    rule.methods = set(methods)
    return rule


def found_by_werkzeug(rules, method, path):
    try:
        return Map([rule.empty() for rule in rules]).bind("x").match(path, method)
    except HTTPException:
        return None


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=3), st.sampled_from(METHODS)
        ),
        min_size=1,
        max_size=6,
    ),
    st.lists(st.lists(st.sampled_from(ASKED), min_size=1, max_size=3), min_size=1, max_size=8),
)
def test_what_the_tree_finds_is_what_werkzeug_finds(declared, asked):
    shapes = {}
    for given_segments, methods in declared:  # two that want the same would be refused
        segments = [*filter(None, given_segments[:-1]), given_segments[-1]]
        shape = tuple(each.replace("string:", "").replace("<t>", "<s>") for each in segments)
        shapes.setdefault(shape, rule_of(segments, methods, f"{shape}"))
    rules = list(shapes.values())
    tree = PathTree.of(rules)

    for segments in asked:
        for method in ("GET", "POST", "PUT"):
            path = "/" + "/".join(segments)
            found = tree.find(method, path)
            if found is not None:
                assert found == found_by_werkzeug(rules, method, path)


@pytest.mark.parametrize(
    "rule",
    [
        Rule("/<path:x>"),
        Rule("/a<x>"),
        Rule("/<int(min=3):x>"),
        Rule("/ü"),
        Rule("/a b"),
        Rule("/a", strict_slashes=False),
        Rule("/a", defaults={"x": 1}),
    ],
)
def test_rule_that_is_more_than_segments_is_left_to_werkzeug(rule):
    assert PathTree.of([Rule("/a/<x>"), rule]) is None
