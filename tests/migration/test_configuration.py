"""Configuration files: what is renamed in them, and what has another meaning."""

import pytest

CONFIGURATION = """\
# nameko.containers.ServiceContainer is what we derive from
AMQP_URI: ${AMQP_URI:pyamqp://guest:guest@localhost}
rpc_exchange: nameko-rpc  # nameko.rpc.Rpc
max_workers: ${WORKERS:10}
SERVICE_CONTAINER_CLS: "nameko.containers.ServiceContainer"
my_nameko: nameko.example.com
SERIALIZERS:
  mine: {encoder: my_nameko.dumps, decoder: 'nameko.utils.import_from_path'}
LOGGING:
  version: 1
  loggers:
    nameko: {level: INFO}
    "nameko.rpc":
      level: DEBUG
"""


def test_classes_and_the_logger_are_renamed_and_nothing_else(moved):
    after = CONFIGURATION.replace('"nameko.containers', '"rpcnode.containers')
    after = after.replace("'nameko.utils", "'rpcnode.utils").replace("    nameko:", "    rpcnode:")

    assert moved(CONFIGURATION, "config.yaml") == after


def test_loggers_below_and_paths_that_are_not_there_are_told(code):
    code.put("config.yaml", CONFIGURATION)

    places = code.look().places

    assert [(each.finding.rule, each.finding.line) for each in places] == [
        ("not-there", 6),
        ("logger-name", 13),
    ]


def test_line_ends_are_kept(moved):
    text = "AMQP_URI: a\r\nSERVICE_CONTAINER_CLS: nameko.containers.ServiceContainer\r\n"

    assert moved(text, "config.yml") == text.replace("nameko", "rpcnode")


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("transport-options", "TRANSPORT_OPTIONS: {max_retries: 3}"),
        ("tls-host", "AMQP_SSL: {ca_certs: ca.pem}"),
        ("tls-host", "AMQP_SSL: true"),
        ("pickle", "rpc_exchange: a\nserializer: pickle"),
        ("pickle", "max_workers: 3\nACCEPT: [json, pickle]"),
    ],
)
def test_key_with_another_meaning_is_told(rules, rule, text):
    assert rules(text, "config.yaml") == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "TRANSPORT_OPTIONS: {client_properties: {}}",
        "AMQP_SSL: {check_hostname: false}",
        "AMQP_SSL: {server_hostname: broker}",
        "AMQP_SSL: ${SSL:}",
        "rpc_exchange: a\nserializer: json",
        "other: true\nserializer: pickle",
    ],
)
def test_key_without_another_meaning_is_not(rules, text):
    assert rules(text, "config.yaml") == []


def test_yaml_that_is_no_configuration_need_not_parse_and_its_words_are_noted(code):
    code.put("chart.yaml", "{{ if x }}\nmetrics: nameko.rpc\n{{ end }}\n# nameko\n")

    result = code.look()

    assert (result.moves, result.skipped) == ([], [])
    assert [(each.finding.rule, each.finding.line) for each in result.places] == [("text", 2)]


def test_configuration_that_does_not_parse_is_skipped_with_its_line(code):
    code.put("config.yaml", "AMQP_URI: a\nmax_workers: [1\nother: 2\n")

    reason, counts = code.skipped()["config.yaml"]

    assert reason.startswith("it does not parse as YAML, line 3")
    assert counts
