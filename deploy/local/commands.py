"""The commands behind make: ``python -m deploy.local.commands up|down|status|clean``, and the demos.

Where there is no apt but a docker engine, the same stack comes from docker-compose.yml.
"""

from __future__ import annotations

import shutil
import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, TypeVar

from deploy.local import compose, debian
from deploy.local.console import StepError, paint, say
from deploy.local.stack import DATABASE, Stack, read_upstream, write_upstream

if TYPE_CHECKING:
    from collections.abc import Callable

Shown = TypeVar("Shown")


def _use_docker() -> bool:
    """Use docker only where Debian's package manager is not there to give us a broker of our own."""
    private = shutil.which("apt-get") is not None or debian.find(
        "rabbitmq-server", "usr/lib/rabbitmq/bin/rabbitmq-server"
    )
    return not private and compose.available()


def _up() -> int:
    _start(Stack())
    return 0


def _start(stack: Stack) -> None:
    if _use_docker():
        write_upstream(stack.upstream_env, compose.up())
    else:
        stack.up()
    say(f"\n{paint('The stack is up.', 'green')} An upstream system connects with .local/upstream.env; stop: make down")
    if stack.console.running:
        say(f"Console: {paint(stack.console_url, 'bold')}  token: {stack.console_token}")


def _down() -> int:
    if compose.owned():
        compose.down()
        Stack().upstream_env.unlink(missing_ok=True)
        return 0
    stopped = Stack().down()
    say(f"Stopped: {', '.join(stopped)}." if stopped else "Nothing of ours was running.")
    return 0


def _status() -> int:
    stack = Stack()
    for title, running in stack.parts():
        say(f"  {title:<30} {paint('running', 'green') if running else paint('down', 'dim')}")
    return 0


def _clean() -> int:
    """Stop the stack and remove what it keeps outside the project; make removes the rest."""
    _down()
    Stack().postgres.remove(programs=True)
    return 0


def _demo() -> int:
    from deploy.local import demo  # noqa: PLC0415  — needs the adapter's packages, which up and down do not

    code = _show(lambda stack: demo.main(read_upstream(stack.upstream_env), debian.LOCAL / "demo"))
    if not compose.owned() and not Stack().console.running:
        say("The same in a browser: make up starts all this with the console and says where it is (docs/console.md).")
    return code


def _demo_correspondence() -> int:
    from deploy.local import correspondence  # noqa: PLC0415  — as above

    def show(stack: Stack) -> int:
        trace = compose.trace if compose.owned() else correspondence.tracer(stack.database)
        kill = compose.kill_adapter if compose.owned() else stack.kill_adapter
        return correspondence.main(read_upstream(stack.upstream_env), trace, kill)

    return correspondence.close(lambda: _show(show))


def _show(demo: Callable[[Stack], Shown]) -> Shown:
    """Run a demo on the stack, which is left as it was found."""
    stack = Stack()
    was_up = compose.owned() or stack.complete
    stack.with_console = was_up
    _start(stack)
    try:
        return demo(stack)
    finally:
        if was_up:
            say("The stack was up before and stays up.")
        else:
            _down()


def _demo_postamat() -> int:
    from deploy.local import demo_postamat, stories  # noqa: PLC0415  — needs the adapter's packages, which up and down do not

    if compose.owned() or _use_docker():
        raise StepError("The demo of постаматы runs on private processes, which need Debian's apt.")
    stack = Stack()
    was_up = stack.complete
    stack.with_console = was_up
    _start(stack)
    try:
        where = demo_postamat.Where(**stack.start_postamat(), database=stack.postgres, name=DATABASE)
        good, total = demo_postamat.main(read_upstream(stack.upstream_env), where, debian.LOCAL / "demo")
    finally:
        stack.stop_postamat()
        if was_up:
            say("The stack was up before and stays up.")
        else:
            _down()
    return stories.close("demo-postamat", good, total)


def _demo_epgu() -> int:
    from deploy.local import demo_epgu, stories  # noqa: PLC0415  — needs the adapter's packages, which up and down do not

    if compose.owned() or _use_docker():
        raise StepError("The demo of ЕПГУ runs on private processes, which need Debian's apt.")

    def show(stack: Stack) -> tuple[int, int]:
        variables = read_upstream(stack.upstream_env)
        where = demo_epgu.Where(portal=variables["SIM_EPGU_URL"], given=stack.given, database=stack.database)
        return demo_epgu.main(variables, where, debian.LOCAL / "demo")

    return stories.close("demo-epgu", *_show(show))


def _demo_shep() -> int:
    from deploy.local import shep_beside, stories  # noqa: PLC0415  — needs the adapter's packages, which up and down do not

    if compose.owned() or _use_docker():
        raise StepError("The demo of the ШЭП runs on private processes, which need Debian's apt.")
    counts = _show(lambda stack: shep_beside.show(stack, read_upstream(stack.upstream_env)))
    return stories.close("demo-shep", *counts)


def main() -> int:
    """Run one command; every failure is a sentence."""
    commands = {"up": _up, "down": _down, "status": _status, "demo": _demo, "clean": _clean}
    commands |= {"demo-postamat": _demo_postamat, "demo-correspondence": _demo_correspondence, "demo-epgu": _demo_epgu}
    commands |= {"demo-shep": _demo_shep}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        say(f"usage: python -m deploy.local.commands {'|'.join(commands)}")
        return 2
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to end, clean up as after Ctrl-C
    try:
        with nullcontext() if sys.argv[1] == "status" else debian.exclusive("stack"):
            return commands[sys.argv[1]]()
    except (StepError, OSError) as fault:
        say(f"\n{paint('Stopped.', 'red')} {fault}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
