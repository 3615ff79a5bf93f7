"""The table as text: ``.env.example`` and the effective configuration that ``adapter check`` prints."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from adapter.settings.variables import GROUPS, VARIABLES

if TYPE_CHECKING:
    from adapter.settings.groups import Settings
    from adapter.settings.variables import Variable

_HEADER = """\
# Configuration of the adapter: every variable it reads, with its default, if there is one.
# Certificates and keys are paths or PEM text (with literal \\n for line breaks). An empty value counts as absent.
# Rendered from adapter/settings/variables.py.
"""


def env_example() -> str:
    """Return the text of ``.env.example``: every variable with a sentence and its default."""
    parts = [_HEADER]
    for group, variables in groupby(VARIABLES, key=lambda variable: variable.group):
        parts.append(f"\n# --- {GROUPS[group]} ---\n")
        parts.extend(_entry(variable) for variable in variables)
    return "".join(parts)


def describe(settings: Settings) -> str:
    """Return the effective configuration, one ``NAME=value`` a line, secrets masked."""
    return "\n".join(f"{name}={shown}" for name, shown in settings.effective.items())


def _entry(variable: Variable) -> str:
    remark = " Required." if variable.required else ""
    example = f" For example: {variable.example}" if variable.example and not variable.required else ""
    value = variable.example if variable.required else variable.default or ""
    return f"# {variable.sentence}.{remark}{example}\n{variable.name}={value}\n"
