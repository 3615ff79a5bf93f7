"""The configuration is read from one table and refused with every fault at once."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from adapter import settings as package
from adapter.errors import ConfigurationError
from adapter.settings import VARIABLES, describe, env_example, load, load_console
from adapter.settings.values import provided
from adapter.settings.variables import GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[3]
#: Of a gateway that needs no variables of its own.
ACTIONS = {"zhkh-debt-requests": "smev3", "epgu.order.submit": "another", "epgu.order.cancel": "another"}


@pytest.fixture
def environment(pki: dict[str, str]) -> dict[str, str]:
    """The smallest environment that serves zhkh-debt-requests."""
    return {
        "MQ_HOST": "mq.example.org",
        "CA_CERT": pki["ca"],
        "CLIENT_CERT": pki["certificate"],
        "CLIENT_KEY": pki["key"],
        "SMEV_SERVICE": "smev3-test-1.2",
        "SMEV_TRUST": pki["ca"],
        "SIGN_SERVICE": "http://127.0.0.1:8081",
        "SIGN_TOKEN_OV": "token-of-the-system",
        "DATABASE_HOST": "db.example.org",
        "DATABASE_NAME": "adapter",
        "DATABASE_USER": "adapter",
        "DATABASE_PASS": "pass-of-the-database",
    }


def faults(environment: Mapping[str, str], known: Mapping[str, str] = ACTIONS) -> dict[str, str]:
    with pytest.raises(ConfigurationError) as caught:
        load(environment, known)
    return caught.value.faults


def test_the_smallest_environment_gets_the_documented_defaults(environment: dict[str, str]) -> None:
    settings = load(environment, ACTIONS)
    assert (settings.broker.port, settings.broker.vhost, settings.broker.prefetch) == (5671, "/", 256)
    assert (settings.broker.max_body, settings.pipeline.memory_limit) == (1_000_000, 512_000_000)
    assert settings.broker.external
    assert settings.services.actions == ("zhkh-debt-requests",)
    assert settings.services.options == {
        "ZHKH_CHECK_NSI95": True,
        "ZHKH_CHECK_SNILS": True,
        "EPGU_ORDER_TYPES": None,
        "EPGU_EVENT_NAMESPACE": "http://epgu.gosuslugi.ru/lk/order/event/3.1.1",
        "EPGU_EVENT_ENV": "DEV",
        "EPGU_UNASKED_MESSAGES": "warn",
    }
    assert settings.elastic is None
    assert settings.smev is not None
    assert settings.smev.endpoint == "http://smev3-n0.test.gosuslugi.ru:7500/smev/v1.2/ws"
    assert len(settings.smev.trust) == 1
    assert settings.signing is not None
    assert settings.signing.tokens == {"ov": "token-of-the-system"}
    assert not settings.signing.personal
    assert settings.warnings == ()


def test_an_empty_environment_names_everything_that_is_required_at_once() -> None:
    assert set(faults({})) == {
        "MQ_HOST", "CA_CERT", "CLIENT_CERT", "CLIENT_KEY", "SMEV_SERVICE", "SMEV_TRUST", "SIGN_SERVICE",
        "SIGN_TOKEN_OV", "DATABASE_HOST", "DATABASE_NAME", "DATABASE_USER",
    }  # fmt: skip


def test_an_empty_value_counts_as_absent(environment: dict[str, str]) -> None:
    settings = load(environment | {"ELASTIC_HOST": "", "MQ_PORT": " ", "MQ_USER": ""}, ACTIONS)
    assert (settings.elastic, settings.broker.port, settings.broker.user) == (None, 5671, None)


def test_the_nodes_of_a_cluster_are_read_in_their_order_with_their_own_ports_or_mq_port(
    environment: dict[str, str],
) -> None:
    given = {"MQ_HOST": "mq1.example.org, mq2.example.org:5673,[::1]:5674,fe80::1,mq1.example.org", "MQ_PORT": "5672"}
    assert load(environment | given, ACTIONS).broker.nodes == (
        ("mq1.example.org", 5672),
        ("mq2.example.org", 5673),
        ("::1", 5674),
        ("fe80::1", 5672),
    )


WRONG = {
    "MQ_HOST": [
        "amqps://mq.example.org", "mq host", "user@mq", ",", "mq:0", "mq:65536", "mq:", "[::1", "mq1,user@mq2", "mq:a",
    ],
    "MQ_PORT": ["0", "65536", "x", "-1", "56_71", "٥", "tcp://10.0.0.1:5671"],
    "MQ_TLS": ["maybe", "2"],
    "MQ_MAX_BODY": ["0", "1XB", "-1MB", "1.5MB"],
    "MQ_PREFETCH": ["0", "1e3"],
    "MQ_PREFIX": ["a b", "x" * 61],
    "SMEV_SERVICE": ["smev3-test", "http://", "ftp://host/", "http://u:p@host/ws", "http://host/ws?wsdl", "http://h:99999/",
                     "http://host/smev/v1.4/ws"],
    "SMEV_VERSION": ["1.4", "2", "v1.2"],
    "SMEV_NODE_ID": ["x" * 51, "a b"],
    "SMEV_SELECTOR": ["urn:zoo", "{urn:zoo}", "{}Zoo", "{urn:zoo}1", "{urn zoo}Zoo"],
    "SMEV_PROVIDES": ["urn:zoo", "#Zoo", "urn:zoo#", "*,urn:zoo#Zoo", "urn:zoo#1"],
    "SMEV_EOL": ["59", "31 days", "never"],
    "SMEV_BUSINESS_PROCESS": ["<frgu>1</frgu>", "1", '<q:f xmlns:q="urn:q">'],
    "SMEV_TIMEOUT": ["0", "ever", "1h1m", "nan"],
    "SIGN_SERVICE": ["sign:8080", "http://a b/"],
    "SIGN_TOKEN_OV": ["file:/no/such/file", "two\nlines"],
    "DATABASE_SSLMODE": ["tls"],
    "FILES_ROOT": ["files", "/", "/.", "/no/such/folder"],
    "HEALTH_PORT": ["-1", "65536"],
    "LOG_LEVEL": ["LOUD"],
    "LOG_FORMAT": ["xml"],
    "ZHKH_CHECK_SNILS": ["sometimes"],
    "CA_CERT": ["/no/such/file", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "MIIB"],
    "SERVICES": [",", "nothing.*", "zhkh-debt-request"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_wrong_value_is_refused_under_its_name_alone(environment: dict[str, str], name: str, value: str) -> None:
    assert set(faults(environment | {name: value})) == {name}


def test_all_faults_come_at_once_in_the_order_of_the_table(environment: dict[str, str]) -> None:
    wrong = {name: values[0] for name, values in WRONG.items()}
    found = list(faults(environment | wrong))
    assert set(found) == set(wrong)
    assert found == [variable.name for variable in VARIABLES if variable.name in wrong]


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "On"])
def test_booleans_are_read_in_every_usual_spelling(environment: dict[str, str], text: str) -> None:
    assert load(environment | {"MQ_REQUIRE_MESSAGE_ID": text}, ACTIONS).broker.require_message_id


@pytest.mark.parametrize(
    ("text", "count"), [("2000", 2000), ("512kB", 512_000), ("1MB", 1_000_000), ("1 MiB", 1_048_576), ("64KiB", 65_536)]
)
def test_sizes_are_read_in_decimal_and_binary_units(environment: dict[str, str], text: str, count: int) -> None:
    assert load(environment | {"MQ_MAX_BODY": text}, ACTIONS).broker.max_body == count


def test_memory_that_commands_in_flight_may_take_is_refused_with_the_way_out(environment: dict[str, str]) -> None:
    wide = environment | {"SERVICES": "*", "MQ_PREFETCH": "200"}
    sentence = faults(wide)["MEMORY_LIMIT"]
    assert "200 x MQ_MAX_BODY 1MB x 3 action(s) may take 600MB" in sentence
    fitting = re.search(r"lower MQ_PREFETCH to (\d+)", sentence)
    assert fitting is not None
    assert load(wide | {"MQ_PREFETCH": fitting[1]}, ACTIONS).broker.prefetch == 170
    assert load(wide | {"MEMORY_LIMIT": "600MB"}, ACTIONS).services.actions == tuple(ACTIONS)


def test_the_prefetch_is_what_memory_allows_unless_it_is_set(environment: dict[str, str]) -> None:
    assert load(environment | {"SERVICES": "zhkh-debt-requests"}, ACTIONS).broker.prefetch == 256
    crowded = load(environment | {"SERVICES": "*"}, ACTIONS)
    assert crowded.broker.prefetch == 85
    assert load(environment | {"SERVICES": "*", "MQ_MAX_BODY": "64kB"}, ACTIONS).broker.prefetch == 1000
    assert crowded.effective["MQ_PREFETCH"] == "85 (default)"
    narrow = {"SERVICES": "*", "MEMORY_LIMIT": "16MB", "MQ_MAX_BODY": "5MB"}
    assert load(environment | narrow, ACTIONS).broker.prefetch == 1
    assert "lower MQ_MAX_BODY" in faults(environment | narrow | {"MQ_MAX_BODY": "6MB"})["MEMORY_LIMIT"]


def test_services_takes_globs_and_only_what_they_need_is_required(environment: dict[str, str]) -> None:
    others = {name: value for name, value in environment.items() if not name.startswith(("SMEV_", "SIGN_"))}
    settings = load(others | {"SERVICES": "epgu.*", "SMEV_TRUST": "/lies/elsewhere"}, ACTIONS)
    assert settings.services.actions == ("epgu.order.submit", "epgu.order.cancel")
    assert settings.smev is None
    assert settings.signing is None
    assert settings.effective["SMEV_SERVICE"] == "(not needed)"


def test_an_unknown_action_is_refused_with_the_nearest_known_one(environment: dict[str, str]) -> None:
    sentence = faults(environment | {"SERVICES": "zhkh-debt-request,epgu.*"})["SERVICES"]
    assert "did you mean zhkh-debt-requests?" in sentence
    assert "epgu.order.submit" in sentence


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ({"SMEV_SERVICE": "http://smev.example.org/smev/v1.1/ws"}, "1.1"),
        ({"SMEV_SERVICE": "http://smev.example.org/smev/v1.3/ws", "SMEV_VERSION": "1.3"}, "1.3"),
        ({"SMEV_SERVICE": "http://smev.example.org/ws", "SMEV_VERSION": "1.3"}, "1.3"),
        ({"SMEV_SERVICE": "http://smev.example.org/ws"}, "1.2"),
        ({"SMEV_SERVICE": "http://v1.1.example.org/ws"}, "1.2"),
    ],
)
def test_the_schema_version_is_given_or_the_endpoints(
    environment: dict[str, str], given: dict[str, str], version: str
) -> None:
    smev = load(environment | given, ACTIONS).smev
    assert smev is not None
    assert smev.version == version


def test_what_every_request_carries_is_read(environment: dict[str, str]) -> None:
    given = {
        "SMEV_SELECTOR": "{urn:zoo/1.0.0}Zoo",
        "SMEV_EOL": "2h",
        "SMEV_BUSINESS_PROCESS": '<q:frgu xmlns:q="urn:q">1</q:frgu>',
    }
    smev = load(environment | given, ACTIONS).smev
    assert smev is not None
    assert (smev.selects, smev.life) == (("urn:zoo/1.0.0", "Zoo"), 7200)
    assert smev.business_process == given["SMEV_BUSINESS_PROCESS"]


def test_a_schema_version_that_the_endpoint_contradicts_is_refused(environment: dict[str, str]) -> None:
    endpoint = "http://smev.example.org/smev/v1.1/ws"
    assert set(faults(environment | {"SMEV_SERVICE": endpoint, "SMEV_VERSION": "1.2"})) == {"SMEV_VERSION"}


def test_the_node_id_is_stable_per_database_and_differs_between_databases(environment: dict[str, str]) -> None:
    def node(changes: dict[str, str]) -> str:
        smev = load(environment | changes, ACTIONS).smev
        assert smev is not None
        return smev.node_id

    assert node({}) == node({"MQ_HOST": "other", "LOG_LEVEL": "DEBUG"})
    assert (
        len({node({}), node({"DATABASE_NAME": "b"}), node({"DATABASE_PORT": "5433"}), node({"DATABASE_HOST": "c"})})
        == 4
    )
    assert node({"SMEV_NODE_ID": "kaluga-1"}) == "kaluga-1"
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,50}", node({}))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"MQ_USER": "u"}, {"MQ_PASSWORD"}),
        ({"MQ_PASSWORD": "p"}, {"MQ_USER"}),
        ({"CLIENT_KEY": ""}, {"CLIENT_KEY"}),
        ({"MQ_TLS": "off"}, {"MQ_USER"}),
        ({"SIGN_TOKEN_OV": ""}, {"SIGN_TOKEN_OV"}),
        ({"USE_PERSONAL_SIGNATURE": "true"}, {"SIGN_TOKEN_SP"}),
        ({"USE_PERSONAL_SIGNATURE": "true", "SIGN_TOKEN_SP": "token-of-the-system"}, {"SIGN_TOKEN_SP"}),
        ({"USE_PERSONAL_SIGNATURE": "true", "SIGN_TOKEN_SP": "s", "SIGN_KEY_SP": "ov"}, {"SIGN_KEY_SP"}),
        ({"SMEV_POLL_MIN": "40"}, {"SMEV_POLL_MAX"}),
        ({"ELASTIC_HOST": "es", "ELASTIC_USER": "u"}, {"ELASTIC_PASS"}),
    ],
)
def test_variables_that_contradict_each_other_are_refused(
    environment: dict[str, str], changes: dict[str, str], named: set[str]
) -> None:
    assert set(faults(environment | changes)) == named


def test_authorities_without_tls_are_refused(environment: dict[str, str], pki: dict[str, str]) -> None:
    changes = {"DATABASE_CA": pki["ca"], "ELASTIC_HOST": "es", "ELASTIC_CA": pki["ca"], "SIGN_CA_CERT": pki["ca"]}
    assert set(faults(environment | changes)) == {"DATABASE_SSLMODE", "ELASTIC_SCHEME", "SIGN_SERVICE"}


def test_a_plain_broker_needs_no_certificates_and_is_said_loudly(environment: dict[str, str]) -> None:
    plain = {name: value for name, value in environment.items() if not name.startswith(("CA_", "CLIENT_"))}
    settings = load(plain | {"MQ_TLS": "off", "MQ_USER": "u", "MQ_PASSWORD": "p"}, ACTIONS)
    assert settings.broker.ssl_context() is None
    assert not settings.broker.external
    assert any("MQ_TLS is off" in warning for warning in settings.warnings)


def test_clear_text_ways_and_the_production_contour_are_said(environment: dict[str, str]) -> None:
    changes = {"SIGN_SERVICE": "http://sign.example.org", "SMEV_SERVICE": "smev3-prod-1.2", "ELASTIC_HOST": "es"}
    changes |= {"ELASTIC_USER": "u", "ELASTIC_PASS": "p"}
    named = [warning.split()[0] for warning in load(environment | changes, ACTIONS).warnings]
    assert named == ["SIGN_SERVICE", "ELASTIC_SCHEME", "SMEV_SERVICE"]


def test_a_slip_in_a_name_is_a_warning_with_the_likely_name(environment: dict[str, str]) -> None:
    changes = {"DATABASE_PASSWD": "x", "ZHKH_CHECK_SNILLS": "false", "MQ_SOMETHING_ELSE": "1", "PATH": "/bin"}
    warnings = load(environment | changes, ACTIONS).warnings
    assert [warning.split()[0] for warning in warnings] == ["DATABASE_PASSWD", "ZHKH_CHECK_SNILLS"]
    assert "did you mean DATABASE_PASS?" in warnings[0]


def test_secrets_come_from_files_too(environment: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("from the file\n")
    settings = load(environment | {"SIGN_TOKEN_OV": f"file:{file}"}, ACTIONS)
    assert settings.signing is not None
    assert settings.signing.token_ov == "from the file"
    assert "from the file" in settings.secrets


CANARY = "canary-3f1b7c"


@pytest.mark.parametrize("variable", [v for v in VARIABLES if v.name != "SERVICES"], ids=lambda v: v.name)
def test_a_refusal_never_repeats_what_was_given(environment: dict[str, str], variable: package.Variable) -> None:
    environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}
    bad = environment | {"ELASTIC_HOST": "es", variable.name: f"{CANARY} \x00 {CANARY}", "MQ_PORT": "x"}
    more = {"postamat.issue": "postamat", "shep.sync.send": "shep", "epgu.order.get": "epgu"}
    reader = load_console if variable.group == "console" else load
    with pytest.raises(ConfigurationError) as caught:
        reader(bad | {"SERVICES": "zhkh-debt-requests,postamat.issue,shep.sync.send,epgu.order.get"}, ACTIONS | more)
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)
    assert variable.name in caught.value.faults


def test_the_description_and_the_repr_hide_every_secret(environment: dict[str, str], pki: dict[str, str]) -> None:
    pem = Path(pki["key"]).read_text()
    hidden = {v.name: f"{CANARY}-{v.name}" for v in VARIABLES if v.secret and not v.name.endswith("_KEY")}
    hidden |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318",
        "ELASTIC_HASH_KEY": CANARY,
        "MQ_USER": "u",
        "ELASTIC_HOST": "es",
        "ELASTIC_USER": "u",
    }
    settings = load(environment | hidden | {"CLIENT_KEY": pem}, ACTIONS)
    for text in (describe(settings), repr(settings), str(settings.signing), str(settings.broker)):
        assert CANARY not in text
        assert "PRIVATE KEY" not in text
        assert pem.splitlines()[1] not in text
    assert "DATABASE_PASS=***" in describe(settings)
    assert "MQ_PORT=5671 (default)" in describe(settings)
    assert f"CA_CERT={pki['ca']}" in describe(settings)


def test_the_database_arguments_follow_the_sslmode(environment: dict[str, str], pki: dict[str, str]) -> None:
    def ssl_of(changes: dict[str, str]) -> Any:
        return load(environment | changes, ACTIONS).database.connect_arguments()["ssl"]

    assert ssl_of({}) == "prefer"
    assert ssl_of({"DATABASE_HOST": "/run/postgresql"}) is None
    assert not ssl_of({"DATABASE_SSLMODE": "verify-ca", "DATABASE_CA": pki["ca"]}).check_hostname
    assert ssl_of({"DATABASE_SSLMODE": "verify-full"}).check_hostname


def test_every_row_of_the_table_is_a_field_of_its_group_and_the_other_way_round() -> None:
    for group in GROUPS.keys() - {"services", "options"}:
        columns = {variable.field for variable in VARIABLES if variable.group == group}
        assert columns == {field.name for field in fields(getattr(package, group.capitalize()))}, group
    assert len({variable.name for variable in VARIABLES}) == len(VARIABLES)


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda v: v.name)
def test_every_variable_has_a_sentence_and_a_default_that_its_own_reader_takes(variable: package.Variable) -> None:
    assert variable.sentence[0].isupper()
    assert not variable.sentence.endswith(".")
    if variable.default is not None:
        variable.read(variable.default)
    assert not (variable.secret and variable.default)


def test_the_env_example_is_the_table() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert text == env_example(), "render it anew: adapter.settings.env_example()"
    lines = text.splitlines()
    named = [
        (match[1], lines[i - 1]) for i, line in enumerate(lines) if (match := re.match(r"#?([A-Z][A-Z0-9_]+)=", line))
    ]
    assert [name for name, _ in named] == [variable.name for variable in VARIABLES]
    assert all(sentence.startswith("# ") for _, sentence in named)


def test_files_are_off_until_their_folder_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    assert load(environment, ACTIONS).files is None
    (tmp_path / "link").symlink_to(tmp_path)
    given = {
        "FILES_ROOT": str(tmp_path),
        "FILES_IN_PATHS": f"{tmp_path}/link, {tmp_path}",
        "FILES_IN_HOSTS": "files.example.org:8443, Файлы.рф, store=10.1.0.0/16+10.2.3.4, 10.2.3.5, [::1]:80",
        "FILES_MAX_SIZE": "5MB",
    }
    files = load(environment | given, ACTIONS).files
    assert files is not None
    assert files.policy().paths == (tmp_path.resolve(), tmp_path.resolve())
    assert files.policy().max_size == 5_000_000
    assert [(host.name, host.port, len(host.networks)) for host in files.policy().hosts] == [
        ("files.example.org", 8443, 0),
        ("xn--80asg7a0b.xn--p1ai", None, 0),
        ("store", None, 2),
        ("10.2.3.5", None, 1),
        ("::1", 80, 1),
    ]


@pytest.mark.parametrize("name", ["FILES_IN_PATHS", "FILES_IN_HOSTS", "FILES_MAX_SIZE"])
def test_the_other_variables_of_files_need_their_folder(environment: dict[str, str], tmp_path: Path, name: str) -> None:
    value = {"FILES_IN_PATHS": str(tmp_path), "FILES_IN_HOSTS": "host", "FILES_MAX_SIZE": "1MB"}[name]
    assert set(faults(environment | {name: value})) == {"FILES_ROOT"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FILES_IN_PATHS", "relative"),
        ("FILES_IN_PATHS", "/no/such/folder"),
        ("FILES_IN_HOSTS", "http://host/"),
        ("FILES_IN_HOSTS", "user@host"),
        ("FILES_IN_HOSTS", "host:70000"),
        ("FILES_IN_HOSTS", "host=10.0.0.1/8"),
        ("FILES_IN_HOSTS", "host=office"),
        ("FILES_IN_HOSTS", "2130706433"),
        ("FILES_IN_HOSTS", "0x7f000001"),
        ("FILES_MAX_SIZE", "1"),
    ],
)
def test_what_files_may_be_taken_is_judged_at_start(
    environment: dict[str, str], tmp_path: Path, name: str, value: str
) -> None:
    assert set(faults(environment | {"FILES_ROOT": str(tmp_path), name: value})) == {name}


def test_received_files_that_any_command_may_send_are_said(environment: dict[str, str], tmp_path: Path) -> None:
    changes = {"FILES_ROOT": str(tmp_path), "FILES_IN_PATHS": str(tmp_path.parent)}
    assert any(warning.startswith("FILES_ROOT lies") for warning in load(environment | changes, ACTIONS).warnings)


def test_elasticsearch_is_described_by_its_url(environment: dict[str, str], pki: dict[str, str]) -> None:
    elastic = load(
        environment | {"ELASTIC_HOST": "::1", "ELASTIC_SCHEME": "https", "ELASTIC_CA": pki["ca"]}, ACTIONS
    ).elastic
    assert elastic is not None
    assert elastic.url == "https://[::1]:9200"
    assert elastic.ssl_context() is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*", ()),
        ("urn:zoo/1.0.0#Zoo", (("urn:zoo/1.0.0", "Zoo"),)),
        (" urn:a#b#C , urn:zoo#Zoo, urn:zoo#Zoo", (("urn:a#b", "C"), ("urn:zoo", "Zoo"))),
    ],
)
def test_roots_that_are_provided_are_read_with_their_namespaces(
    text: str, expected: tuple[tuple[str, str], ...]
) -> None:
    assert provided(text) == expected
