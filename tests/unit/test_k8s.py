"""deploy/k8s against the code and against itself: what a cluster would refuse or never reach has to be refused here."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
import subprocess
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from adapter import cli
from adapter.errors import ConfigurationError
from adapter.recovery.environment import database_address, retention_rule
from adapter.services.registry import known_actions
from adapter.settings import VARIABLES, Settings, load, load_console
from deploy.local.certificates import Certificates

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROJECT = Path(__file__).resolve().parents[2]
K8S = PROJECT / "deploy/k8s"
GROUPS = ("smev3", "epgu", "shep", "postamat")
_PORTS = {"shep": "SHEP_LISTEN", "postamat": "POSTAMAT_LISTEN"}
#: Seconds for what follows SHUTDOWN_GRACE: the last commit, the lease, the metrics.
_GOODBYE = 15
_QUANTITY = {"Mi": 2**20, "Gi": 2**30, "M": 10**6, "G": 10**9}


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((K8S / name).read_text("utf-8")))


def of_kind(kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in documents(name) if one["kind"] == kind]
    return found


def variables(*names: str) -> dict[str, str]:
    lines = [line for name in names for line in (K8S / f"{name}.env").read_text("utf-8").splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def pod_of(document: Mapping[str, Any]) -> dict[str, Any]:
    spec = document["spec"]["jobTemplate"]["spec"] if document["kind"] == "CronJob" else document["spec"]
    pod: dict[str, Any] = spec["template"]["spec"]
    return pod


def pods() -> dict[str, dict[str, Any]]:
    return {
        path.stem: pod_of(document)
        for path in sorted(K8S.glob("*.yaml"))
        for document in documents(path.name)
        if document and document["kind"] in {"Deployment", "Job", "CronJob"}
    }


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that the Secrets would hold, at the places where the pods mount them."""
    root = tmp_path_factory.mktemp("volumes")
    made = Certificates(root / "made")
    client, server = made.client("adapter"), made.server
    files = {
        "broker/ca.pem": made.ca, "broker/client.pem": client.certificate, "broker/client.key": client.key,
        "database/ca.pem": made.ca, "signing/ca.pem": made.ca, "smev3/trust.pem": made.ca,
        "postamat/tls.crt": server.certificate, "postamat/tls.key": server.key,
        "console/tls.crt": server.certificate, "console/tls.key": server.key,
    }  # fmt: skip
    texts = {"database/password": "p", "postamat/tokens": "1=a-token-of-sixteen", "shep/password": "p"}
    texts |= {"signing/ov.token": "token-ov", "signing/sp.token": "token-sp", "signing/shep.token": "token-shep"}
    texts |= {"console/tokens": "somebody:view+reveal=a-token-of-twenty-letters"}
    texts |= {"epgu/api-keys": "head=11111111-1111-4111-8111-111111111111"}
    for name in {**files, **texts}:
        (root / name).parent.mkdir(exist_ok=True)
    for name, source in files.items():
        shutil.copy(source, root / name)
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")
    (root / "files").mkdir()
    return root


def in_place(environment: Mapping[str, str], volumes: Path) -> dict[str, str]:
    places = {"/run/adapter": str(volumes), "/var/lib/adapter/files": str(volumes / "files"), "/etc/adapter": str(K8S)}
    moved = {}
    for name, value in environment.items():
        for place, here in places.items():
            value = value.replace(place, here)  # noqa: PLW2901  — one after another
        moved[name] = value
    return moved


def settings(group: str, volumes: Path) -> Settings:
    environment = in_place(variables("common", group), volumes)
    return load(environment, known_actions(environment) if group == "shep" else known_actions())


@pytest.mark.parametrize("group", GROUPS)
def test_every_group_is_a_configuration_that_the_adapter_takes(group: str, volumes: Path) -> None:
    try:
        found = settings(group, volumes)
    except ConfigurationError as error:
        pytest.fail(f"{group}: {error.faults}")
    assert found.services.actions
    assert found.database.sslmode == "verify-full"
    assert [warning for warning in found.warnings if "SHEP_" not in warning] == []


def test_the_console_takes_its_own_and_no_key_of_a_gateway(volumes: Path) -> None:
    environment = in_place(variables("common", "console"), volumes)
    found = load_console(environment, known_actions(environment))
    assert set(found.actions) == set(known_actions(environment))
    assert found.console.listener_context() is not None
    assert not any("SIGN" in name or "TRUST" in name for name in environment)
    (container,) = pods()["console"]["containers"]
    assert [port["containerPort"] for port in container["ports"]] == [
        int(environment["CONSOLE_LISTEN"].rpartition(":")[2])
    ]
    assert of_kind("Service", "console.yaml")["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]


def test_jobs_need_the_database_alone(volumes: Path) -> None:
    environment = in_place(variables("common", "retention"), volumes)
    assert database_address(environment)
    assert retention_rule(environment).days > int(environment["DEDUPE_DAYS"])


def test_every_action_is_served_by_exactly_one_group() -> None:
    served = {group: variables(group)["SERVICES"].split(",") for group in GROUPS}
    by = {
        action: [group for group, patterns in served.items() if any(fnmatchcase(action, one) for one in patterns)]
        for action in known_actions()
    }
    assert {action: groups for action, groups in by.items() if len(groups) != 1} == {}, (
        "see SERVICES in deploy/k8s/*.env"
    )
    assert {action: group for action, group in known_actions().items() if by[action] != [group]} == {}


def test_every_variable_is_one_of_the_adapter_and_no_secret_stands_in_the_open() -> None:
    known = {variable.name: variable for variable in VARIABLES}
    for file in sorted(K8S.glob("*.env")):
        given = variables(file.stem)
        assert given.keys() <= known.keys(), file.name
        shown = [
            name for name, value in given.items() if known[name].secret and not value.startswith(("file:", "/run/"))
        ]
        assert shown == [], file.name


@pytest.mark.parametrize("group", GROUPS)
def test_the_pod_outlives_the_grace_of_the_worker_and_the_grace_the_longest_call(group: str, volumes: Path) -> None:
    found = settings(group, volumes)
    grace = found.pipeline.shutdown_grace
    assert pod_of(of_kind("Deployment", f"{group}.yaml"))["terminationGracePeriodSeconds"] >= grace + _GOODBYE
    parts = (("smev", "timeout"), ("epgu", "timeout"), ("shep", "sync_timeout"), ("shep", "async_timeout"))
    calls = [getattr(part, name) for key, name in parts if (part := getattr(found, key))]
    signing = found.signing.timeout if found.signing else 0
    assert grace >= max([*calls, 10]) + signing
    # Half of the grace is for the consumers, who need moments: the rest still has to be enough for a call.


@pytest.mark.parametrize("name", ["smev3", "epgu", "shep", "postamat", "console", "migrate", "retention"])
def test_a_pod_has_no_rights_and_mounts_what_its_variables_name(name: str) -> None:
    pod = pods()[name]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False, "links would add variables in the adapter's own families"
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted.keys() == {volume["name"] for volume in pod["volumes"]}
    maps = [source["configMapRef"]["name"].removeprefix("adapter-") for source in container["envFrom"]]
    own = variables(*(one for one in maps if one != "common"))
    wanted = set(re.findall(r"(/run/adapter/\w+|/var/lib/adapter/files|/etc/adapter)", "\n".join(own.values())))
    jobs = {"/run/adapter/database"}
    wanted |= jobs if name in {"migrate", "retention"} else jobs | {"/run/adapter/broker"}
    assert wanted == set(mounted.values())
    assert cli._COMMANDS.keys() >= {container["args"][0]}


@pytest.mark.parametrize("group", GROUPS)
def test_probes_and_ports_are_those_of_the_listeners(group: str) -> None:
    given = variables("common", group)
    (container,) = pod_of(of_kind("Deployment", f"{group}.yaml"))["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports.pop("health") == int(given["HEALTH_PORT"])
    assert given["HEALTH_HOST"] == "0.0.0.0"  # noqa: S104  — probes come from outside the pod
    probes = {kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/livez",
        "liveness": "/livez",
        "readiness": "/readyz",
    }
    assert {probe["port"] for probe in probes.values()} == {"health"}
    listener = {given[_PORTS[group]].rpartition(":")[2]} if group in _PORTS else set()
    assert {str(port) for port in ports.values()} == listener
    if listener:
        (door,) = of_kind("Service", f"{group}.yaml")["spec"]["ports"]
        assert door["targetPort"] in ports


@pytest.mark.parametrize("group", GROUPS)
def test_the_memory_of_a_pod_holds_what_its_worker_may_take(group: str, volumes: Path) -> None:
    (container,) = pod_of(of_kind("Deployment", f"{group}.yaml"))["containers"]
    number, unit = re.fullmatch(r"(\d+)(\w+)", container["resources"]["limits"]["memory"]).groups()
    assert int(number) * _QUANTITY[unit] >= settings(group, volumes).pipeline.memory_limit + 200_000_000


@pytest.mark.parametrize("group", GROUPS)
def test_selectors_meet_their_pods(group: str) -> None:
    deployment = of_kind("Deployment", f"{group}.yaml")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert of_kind("PodDisruptionBudget", f"{group}.yaml")["spec"]["selector"]["matchLabels"] == labels
    assert deployment["spec"]["replicas"] >= 2


def _leads(rule: Mapping[str, Any], port: int) -> bool:
    return any(one["port"] <= port <= one.get("endPort", one["port"]) for one in rule["ports"])


def test_the_network_lets_every_worker_to_its_neighbours_and_nowhere_else() -> None:
    policies = documents("networkpolicy.yaml")

    def rules(group: str, way: str) -> Iterator[dict[str, Any]]:
        for policy in policies:
            selector = policy["spec"]["podSelector"]
            wanted = selector["matchLabels"].get("app.kubernetes.io/component", group)
            among = [one["values"] for one in selector.get("matchExpressions", ())]
            if wanted == group and all(group in values for values in among):
                yield from policy["spec"].get(way, ())

    neighbours = {"smev3": (5671, 5432, 8443, 9200, 80, 21), "epgu": (5671, 5432, 8443, 443)}
    neighbours |= {"shep": (5671, 5432, 8443, 9010), "postamat": (5671, 5432), "retention": (5432,), "migrate": (5432,)}
    for group, ports in neighbours.items():
        out = list(rules(group, "egress"))
        assert [port for port in ports if not any(_leads(rule, port) for rule in out)] == [], group
        assert all(rule.get("to") for rule in out)
    assert not any(_leads(rule, 8443) for rule in rules("postamat", "egress"))
    for group, name in _PORTS.items():
        port = int(variables(group)[name].rpartition(":")[2])
        assert any(_leads(rule, port) for rule in rules(group, "ingress"))
    networks = re.findall(r"cidr: (\S+)}", (K8S / "networkpolicy.yaml").read_text("utf-8"))
    assert all(ipaddress.ip_network(one).is_private for one in networks), "examples are of RFC 5737"


def test_the_kustomization_names_every_file_and_every_map_that_is_asked_for() -> None:
    kustomization = yaml.safe_load((K8S / "kustomization.yaml").read_text("utf-8"))
    there = {path.name for path in K8S.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(kustomization["resources"]) == there
    maps = {one["name"]: one.get("envs", one.get("files")) for one in kustomization["configMapGenerator"]}
    assert {name for names in maps.values() for name in names} == {
        path.name for path in (*K8S.glob("*.env"), *K8S.glob("*.toml"))
    }
    asked = {
        source["configMapRef"]["name"] for pod in pods().values() for source in pod["containers"][0]["envFrom"]
    } | {volume["configMap"]["name"] for pod in pods().values() for volume in pod["volumes"] if "configMap" in volume}
    assert asked == set(maps)


def test_the_page_tells_how_every_secret_is_made() -> None:
    page = (K8S / "README.md").read_text("utf-8")
    asked = {
        volume["secret"]["secretName"] for pod in pods().values() for volume in pod["volumes"] if "secret" in volume
    }
    assert [name for name in asked if f"create secret generic {name}" not in page] == []
    paths = set(
        re.findall(r"/run/adapter/\w+/([\w.-]+)", "".join(path.read_text("utf-8") for path in K8S.glob("*.env")))
    )
    assert [path for path in paths if f"--from-file={path}" not in page] == []


def test_kubectl_builds_it() -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not here, so nothing builds the kustomization")
    done = subprocess.run(["kubectl", "kustomize", str(K8S)], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    built = list(yaml.safe_load_all(done.stdout))
    assert {one["kind"] for one in built} >= {"Deployment", "Job", "CronJob", "NetworkPolicy", "PodDisruptionBudget"}
    assert "state-gateway-adapter:0.1.0" in json.dumps(built)


def test_an_autoscaler_scales_a_deployment_that_is_there() -> None:
    objects = documents("keda/scaledobjects.yaml")
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in objects if one["kind"] == "ScaledObject"}
    assert scaled <= {f"adapter-{group}" for group in GROUPS}
    given = variables("common")
    for one in objects:
        for trigger in one["spec"].get("triggers", ()):
            assert trigger["metadata"]["port"] == given["DATABASE_PORT"]
            assert trigger["metadata"]["dbName"] == given["DATABASE_NAME"]
            assert "exchanges" in trigger["metadata"]["query"]
