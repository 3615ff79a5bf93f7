"""Which виды сведений bring orders of ЕПГУ, and how their branches are named: ``EPGU_ORDER_TYPES``.

Every agency registers a вид сведений of its own; only the names of the branches are common practice, and each may be
said otherwise here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from adapter.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TYPES_VARIABLE: Final = "EPGU_ORDER_TYPES"
NAMESPACE_VARIABLE: Final = "EPGU_EVENT_NAMESPACE"
ENV_VARIABLE: Final = "EPGU_EVENT_ENV"
UNASKED_VARIABLE: Final = "EPGU_UNASKED_MESSAGES"

#: The namespace of the events that our schema describes.
EVENT_NAMESPACE: Final = "http://epgu.gosuslugi.ru/lk/order/event/3.1.1"

#: Contours of ЕПГУ, as the attribute ``env`` names them.
Env = Literal["DEV", "UAT", "EXUAT", "SVCDEV", "TCOD", "PROD"]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z_\u0400-\u04ff][A-Za-z0-9_.\u0400-\u04ff-]{0,99}$")]
_Namespace = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\s{}#]+$")]


class OrderType(BaseModel):
    """One вид сведений by which ЕПГУ brings orders.

    ``order`` is the element that holds the order; empty: whatever is neither of the other two branches. ``order_id`` is
    the path below the root to its number, local names with slashes between; empty: the first element ``orderId``, or
    ``pguId`` inside it. Elements of answers are in the same namespace. ``env`` is that of ``EPGU_EVENT_ENV`` unless
    said otherwise. Without ``correspondence`` messages of citizens are refused.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    namespace: _Namespace
    request_root: _Name = "FormData"
    response_root: _Name = "FormDataResponse"
    order: _Name | Literal[""] = ""
    order_id: Annotated[str, Field(pattern=r"^[^\s{}]*$", max_length=500)] = ""
    text_request: _Name = "textRequest"
    text_response: _Name = "textResponse"
    text_result: Annotated[str, Field(min_length=1, max_length=50)] = "ОК"
    cancel_request: _Name = "cancelRequest"
    cancel_response: _Name = "cancelResponse"
    order_answer: _Name = "changeOrderInfo"
    correspondence: bool = True
    env: Env | None = None

    @property
    def name(self) -> tuple[str, str]:
        """Namespace and root element, as СМЭВ3 names a вид сведений."""
        return self.namespace, self.request_root


_TYPES: Final = TypeAdapter(list[OrderType])


def read_types(environment: Mapping[str, str]) -> Sequence[OrderType]:
    """Return the виды сведений of ``EPGU_ORDER_TYPES``, a JSON list. Raises ConfigurationError."""
    text = environment.get(TYPES_VARIABLE, "").strip()
    if not text:
        return ()
    try:
        types = _TYPES.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the list"
        raise ConfigurationError(
            {TYPES_VARIABLE: f"must be a JSON list of objects: {place}: {first['type']}"}
        ) from None
    if len({entry.name for entry in types}) != len(types):
        raise ConfigurationError({TYPES_VARIABLE: "must not name a root element of one namespace twice"})
    return tuple(types)


def read_choice(environment: Mapping[str, str], name: str, words: Sequence[str]) -> str:
    """Return a variable that is one of ``words``, the first by default. Raises ConfigurationError."""
    text = environment.get(name, "").strip()
    known = {word.lower(): word for word in words}
    if text and text.lower() not in known:
        raise ConfigurationError({name: f"must be one of {', '.join(words)}"})
    return known.get(text.lower(), words[0])


def type_of(types: Sequence[OrderType], facts: Mapping[str, Any]) -> OrderType | None:
    """Return the вид сведений of a message by its ``facts``, ``None`` when it is not among ``types`` any more."""
    name = (facts.get("namespace", ""), facts.get("root", ""))
    return next((entry for entry in types if entry.name == name), None)
