"""`rpcnode show-config`."""

import yaml


def shown(result):
    assert result.returncode == 0, result.stderr
    return yaml.safe_load(result.stdout)


def origin(result, name):
    line = next(each for each in result.stdout.splitlines() if each.startswith(f"{name}: "))
    return line.rpartition("  # ")[2]


def test_defaults_are_shown_without_the_password(rpcnode):
    result = rpcnode("show-config")

    assert shown(result)["AMQP_URI"] == "amqp://guest:********@localhost:5672//"
    assert shown(result)["MAX_WORKERS"] == 10
    assert origin(result, "AMQP_URI") == "default"


def test_origin_of_each_value_is_shown(rpcnode, tmp_path, environ):
    (tmp_path / "my.yaml").write_text("max_workers: ${WORKERS:3}\nrpc_exchange: a\nrpc_timeout: 1")
    environ["AMQP_URI"] = "memory://"

    result = rpcnode("show-config", "--config", "my.yaml", "-d", "rpc_exchange=b", "-d", "OWN")

    assert shown(result)["MAX_WORKERS"] == 3
    assert origin(result, "MAX_WORKERS") == "--config my.yaml"
    assert shown(result)["RPC_EXCHANGE"] == "b"
    assert origin(result, "RPC_EXCHANGE") == "--define"
    assert origin(result, "AMQP_URI") == "environment AMQP_URI"
    assert shown(result)["OWN"] is True


def test_secrets_are_hidden_at_any_depth(rpcnode, tmp_path):
    (tmp_path / "my.yaml").write_text(
        "DB_PASSWORD: hidden\n"
        "nested: {list: [{Api-Key: hidden, day: 2020-01-02}], url: 'http://me:hidden@host'}\n"
    )

    result = rpcnode(
        "show-config", "-c", "my.yaml", "--broker", "amqp://a:hidden@b;amqp://c:hidden@d"
    )

    assert "hidden" not in result.stdout + result.stderr
    assert shown(result)["NESTED"]["list"][0]["day"] == "2020-01-02"
    assert origin(result, "AMQP_URI") == "--broker"


def test_wrong_configuration_is_an_error(rpcnode, tmp_path):
    (tmp_path / "my.yaml").write_text("max_workers: many")

    wrong_value = rpcnode("show-config", "-c", "my.yaml")
    no_file = rpcnode("show-config", "-c", "missing.yaml")

    assert (wrong_value.returncode, no_file.returncode) == (2, 2)
    assert "MAX_WORKERS must be a whole number" in wrong_value.stderr
    assert "--config my.yaml" in wrong_value.stderr
    assert "cannot read missing.yaml" in no_file.stderr


def test_unknown_key_is_warned_of(rpcnode):
    result = rpcnode("show-config", "-d", "MAX_WORKER=3")

    assert "did you mean MAX_WORKERS?" in result.stderr
    assert shown(result)["MAX_WORKER"] == 3
