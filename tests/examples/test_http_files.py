"""Files in and out."""

import io

import pytest

from examples.http_files import Files


@pytest.fixture
def session(container_factory, web_config, web_session, tmp_path):
    container_factory(Files, {**web_config, "UPLOADS": str(tmp_path / "uploads")}).start()
    return web_session


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_file_that_was_uploaded_is_downloaded(session, size):
    content = b"x" * size

    uploaded = session.post("/upload", files={"file": (io.BytesIO(content), "../a b.txt")})
    downloaded = session.get(uploaded.headers["Location"])

    assert uploaded.status_code == 201
    assert uploaded.headers["Location"] == "/files/a_b.txt"
    assert downloaded.content == content
    assert downloaded.headers["Content-Disposition"] == "attachment; filename=a_b.txt"


def test_file_that_was_put_is_downloaded_in_part(session):
    session.put("/files/b.txt", data=b"0123456789")

    part = session.get("/files/b.txt", headers={"Range": "bytes=2-4"})

    assert (part.status_code, part.content) == (206, b"234")


def test_files_of_the_directory_are_there(session):
    assert b"StaticFiles" in session.get("/static/http_files.py").content
