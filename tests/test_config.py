"""The configuration."""

import logging
import re

import pytest
import yaml

from rpcnode import constants
from rpcnode.config import KEYS, Config, as_config, load, parse_yaml, use_as_default
from rpcnode.exceptions import CommandError, ConfigurationError

ENVIRON = {
    "SET": "v",
    "EMPTY": "",
    "NUM": "12",
    "LST": "[1, 2]",
    "DICT": "a: b",
    "REC": "${SET}",
    "X": "${X}",
    "PING": "${PONG}",
    "PONG": "${PING}",
    "GROW": "a${GROW}",
}


@pytest.fixture
def config_file(tmp_path):
    def write(text):
        path = tmp_path / "config.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def process_default():
    yield
    use_as_default(None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: ${UNSET}", None),
        ("a: ${UNSET:}", None),
        ("a: x${UNSET}y", "xy"),
        ("a: ${UNSET:d:e}", "d:e"),
        ("a: ${EMPTY:d}", None),
        ("a: ${NUM}", 12),
        ("a: x${NUM}", "x12"),
        ("a: ${SET}${NUM}", "v12"),
        ('a: "${SET}"', "${SET}"),
        ("a: '${SET}'", "${SET}"),
        ('a: !env_var "${SET}"', "v"),
        ('a: !env_var "${NUM}"', 12),
        ('a: !raw_env_var "${NUM}"', "12"),
        ('a: !raw_env_var "${UNSET}"', ""),
        ('a: !raw_env_var "${UNSET:1.50}"', "1.50"),
        ("a: !raw_env_var ${NUM}", "12"),
        ('a: ${UNSET:"01"}', "01"),
        ("a: ${LST}", [1, 2]),
        ("a: ${DICT}", {"a": "b"}),
        ("a: ${UNSET:{b: 1, c: [2]}}", {"b": 1, "c": [2]}),
        ("a: ${REC}", "v"),
        ("a: ${X}", "${X}"),
        ("a: ${UNSET:${SET}}", "v"),
        ("a: ${U:x-${U2:y-${NUM}}}", "x-y-12"),
        ("a: ${UNSET:{p}}", {"p": None}),
        ('a: ${U:"{name} {age}"}', "{name} {age}"),
        ("a: ${MY VAR}", "${MY VAR}"),
        ("a: [${NUM}]", [12]),
        (
            "a: [${NUM}, x${NUM} y, ${LST}, ${UNSET:a, b}]",
            [12, "x12 y", [1, 2], "a, b"],
        ),
        ("a: {k: ${NUM}, ${SET}: 1}", {"k": 12, "v": 1}),
        ("a: [{k: ${UNSET:[1, ${NUM}]}}]", [{"k": [1, 12]}]),
        ("a: ${UNSET:d: e}", {"d": "e"}),
        ("a: ${UNSET:one two}  # a comment", "one two"),
        ("a: one\n  ${NUM}\n  two", "one 12 two"),
        ("a: |\n  ${NUM}", "${NUM}"),
        ("a: 12", 12),
        ("a: [b, {c: d}]", ["b", {"c": "d"}]),
    ],
)
def test_environment_variables_in_yaml(text, value):
    assert parse_yaml(text, ENVIRON, "test") == {"a": value}


def test_environment_variables_in_keys():
    assert parse_yaml("${SET}: 1\n${UNSET:d}-x: 2", ENVIRON, "test") == {
        "v": 1,
        "d-x": 2,
    }


def test_yaml_loaders_of_others_stay_as_they_are():
    parse_yaml("a: ${NUM}", ENVIRON, "test")

    assert yaml.safe_load("a: ${NUM}") == {"a": "${NUM}"}
    with pytest.raises(yaml.constructor.ConstructorError):
        yaml.safe_load("!env_var a")


@pytest.mark.parametrize("name", ["PING", "GROW"])
def test_variables_that_lead_to_themselves_are_an_error(name):
    with pytest.raises(ConfigurationError, match="leads to itself"):
        parse_yaml(f"a: ${{{name}}}", ENVIRON, "test")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A: 1\nB: [", 2),
        ("A: 1\nB: b: c", 2),
        ("A: 1\nB: !python/object:os.system x", 2),
        ("A: 1\nB: *missing", 2),
        ("A: 1\n\nB: ${BROKEN}", 3),
        ("A: 1\nB: !env_var [x]", 2),
        ("A: 1\nB: \x00", None),
    ],
)
def test_yaml_error_names_file_and_line(config_file, text, line):
    path = config_file(text)
    where = str(path) if line is None else f"{path}, line {line}: "

    with pytest.raises(ConfigurationError, match=re.escape(where)):
        load(path, environ={"BROKEN": "[1"})


@pytest.mark.parametrize(
    "value", ["*secret", "!secret", "'secret", "[secret", "a: secret: b", "2026-13-45"]
)
def test_error_does_not_show_the_value_of_a_variable(value):
    with pytest.raises(ConfigurationError, match="raw_env_var") as caught:
        parse_yaml("password: ${PASSWORD}", {"PASSWORD": value}, "test")

    assert "secret" not in str(caught.value)
    assert caught.value.__cause__.__cause__ is None


@pytest.mark.parametrize("text", ["a: 2026-13-45", "a: 0b_", "a: " + "[" * 5000])
def test_value_that_yaml_cannot_make_is_an_error(text):
    with pytest.raises(ConfigurationError, match="test: it is"):
        parse_yaml(text, {}, "test")


def test_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\xff")

    with pytest.raises(ConfigurationError, match=r"cannot read .*missing\.yaml: No such file"):
        load(tmp_path / "missing.yaml")
    with pytest.raises(ConfigurationError, match=r"cannot read .*binary"):
        load(tmp_path / "binary")


def test_file_holds_a_mapping_or_nothing(config_file):
    assert load(config_file("# nothing\n"), environ={}) == Config()
    with pytest.raises(ConfigurationError, match="must hold a mapping"):
        load(config_file("- a\n"))


def test_defaults_are_part_of_it():
    config = Config()

    assert config["MAX_WORKERS"] == config.get("MAX_WORKERS", 3) == 10
    assert config["AMQP_URI"] == "amqp://guest:guest@localhost:5672//"
    assert set(config) == {key.name for key in KEYS}
    assert set(config.origins.values()) == {"default"}


def test_every_default_passes_its_own_check():
    config = Config({key.name: key.default for key in KEYS})

    assert config == Config()


def test_every_key_has_a_sentence():
    assert all(key.description.endswith(".") for key in KEYS)
    assert len({key.name for key in KEYS}) == len(KEYS)


def test_keys_are_found_in_any_case():
    config = Config({"max_workers": 3, "My_Own": 1})

    assert config["MAX_WORKERS"] == config["max_workers"] == config["Max_Workers"] == 3
    assert config["MY_OWN"] == config["my_own"] == 1
    assert "my_own" in config
    assert "my_own" not in list(config)
    assert config.get("missing") is None
    with pytest.raises(KeyError, match="missing"):
        config["missing"]
    with pytest.raises(KeyError):
        config[1]


def test_nameko_names_of_keys_are_known():
    names = {
        getattr(constants, name)
        for name in vars(constants)
        if name.endswith("_CONFIG_KEY") and name != "WEB_SERVER_CONFIG_KEY"  # no HTTP yet
    }

    assert names
    assert all(name in Config() for name in names)


def test_it_cannot_be_changed():
    config = Config()

    with pytest.raises(TypeError):
        config["MAX_WORKERS"] = 3
    with pytest.raises(TypeError):
        config.origins["MAX_WORKERS"] = "elsewhere"


def test_defaults_are_not_shared():
    Config()["TRANSPORT_OPTIONS"]["a"] = 1

    assert Config()["TRANSPORT_OPTIONS"] == {}


def test_key_in_two_spellings_is_an_error():
    with pytest.raises(ConfigurationError, match="MAX_WORKERS twice"):
        Config({"max_workers": 3, "MAX_WORKERS": 4})


def test_key_that_is_no_text_is_an_error():
    with pytest.raises(ConfigurationError, match="must be a text, not 1"):
        Config({1: 2})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("MAX_WORKERS", -1, "whole number of at least 1"),
        ("MAX_WORKERS", "10", "whole number"),
        ("MAX_WORKERS", 1.5, "whole number"),
        ("MAX_WORKERS", True, "whole number"),
        ("MAX_WORKERS", False, "whole number"),
        ("PREFETCH_COUNT", 0, "at least 1, or null"),
        ("PARENT_CALLS_TRACKED", -1, "at least 0"),
        ("PARENT_CALLS_TRACKED", False, "at least 0"),
        ("HEARTBEAT", -1, "at least 0, or null"),
        ("RPC_TIMEOUT", 0, "above 0, or null"),
        ("RPC_TIMEOUT", float("inf"), "above 0"),
        ("PUBLISH_TIMEOUT", None, "above 0"),
        ("SHUTDOWN_TIMEOUT", float("nan"), "at least 0"),
        ("AMQP_URI", "localhost", "a URI"),
        ("AMQP_URI", None, "a URI"),
        ("AMQP_SSL", "yes", "true, false or a mapping"),
        ("SERIALIZER", "", "a text"),
        ("SERIALIZERS", {"a": 1}, "mapping of names"),
        ("ACCEPT", "json", "a list"),
        ("ACCEPT", [], "a list"),
        ("ACCEPT", [1], "a list"),
        ("TRANSPORT_OPTIONS", [], "a mapping"),
        ("LOGGING", "INFO", "a mapping, or null"),
        ("DECLARE_EVENT_EXCHANGES", "no", "true or false"),
        ("SERVICE_CONTAINER_CLS", 3, "a text, or null"),
    ],
)
def test_wrong_value_is_an_error_that_says_what_is_expected(name, value, expected):
    with pytest.raises(ConfigurationError, match=expected) as caught:
        Config({name.lower(): value})

    assert str(caught.value).startswith(f"{name} must be ")
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_WORKERS", 0),
        ("MAX_WORKERS", None),
        ("TRANSPORT_OPTIONS", None),
        ("SERIALIZERS", None),
    ],
)
def test_values_that_mean_the_default(name, value):
    assert Config({name: value})[name] == Config()[name]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEARTBEAT", None),
        ("HEARTBEAT", 0),
        ("RPC_TIMEOUT", None),
        ("CLOCK_SKEW", None),
        ("PREFETCH_COUNT", None),
        ("PARENT_CALLS_TRACKED", 0),
        ("SHUTDOWN_TIMEOUT", 0),
        ("DECLARE_EVENT_EXCHANGES", False),
        ("AMQP_SSL", {"ca_certs": "file"}),
        ("AMQP_URI", "memory://"),
        ("AMQP_URI", "amqp://a//;amqp://b//"),
    ],
)
def test_values_that_are_taken_as_they_are(name, value):
    assert Config({name: value})[name] == value


def test_passwords_are_in_no_repr_and_no_error():
    config = Config({"AMQP_URI": "amqp://u:secret@h", "DB_PASSWORD": "secret", "NAME": "x"})

    assert "secret" not in repr(config)
    assert "'NAME': 'x'" in repr(config)
    with pytest.raises(ConfigurationError) as caught:
        Config({"AMQP_URI": "u:secret@h://"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "uri",
    [
        "user:s3cr3t@host:5672",
        "amqp//u:s3cr3t@h",
        "u:s3cr3t",
        "u:s3cr3t@h://",
        ["amqp://u:s3cr3t@h", "u:s3cr3t@h"],
    ],
)
def test_password_of_what_is_no_uri_is_in_no_error(uri):
    with pytest.raises(ConfigurationError, match="AMQP_URI must be a URI .*--broker") as by_option:
        load(broker=uri, environ={})
    with pytest.raises(ConfigurationError, match="environment AMQP_URI") as by_environment:
        load(environ={"AMQP_URI": uri})

    assert "s3cr3t" not in f"{by_option.value} {by_environment.value}"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("config.yaml", "not 'config.yaml'"),
        (Config, "not the class rpcnode.config.Config"),
        (["amqp://u:s3cr3t@h"], "not a list object"),
        ("", "not ''"),
    ],
)
def test_configuration_that_is_no_mapping_is_an_error_that_says_what_it_is(given, words):
    with pytest.raises(ConfigurationError, match="must be a mapping of keys") as caught:
        as_config(given)

    assert str(caught.value).endswith(words)


def test_mapping_becomes_a_config_and_a_config_stays_itself():
    config = as_config({"max_workers": 3})

    assert as_config(config) is config
    assert config.origins["MAX_WORKERS"] == "given"
    assert config.origins["AMQP_URI"] == "default"


def test_process_default_is_for_those_who_are_given_none(process_default):
    use_as_default({"max_workers": 3})

    assert as_config(None)["MAX_WORKERS"] == 3
    assert as_config({})["MAX_WORKERS"] == 10
    use_as_default(None)
    assert as_config(None)["MAX_WORKERS"] == 10


def test_each_layer_beats_those_below_it(config_file):
    path = config_file("amqp_uri: memory://file\nMAX_WORKERS: 3\nrpc_exchange: file\n")
    environ = {"AMQP_URI": "memory://environment"}

    from_file = load(path, environ={})
    from_environment = load(path, environ=environ)
    from_broker = load(path, broker="memory://broker", environ=environ)
    from_define = load(
        path,
        broker="memory://broker",
        defines=["amqp_uri=memory://define", "max_workers=4"],
        environ=environ,
    )

    assert from_file["AMQP_URI"] == "memory://file"
    assert from_environment["AMQP_URI"] == "memory://environment"
    assert from_broker["AMQP_URI"] == "memory://broker"
    assert from_define["AMQP_URI"] == "memory://define"
    assert from_define["MAX_WORKERS"] == 4
    assert from_define["RPC_EXCHANGE"] == "file"


def test_origins_tell_where_values_come_from(config_file):
    path = config_file("amqp_uri: memory://file\nrpc_exchange: file\n")

    config = load(path, defines=["MAX_WORKERS=4"], environ={"AMQP_URI": "memory://"})
    other = load(path, broker="memory://", environ={})

    assert config.origins["AMQP_URI"] == "environment AMQP_URI"
    assert config.origins["RPC_EXCHANGE"] == f"--config {path}"
    assert config.origins["MAX_WORKERS"] == "--define"
    assert config.origins["HEARTBEAT"] == "default"
    assert other.origins["AMQP_URI"] == "--broker"


def test_environment_of_the_process_is_read(monkeypatch):
    monkeypatch.setenv("AMQP_URI", "memory://environment")

    assert load()["AMQP_URI"] == "memory://environment"


def test_empty_variable_counts_as_not_set():
    assert load(environ={"AMQP_URI": ""}).origins["AMQP_URI"] == "default"


@pytest.mark.parametrize(
    ("define", "value"),
    [
        ("KEY=12", 12),
        ("KEY=a=b", "a=b"),
        ("key = [1, a]", [1, "a"]),
        ("KEY={a: 1}", {"a": 1}),
        ("KEY=amqp://u:p@h:1//", "amqp://u:p@h:1//"),
        ("KEY=", None),
        ("KEY", True),
        ("KEY=${VALUE}", "from the environment"),
    ],
)
def test_defined_values_are_yaml(define, value):
    assert load(defines=[define], environ={"VALUE": "from the environment"})["KEY"] == value


def test_last_definition_wins():
    assert load(defines=["key=1", "KEY=2"], environ={})["KEY"] == 2


def test_wrong_definition_is_an_error():
    with pytest.raises(CommandError, match="expected KEY=VALUE"):
        load(defines=["=3"])
    with pytest.raises(ConfigurationError, match="--define A, line 1"):
        load(defines=["A=["])
    with pytest.raises(ConfigurationError, match=r"MAX_WORKERS .*not 'x' \(--define\)"):
        load(defines=["MAX_WORKERS=x"])


def test_unknown_keys_are_told_once_with_the_nearest_known_one(caplog):
    with caplog.at_level(logging.WARNING):
        config = load(defines=["MAX_WORKER=3", "DB_URIS=x"], environ={})
        as_config(config)

    warning = (
        "rpcnode does not know these configuration keys: "
        "MAX_WORKER (did you mean MAX_WORKERS?), DB_URIS"
    )
    assert [record.getMessage() for record in caplog.records] == [warning]


def test_copy_can_be_changed_and_finds_keys_in_any_case():
    config = Config({"rpc_exchange": "calls", "my_key": 1})

    copy = config.copy()
    copy["my_key"] = 2
    copy["max_workers"] = 3
    del copy["serializer"]

    assert (copy["RPC_EXCHANGE"], copy.get("rpc_exchange")) == ("calls", "calls")
    assert "SERIALIZER" not in copy
    assert (1 in copy, copy.get("nothing")) == (False, None)
    assert config["my_key"] == 1
    assert Config(copy)["MAX_WORKERS"] == 3
    with pytest.raises(KeyError, match="NOTHING"):
        copy["nothing"]


def test_copy_hides_passwords():
    copy = Config({"AMQP_URI": "amqp://guest:hidden@host"}).copy()

    assert "hidden" not in repr(copy)
    assert "hidden" not in str(copy)
