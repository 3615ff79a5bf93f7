"""The policies of deploy/rabbitmq: the right queues, and what RabbitMQ itself makes of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adapter.files.store import INLINE_FILE
from adapter.pipeline.ports import OWN_EVENTS, Registry
from adapter.services.registry import make_providers, make_services
from adapter.settings import VARIABLES

if TYPE_CHECKING:
    from deploy.local.rabbitmq import LocalRabbit

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
DEFINITIONS: dict[str, Any] = json.loads((DEPLOY / "rabbitmq/definitions.json").read_text("utf-8"))
POLICIES: dict[str, dict[str, Any]] = {policy["name"]: policy for policy in DEFINITIONS["policies"]}


def chosen(queue: str) -> str | None:
    """The policy that RabbitMQ takes for a queue: of those that match, the one with the highest priority."""
    matching = [policy for policy in POLICIES.values() if re.search(policy["pattern"], queue)]
    return max(matching, key=lambda policy: policy["priority"])["name"] if matching else None


def test_commands_are_dead_lettered_and_nothing_else_is() -> None:
    portal = {"SHEP_SERVICES_FILE": str(DEPLOY / "local/shep-services.toml")}
    client = {"POSTAMAT_MODE": "client"}
    actions = {**make_services(portal), **make_services(client)}
    assert {action: chosen(action) for action in actions if chosen(action) != "adapter-commands"} == {}
    replies = [f"{action}.reply" for action in actions]
    everything = Registry(make_services(portal), {}, {}, make_providers(list(actions), portal))
    pushed = ["shep.message.received", "shep.sync.requested", "shep.status.changed"]
    others = [*replies, *OWN_EVENTS, *everything.events, *pushed, "adapter.returned"]
    assert {queue: chosen(queue) for queue in others if chosen(queue) != "adapter-others"} == {}
    assert chosen("somebody-elses-queue") is None


def test_a_reply_with_every_file_that_it_may_hold_passes_the_broker() -> None:
    conf = (DEPLOY / "rabbitmq/rabbitmq.conf").read_text("utf-8")
    (size,) = re.findall(r"^max_message_size = (\d+)$", conf, re.MULTILINE)
    (body,) = [variable for variable in VARIABLES if variable.name == "MQ_MAX_BODY"]
    assert int(size) > body.read("100MB")
    assert int(size) > 256 * INLINE_FILE * 4 / 3


def test_rabbitmq_takes_the_policies_and_gives_them_to_the_right_queues(rabbit: LocalRabbit, tmp_path: Path) -> None:
    file = tmp_path / "policies.json"
    file.write_text(json.dumps({"policies": DEFINITIONS["policies"]}), encoding="utf-8")
    rabbit.ctl("import_definitions", str(file))
    # One call tells what the broker has made of them and takes them back: each call starts an Erlang of its own.
    told = rabbit.ctl(
        "eval",
        'P = rabbit_policy:list(), [rabbit_policy:delete(<<"/">>, proplists:get_value(name, X), <<"t">>) || X <- P],P.',
    )
    for policy in POLICIES.values():
        assert policy["name"] in told
        assert all(key in told for key in policy["definition"])
    assert "at-least-once" in told
