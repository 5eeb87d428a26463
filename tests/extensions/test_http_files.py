"""Files as answers, and directories of them."""

import os
from pathlib import Path

import pytest

from rpcnode.exceptions import ConfigurationError
from rpcnode.http import File, StaticFiles, http

TEXT = b"0123456789" * 100


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "outside.txt").write_bytes(b"secret")
    root = tmp_path / "public"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a.txt").write_bytes(TEXT)
    (root / "sub" / "index.html").write_bytes(b"<html>")
    (root / ".hidden").write_bytes(b"secret")
    (root / "ü b.txt").write_bytes(b"umlaut")
    (root / "archive.tar.gz").write_bytes(b"gz")
    (root / "empty.txt").write_bytes(b"")
    (root / "link").symlink_to(tmp_path / "outside.txt")
    (root / "inner-link.txt").symlink_to(root / "a.txt")
    os.mkfifo(root / "pipe")
    (tmp_path / "public-too").mkdir()
    (tmp_path / "public-too" / "b.txt").write_bytes(b"secret")
    return root


@pytest.fixture
def session(host, directory):
    class Service:
        name = "service"
        public = StaticFiles("/static", directory, index="index.html", max_age=60)

    return host(Service)


def test_file_is_sent_with_what_tells_its_version(session):
    response = session.get("/static/a.txt")

    assert response.status_code == 200
    assert response.content == TEXT
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert response.headers["Content-Length"] == "1000"
    assert response.headers["Accept-Ranges"] == "bytes"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "public, max-age=60"
    assert response.headers["ETag"].startswith('"')


@pytest.mark.parametrize(
    ("path", "body", "content_type"),
    [
        ("/static/sub/", b"<html>", "text/html; charset=utf-8"),
        ("/static/sub", b"<html>", "text/html; charset=utf-8"),
        ("/static/%C3%BC%20b.txt", b"umlaut", "text/plain; charset=utf-8"),
        ("/static/archive.tar.gz", b"gz", "application/gzip"),
        ("/static/inner-link.txt", TEXT, "text/plain; charset=utf-8"),
        ("/static/empty.txt", b"", "text/plain; charset=utf-8"),
    ],
)
def test_file_is_found(session, path, body, content_type):
    response = session.get(path)

    assert (response.status_code, response.content) == (200, body)
    assert response.headers["Content-Type"] == content_type


@pytest.mark.parametrize(
    "path",
    [
        "/static/missing.txt",
        "/static",
        "/static/",
        "/static/sub/deep",
        "/static/../outside.txt",
        "/static/sub/../../outside.txt",
        "/static/%2e%2e/outside.txt",
        "/static/..%2foutside.txt",
        "/static/%2e%2e%2foutside.txt",
        "/static/sub/..%2f..%2foutside.txt",
        "/static/..%5coutside.txt",
        "/static/..%00/outside.txt",
        "/static/a.txt%00",
        "/static/%00",
        "/static//etc/passwd",
        "/static/%2fetc/passwd",
        "/static/a.txt/",
        "/static/.hidden",
        "/static/%2ehidden",
        "/static/link",
        "/static/pipe",
        "/static/../public-too/b.txt",
        "/static-too/b.txt",
        "/static/%ff",
        pytest.param("/static/" + "a" * 5000, id="a long name"),
    ],
)
def test_nothing_else_is_found(session, path):
    response = session.get(path)

    assert response.status_code == 404
    assert b"secret" not in response.content


def test_other_methods_than_reading_are_refused(session):
    response = session.post("/static/a.txt")

    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert session.options("/static/a.txt").headers["Allow"] == "GET, HEAD, OPTIONS"


def test_head_of_a_file_has_its_length(session):
    response = session.head("/static/a.txt")

    assert (response.headers["Content-Length"], response.content) == ("1000", b"")


@pytest.mark.parametrize(
    ("wanted", "begin", "end"),
    [
        ("bytes=0-9", 0, 10),
        ("bytes=5-", 5, 1000),
        ("bytes=-3", 997, 1000),
        ("bytes=990-5000", 990, 1000),
        ("bytes=999-999", 999, 1000),
        ("bytes=-5000", 0, 1000),
    ],
)
def test_part_of_a_file_is_sent(session, wanted, begin, end):
    response = session.get("/static/a.txt", headers={"Range": wanted})

    assert response.status_code == 206
    assert response.content == TEXT[begin:end]
    assert response.headers["Content-Range"] == f"bytes {begin}-{end - 1}/1000"


@pytest.mark.parametrize(
    "wanted", ["bytes=1-2,4-5", "lines=1-2", "bytes=", "bytes=x-y", "bytes=5-2", "nonsense"]
)
def test_what_is_no_range_is_ignored(session, wanted):
    response = session.get("/static/a.txt", headers={"Range": wanted})

    assert (response.status_code, response.content) == (200, TEXT)


@pytest.mark.parametrize("wanted", ["bytes=1000-", "bytes=5000-6000"])
def test_part_that_a_file_does_not_have_is_refused(session, wanted):
    response = session.get("/static/a.txt", headers={"Range": wanted})

    assert response.status_code == 416
    assert response.headers["Content-Range"] == "bytes */1000"


def test_version_that_the_client_has_is_not_sent_again(session):
    first = session.get("/static/a.txt")
    tag, modified = first.headers["ETag"], first.headers["Last-Modified"]

    by_tag = session.get("/static/a.txt", headers={"If-None-Match": tag})
    by_time = session.get("/static/a.txt", headers={"If-Modified-Since": modified})
    other = session.get("/static/a.txt", headers={"If-None-Match": '"x"'})
    wrong = session.get("/static/a.txt", headers={"If-Match": '"x"'})

    assert (by_tag.status_code, by_tag.content) == (304, b"")
    assert by_tag.headers["ETag"] == tag
    assert by_time.status_code == 304
    assert other.status_code == 200
    assert wrong.status_code == 412


def test_part_of_an_older_version_is_not_sent(session):
    first = session.get("/static/a.txt")
    wanted = {"Range": "bytes=0-9"}

    same = session.get("/static/a.txt", headers={**wanted, "If-Range": first.headers["ETag"]})
    other = session.get("/static/a.txt", headers={**wanted, "If-Range": '"x"'})

    assert (same.status_code, other.status_code) == (206, 200)


def test_directory_that_does_not_exist_is_an_error_at_start(host, tmp_path):
    class Service:
        name = "service"
        public = StaticFiles("/static", tmp_path / "nowhere")

    with pytest.raises(ConfigurationError, match=r"service.public.*no directory .*nowhere"):
        host(Service)


def test_prefix_must_be_a_path():
    with pytest.raises(ConfigurationError, match="must begin with a slash"):
        StaticFiles("static", ".")


def test_method_may_return_a_file(host, directory):
    class Service:
        name = "service"

        @http("GET", "/report/<name>")
        def report(self, request, name):
            return File(directory / name, name="Übersicht.txt", content_type="text/csv")

    session = host(Service)

    whole = session.get("/report/a.txt")
    part = session.get("/report/a.txt", headers={"Range": "bytes=0-4"})
    missing = session.get("/report/nothing")

    assert whole.content == TEXT
    assert whole.headers["Content-Type"] == "text/csv"
    assert whole.headers["Content-Disposition"].startswith("attachment; filename")
    assert (part.status_code, part.content) == (206, b"01234")
    assert missing.status_code == 404


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_file_is_closed_after_each_answer(session):
    before = open_files()

    for headers in ({}, {"Range": "bytes=0-1"}, {"Range": "bytes=5000-"}, {"If-Match": '"x"'}):
        session.get("/static/a.txt", headers=headers)
        session.head("/static/a.txt", headers=headers)
    session.get("/static/pipe")

    assert open_files() == before
