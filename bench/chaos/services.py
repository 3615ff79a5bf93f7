"""How broker and database die and come back on the same address."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from deploy.local.console import StepError
from deploy.local.processes import can_bind, wait_until

if TYPE_CHECKING:
    from deploy.local.postgres import LocalPostgres
    from deploy.local.rabbitmq import LocalRabbit

_SECONDS = 30


async def fell(service: LocalRabbit | LocalPostgres) -> None:
    """Kill a service (SIGKILL) and wait until its port is free: what starts on a taken port starts on another one."""
    port = service.port
    await asyncio.to_thread(service.kill)
    if not await asyncio.to_thread(wait_until, lambda: can_bind(port), _SECONDS):
        raise StepError(f"port {port} is still taken {_SECONDS} s after its service was killed")


async def rise(service: LocalRabbit | LocalPostgres) -> None:
    """Start a service that fell."""
    await asyncio.to_thread(service.start)


async def replace(service: LocalRabbit | LocalPostgres) -> None:
    """Kill a service and start it again at once."""
    await fell(service)
    await rise(service)
