"""From an environment to :class:`Settings`: read the table, check, and refuse with every fault at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from adapter.errors import ConfigurationError
from adapter.settings import groups
from adapter.settings.cautions import cautions
from adapter.settings.checks import CHECKS
from adapter.settings.values import WrongValueError, version_in
from adapter.settings.variables import VARIABLES

if TYPE_CHECKING:
    from adapter.settings.variables import Variable

_SHEP = frozenset({"shep", "signing"})
#: Groups of variables that serving an action of a gateway needs; the others are always read.
_GATEWAY_NEEDS = {
    "smev3": frozenset({"smev", "signing"}),
    "shep": _SHEP,
    "vshep": _SHEP,
    "postamat": frozenset({"postamat"}),
    "epgu": frozenset({"epgu", "signing", "files"}),
}
#: The schema spoken where neither SMEV_VERSION nor the endpoint says another.
_SCHEMA_VERSION = "1.2"
#: Deliveries of one action in hand where nothing says another number and memory allows it.
_PREFETCH = 1000
_ALWAYS = frozenset({"broker", "services", "database", "health", "pipeline", "logging", "options"})


def load(environment: Mapping[str, str], known_actions: Mapping[str, str]) -> groups.Settings:
    """Return the checked configuration.

    ``known_actions`` maps each action that this build can serve to the name of its gateway. An empty variable counts
    as absent. Groups that no served action needs are not read at all, so a shared environment may hold paths that
    exist elsewhere. Raises ConfigurationError with all faults, in the table's order and without secret values.
    """
    given, values, needed = read_groups(environment, known_actions)
    _derive(values)
    return _settings(environment, given, values, needed)


def read_groups(
    environment: Mapping[str, str], known_actions: Mapping[str, str], only: frozenset[str] | None = None
) -> tuple[Mapping[str, str], dict[str, Any], frozenset[str]]:
    """Read and check the groups that the served actions need, or those of ``only``.

    Returns the texts that were given, the values by variable, and the groups. Raises ConfigurationError.
    """
    given = {variable.name: text for variable in VARIABLES if (text := _given(environment, variable))}
    faults: dict[str, str] = {}
    values: dict[str, Any] = {}
    actions = _actions(_read(_named("SERVICES"), given, faults) or (), known_actions, faults)
    needed = only or _needed_groups(given, {known_actions[action] for action in actions})
    if "SERVICES" in faults and only is None:  # what is needed is unknown: judge at least what was given
        needed |= {variable.group for variable in VARIABLES if variable.name in given}
    for variable in VARIABLES:
        if variable.group in needed:
            values[variable.name] = _read(variable, given, faults)
    values["SERVICES"] = actions
    for names, check in CHECKS:
        if all(name in values and name not in faults for name in names):
            for name, sentence in check(*(values[name] for name in names)):
                faults.setdefault(name, sentence)
    if faults:
        raise ConfigurationError({v.name: faults[v.name] for v in VARIABLES if v.name in faults})
    return given, values, needed


def _derive(values: dict[str, Any]) -> None:
    """Fill in what follows from other values where nothing says it."""
    if values["MQ_PREFETCH"] is None:
        values["MQ_PREFETCH"] = _prefetch(values)
    if values.get("SMEV_VERSION", "") is None:
        values["SMEV_VERSION"] = version_in(values["SMEV_SERVICE"]) or _SCHEMA_VERSION
    if values.get("SMEV_NODE_ID", "") is None:
        values["SMEV_NODE_ID"] = _node_id(values)


def _given(environment: Mapping[str, str], variable: Variable) -> str:
    text = environment.get(variable.name, "")
    return text if variable.secret and text.strip() else text.strip()


def _named(name: str) -> Variable:
    return next(variable for variable in VARIABLES if variable.name == name)


def _read(variable: Variable, given: Mapping[str, str], faults: dict[str, str]) -> Any:
    text = given.get(variable.name, variable.default)
    if text is None:
        if variable.required:
            faults[variable.name] = "is required"
        return None
    try:
        return variable.read(text)
    except WrongValueError as error:
        faults[variable.name] = str(error)
        return None


def _actions(patterns: tuple[str, ...], known: Mapping[str, str], faults: dict[str, str]) -> tuple[str, ...]:
    strangers = [pattern for pattern in patterns if not any(fnmatchcase(action, pattern) for action in known)]
    if strangers:
        sentences = []
        for pattern in strangers:
            close = get_close_matches(pattern, known, n=1)
            sentences.append(f"{pattern!a} names no action" + (f" (did you mean {close[0]}?)" if close else ""))
        faults["SERVICES"] = f"{'; '.join(sentences)}; known are {', '.join(sorted(known))}"
    return tuple(action for action in known if any(fnmatchcase(action, pattern) for pattern in patterns))


def _needed_groups(given: Mapping[str, str], gateways: set[str]) -> frozenset[str]:
    needed = _ALWAYS.union(*(_GATEWAY_NEEDS.get(gateway, frozenset()) for gateway in gateways))
    if any(variable.name in given for variable in VARIABLES if variable.group == "files"):
        needed |= {"files"}
    if "OTEL_EXPORTER_OTLP_ENDPOINT" in given:
        needed |= {"telemetry"}
    return needed | {"elastic"} if "ELASTIC_HOST" in given else needed


def _prefetch(values: Mapping[str, Any]) -> int:
    """Take from the broker what half of the memory holds: the other half is for what runs."""
    fitting: int = values["MEMORY_LIMIT"] // 2 // (values["MQ_MAX_BODY"] * max(len(values["SERVICES"]), 1))
    return min(_PREFETCH, max(fitting, 1))


def _node_id(values: Mapping[str, Any]) -> str:
    """One NodeID per deployment: processes on the same database share one reply queue of СМЭВ3."""
    place = "\0".join(str(values[name]) for name in ("DATABASE_HOST", "DATABASE_PORT", "DATABASE_NAME"))
    return f"node-{sha256(place.encode()).hexdigest()[:16]}"


def _settings(
    environment: Mapping[str, str], given: Mapping[str, str], values: Mapping[str, Any], needed: frozenset[str]
) -> groups.Settings:
    def fields(group: str) -> dict[str, Any]:
        return fields_of(group, values)

    return groups.Settings(
        broker=groups.Broker(**fields("broker")),
        database=groups.Database(**fields("database")),
        smev=groups.Smev(**fields("smev")) if "smev" in needed else None,
        signing=groups.Signing(**fields("signing")) if "signing" in needed else None,
        shep=groups.Shep(**fields("shep")) if "shep" in needed else None,
        epgu=groups.Epgu(**fields("epgu")) if "epgu" in needed else None,
        postamat=groups.Postamat(**fields("postamat")) if "postamat" in needed else None,
        files=groups.Files(**fields("files")) if "files" in needed else None,
        elastic=groups.Elastic(**fields("elastic")) if "elastic" in needed else None,
        health=groups.Health(**fields("health")),
        pipeline=groups.Pipeline(**fields("pipeline")),
        logging=groups.Logging(**fields("logging")),
        services=groups.Services(**fields("services"), options=fields("options")),
        warnings=tuple(cautions(environment, values)),
        effective={variable.name: _shown(variable, given, values) for variable in VARIABLES},
        secrets=tuple(secrets_of(values)),
    )


def fields_of(group: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a group by field."""
    return {variable.field: values[variable.name] for variable in VARIABLES if variable.group == group}


def secrets_of(values: Mapping[str, Any]) -> Iterator[str]:
    """Yield what logs must never show."""
    for variable in VARIABLES:
        value = values.get(variable.name) if variable.secret else None
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from (part if isinstance(part, str) else part[0] for part in value.values())


def _shown(variable: Variable, given: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """Write one variable as it took effect, without secrets and PEM text."""
    text = given.get(variable.name)
    if variable.name not in values:
        return "(not needed)"
    if text is None:
        effective = values[variable.name] if variable.default is None else variable.default
        return "(not set)" if effective is None else f"{effective} (default)"
    if variable.secret:
        return "***"
    if "-----BEGIN" in text:
        return "(PEM text)"
    return ",".join(values["SERVICES"]) if variable.name == "SERVICES" else text
