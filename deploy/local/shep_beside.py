"""What the demo of the ШЭП has beside the stack: the simulated gateway, and a worker that calls it and is called."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.local import demo_shep

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deploy.local.stack import Stack

_SAMPLE: Final = Path(__file__).with_name("shep-services.toml")
#: What the registry of the demo has beside deploy/local/shep-services.toml: services of our own, and of the ВШЭП.
REGISTRY: Final = "".join(
    f'\n[[services]]\nkey = "{key}"\nsystem = "{owner}"\nname = "ТЕСТ {title}"\nmode = "{mode}"\n{rows}\n'
    for key, owner, title, mode, rows in (
        ("DemoSync", "adapter", "Наш сервис, отвечающий сразу", "Синхронный", ""),
        ("DemoAsync", "adapter", "Наш сервис", "Асинхронный", 'delivery = "PUSH"'),
        (
            "DemoNotified",
            "adapter",
            "Наш сервис с уведомлением о доставке",
            "Асинхронный",
            'delivery = "PUSH"\ndelivery_notifications = 1',
        ),
        (
            "DemoPull",
            "adapter",
            "Наш сервис, сообщения которого забираем",
            "Асинхронный",
            'delivery = "PULL"\npoll_interval = "1 секунда"',
        ),
        ("DemoSealed", "other", "Сервис с шифрованием", "Синхронный", "encryption = 1"),
        (
            "DemoSealedOwn",
            "adapter",
            "Наш сервис с шифрованием",
            "Асинхронный",
            'delivery = "PUSH"\nencryption = 1',
        ),
        ("DemoErring", "adapter", "Наш сервис за отдельной точкой доставки", "Асинхронный", 'delivery = "PUSH"'),
        ("SyncOutside", "other", "Сервис ВШЭП", "Синхронный", 'contour = "ВШЭП"'),
        ("AsyncOutside", "other", "Сервис ВШЭП", "Асинхронный", 'contour = "ВШЭП"\ndelivery = "PUSH"'),
    )
)


def show(stack: Stack, variables: Mapping[str, str]) -> tuple[int, int]:
    """Start what is missing, run the demo and stop it again; return how many steps hold and how many there are."""
    try:
        return demo_shep.main(variables, _start(stack))
    finally:
        stack.shep.stop()
        stack.gateway.stop()


def _start(stack: Stack) -> demo_shep.Where:
    """Start the gateway, and a worker that serves the registry of the sample and of :data:`REGISTRY`."""
    ports = stack.ports()
    registry = stack.places.state / "shep-services.toml"
    registry.write_text(_SAMPLE.read_text("utf-8") + REGISTRY, encoding="utf-8")
    gateway = stack.serve(stack.gateway, "simulators.shep", ports["shep"])
    tokens = json.loads((stack.keys / "kz" / "tokens.json").read_text(encoding="utf-8"))
    door = f"http://127.0.0.1:{ports['door']}"
    environment = stack.common_environment(ports["shep-health"]) | {
        "SERVICES": "shep.*",
        "SIGN_SERVICE": f"http://127.0.0.1:{ports['sign']}",
        "SHEP_SERVICES_FILE": str(registry),
        "SHEP_SYNC_URL": f"{gateway}/shep/sync",
        "SHEP_ASYNC_URL": f"{gateway}/shep/async",
        "VSHEP_SYNC_URL": f"{gateway}/vshep/sync",
        "VSHEP_ASYNC_URL": f"{gateway}/vshep/async",
        "SHEP_SENDER_ID": "adapter",
        "SHEP_PASSWORD": "adapter-password",
        "SHEP_SIGN_KEY": "shep-gost",
        "SHEP_SIGN_TOKEN": tokens["shep-gost"],
        "SHEP_SIGN_TOKEN_OFFICIAL": tokens["shep-official"],
        "SHEP_CIPHER_CERT": str(stack.keys / "kz" / "gateway.crt.pem"),
        "SHEP_CIPHER_TOKEN": tokens["shep-cipher"],
        "SHEP_LISTEN": f"127.0.0.1:{ports['door']}",
        "SHEP_PUBLIC_URL": door,
    }
    stack.run_adapter(stack.shep, ports["shep-health"], "calls the gateway and hears it", environment)
    return demo_shep.Where(gateway, door)
