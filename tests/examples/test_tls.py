"""The file of the documentation for encrypted connections."""

from pathlib import Path

from rpcnode.amqp.settings import settings_from
from rpcnode.amqp.tls import make_context
from rpcnode.config import load
from tests.certificates import Authority

FILE = Path(__file__).parent.parent.parent / "examples" / "tls.yaml"


def test_the_file_asks_for_an_encrypted_connection():
    settings = settings_from(load(FILE, environ={"RABBIT_PASSWORD": "secret"}))

    assert settings.is_encrypted
    assert settings.safe_uri == "amqps://orders:********@mq1.example.com:5671/shop"


def test_its_options_work_once_the_files_are_there(tmp_path):
    own = Authority(tmp_path, "authority")
    own.issue("orders")
    options = load(FILE, environ={})["AMQP_SSL"]
    here = {name: str(tmp_path / Path(path).name) for name, path in options.items()}

    context = make_context(here)

    assert context.cert_store_stats()["x509_ca"] == 1
    assert set(here) == {"ca_certs", "certfile", "keyfile"}
