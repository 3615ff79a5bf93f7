"""docker-compose.yml, its image and what it mounts, read as an engine would: nothing is missing at a first start."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from adapter.services.registry import known_actions
from adapter.settings import VARIABLES, load, load_console
from deploy.local import compose, volumes
from deploy.local.setup import SOURCE_ONLY

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (PROJECT / "deploy/Dockerfile").read_text("utf-8")
_GIVEN = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")
#: Variables of the stack itself: whose user reads the certificate, and where simulators are published.
_OF_THE_STACK = {"HOST_UID", "SIM_SMEV_PORT", "SIM_EPGU_PORT", "SIM_SHEP_PORT", "CONSOLE_PORT"}


def adapter_environment(service: str = "adapter") -> dict[str, str]:
    """The variables of a container of ours when nothing is given from outside."""
    return {
        name: _GIVEN.sub(lambda found: found[2] or "", str(value))
        for name, value in SERVICES[service]["environment"].items()
    }


def words(service: str) -> list[str]:
    return [str(word) for word in SERVICES[service].get("command", ())]


def option(service: str, name: str) -> str:
    """The value of a command's option, written ``--name value`` or ``--name=value``."""
    line = " ".join(words(service)).replace("=", " ").split()
    return line[line.index(name) + 1]


def test_every_variable_is_one_of_the_adapter_or_of_the_stack() -> None:
    known = {variable.name for variable in VARIABLES}
    assert (adapter_environment() | adapter_environment("console")).keys() <= known
    given = {name for name, _ in _GIVEN.findall((PROJECT / "docker-compose.yml").read_text("utf-8"))}
    assert given <= known | _OF_THE_STACK
    published = {name for name, _ in _GIVEN.findall(str([service.get("ports") for service in SERVICES.values()]))}
    assert published == compose.PORTS.keys(), "deploy/local/compose.py tells people where things are"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the setup container leaves in the volumes; owners are the container's affair."""
    pytest.importorskip("trustme")
    stack = tmp_path_factory.mktemp("stack")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumes, "STACK", stack)
        patch.setattr(os, "chown", lambda *_: None)
        patch.setenv("PYTHONPATH", str(PROJECT))
        assert volumes.main() == 0
    return stack


def test_the_containers_configuration_is_taken_and_every_file_it_names_is_there(filled: Path) -> None:
    environment = in_volumes(filled, adapter_environment())
    settings = load(environment, known_actions(environment))
    assert set(settings.services.actions) == set(known_actions(environment))
    assert settings.smev
    assert settings.epgu
    assert settings.shep
    assert settings.postamat
    assert settings.elastic


def in_volumes(filled: Path, environment: dict[str, str]) -> dict[str, str]:
    places = {
        "/run/stack": str(filled),
        "/var/lib/adapter/files": str(filled / "files"),
        "/etc/adapter/shep-services.toml": str(PROJECT / "deploy/local/shep-services.toml"),
    }
    for place, here in places.items():
        environment = {name: value.replace(place, here) for name, value in environment.items()}
    return environment


def test_the_console_has_its_token_and_people_find_it(filled: Path) -> None:
    environment = in_volumes(filled, adapter_environment("console"))
    tokens = load_console(environment, known_actions(environment)).console.tokens
    token = (filled / "upstream/console.token").read_text("ascii").strip()
    assert tokens == {"operator": (token, frozenset({"view", "reveal", "replay"}))}


def test_the_volumes_hold_what_their_readers_look_for(filled: Path) -> None:
    broker = (PROJECT / "deploy/rabbitmq/rabbitmq.conf").read_text("utf-8")
    named = [
        *re.findall(r"/run/stack/(\S+)", broker),
        "database/password",
        "upstream/upstream.crt.pem",
        "keys/ov.key.pem",
    ]
    assert [name for name in named if not (filled / name).is_file()] == []
    assert not (filled / "adapter/upstream.key.pem").exists()
    assert not list((filled / "adapter").glob("*ca.key*")), "the authority's key is for the setup container alone"


def test_every_volume_is_declared_and_every_file_that_is_mounted_is_in_the_project() -> None:
    mounts = [mount.split(":") for service in SERVICES.values() for mount in service.get("volumes", ())]
    named = {source for source, *_ in mounts if not source.startswith(".")}
    assert named == COMPOSE["volumes"].keys()
    files = {source for source, *_ in mounts if source.startswith(".")} - {"./.local/compose-upstream"}
    assert [source for source in files if not (PROJECT / source).is_file()] == []


def test_nobody_has_rights_and_nothing_is_published_beyond_loopback() -> None:
    for name, service in SERVICES.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert (service["user"] == "0:0") is (name == "setup"), name
        ours = "state-gateway-adapter" in service["image"] and name != "setup"
        assert bool(service.get("read_only")) is ours, name


def test_whoever_is_waited_for_can_say_that_it_is_well() -> None:
    for name, service in SERVICES.items():
        for other, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for {other}"


@pytest.mark.parametrize("name", ["sign-service", "smev3-simulator", "epgu-simulator", "shep-simulator"])
def test_a_simulator_is_a_module_of_the_image_and_answers_where_it_is_asked(name: str) -> None:
    _, _, module = words(name)[:3]
    assert importlib.util.find_spec(module) is not None
    assert "COPY simulators simulators" in DOCKERFILE
    port = option(name, "--port")
    assert f"http://127.0.0.1:{port}/" in SERVICES[name]["healthcheck"]["test"][-1]
    assert any(f"//{name}:{port}" in value for value in adapter_environment().values())
    source = (PROJECT / module.replace(".", "/") / "__main__.py").read_text("utf-8")
    assert [word for word in re.findall(r"--[\w-]+", " ".join(words(name))) if f'"{word}"' not in source] == []


def test_files_reach_the_simulated_storage_through_the_ports_that_it_offers() -> None:
    first, last = option("smev3-simulator", "--ftp-passive-ports").split("-")
    (published,) = [port for port in SERVICES["smev3-simulator"]["ports"] if ":2121-" in port]
    low, high = published.rpartition(":")[2].split("-")
    assert int(low) == int(option("smev3-simulator", "--ftp-port")) == int(adapter_environment()["SMEV_FTP_PORT"])
    assert int(low) < int(first)
    assert int(last) == int(high)
    assert any(place.startswith("/tmp:") for place in SERVICES["smev3-simulator"]["tmpfs"])


def test_the_image_has_what_it_copies_and_no_more_than_it_needs() -> None:
    ignore = (PROJECT / ".dockerignore").read_text("utf-8")
    for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (PROJECT / source).exists(), source
            assert f"!{source.split('/')[0]}" in ignore, source
    locked = set(re.findall(r"^(\S+)==", (PROJECT / "deploy/requirements-demo.lock").read_text("utf-8"), re.MULTILINE))
    for name in SOURCE_ONLY:
        assert (f"--no-binary {name}" in DOCKERFILE) is (name in locked), (
            "it has no wheel, and the image builds nothing else"
        )
    stage = DOCKERFILE[DOCKERFILE.index("FROM runtime AS adapter") :]
    assert "simulators" not in stage
    assert re.findall(r"^USER (\S+)$", stage, re.MULTILINE) == ["10001:10001"]
    assert "HEALTHCHECK" in stage
    modules = re.findall(r'"-m", "(deploy[\w.]*)"', (PROJECT / "docker-compose.yml").read_text("utf-8"))
    copied = re.findall(r"deploy/local/(\w+)\.py", DOCKERFILE)
    assert [module for module in modules if module.rpartition(".")[2] not in copied] == []


def test_the_grace_of_the_container_outlives_that_of_the_worker() -> None:
    assert int(SERVICES["adapter"]["stop_grace_period"].removesuffix("s")) >= 25 + 15


def test_compose_itself_takes_the_file() -> None:
    command = next(
        (argv for argv in (["docker", "compose"], ["docker-compose"]) if shutil.which(argv[0]) and _works(argv)), None
    )
    if command is None:
        pytest.skip("neither docker compose nor docker-compose is here")
    done = subprocess.run(
        [*command, "config", "-q"], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def _works(command: list[str]) -> bool:
    return subprocess.run([*command, "version"], capture_output=True, timeout=30, check=False).returncode == 0
