"""Field types that services share, with the Russian sentences of what they demand."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

_UUID = "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
_ELEVEN_DIGITS = "^[0-9]{11}$"
_DATE = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"

#: What a broken pattern is called in an error reply.
PATTERN_RULES: Mapping[str, str] = {
    _UUID: "ожидается UUID вида xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx из цифр и букв a-f любого регистра",
    _ELEVEN_DIGITS: "ожидается 11 цифр без пробелов и дефисов",
    _DATE: "ожидается дата вида ГГГГ-ММ-ДД",
}

#: A UUID in either case; it leaves as it came.
Uuid = Annotated[str, Field(pattern=_UUID)]
#: Eleven ASCII digits; the checksum is a rule of its own.
Snils = Annotated[str, Field(pattern=_ELEVEN_DIGITS)]
#: A date without a zone, kept as text.
Date = Annotated[str, Field(pattern=_DATE)]
#: A text of 1 to 255 characters.
Name255 = Annotated[str, Field(min_length=1, max_length=255)]
#: A text of up to 255 characters, which may be empty.
Text255 = Annotated[str, Field(max_length=255)]
#: What xs:int holds.
Int32 = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


def texts(names: str) -> dict[str, Any]:
    """Return fields of an answer's record that are texts; ``names`` are separated by blanks, ``?`` marks optional ones.

    ``record("Organization", NS, **texts("name tel?"))`` leaves what a text may be to the schema, which judges answers.
    """
    return {name.removesuffix("?"): str | None if name.endswith("?") else str for name in names.split()}


def broken(slug: str, rule: str) -> PydanticCustomError:
    """Return the error of a field that breaks ``rule``, a Russian sentence without the value.

    ``slug`` is the same rule as an English snake_case phrase: it stands where the reader is an operator.
    """
    return PydanticCustomError(slug, "{rule}", {"rule": rule})


def exactly_one(*names: str) -> Any:
    """Return a model validator for an XSD choice: exactly one of the optional fields ``names`` is present."""

    def check(model: Any) -> Any:
        if sum(getattr(model, name) is not None for name in names) != 1:
            raise broken("exactly_one_of_a_choice", f"должно быть указано ровно одно из полей: {', '.join(names)}")
        return model

    validator: Callable[[Any], Any] = check
    return model_validator(mode="after")(validator)
