"""What came to the door: one entry per action of every SendRequest, taken or refused."""

from __future__ import annotations

import re
from collections import deque
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lxml import etree

#: For messages that are no XML at all: what can still be read of them.
_FRAGMENT = re.compile(rb"<(?:[\w.-]+:)?(transport-id|action-type|MessageID)(?:\s[^<>]*)?>([^<]{0,100})</", re.ASCII)


class Entry(TypedDict):
    """One line of ``GET /_sim/ledger``; fields that could not be read are empty, ``code`` is null when accepted."""

    transport_id: str
    action_type: str
    message_id: str
    outcome: str
    code: str | None


#: (transport_id, action_type) of one action.
Action = tuple[str, str]


class Ledger:
    """The last ``limit`` entries, oldest first."""

    def __init__(self, limit: int = 500_000) -> None:
        """``limit`` bounds memory."""
        self._entries: deque[Entry] = deque(maxlen=limit)

    def record(self, message_id: str, actions: Iterable[Action], code: str | None) -> None:
        """Write one entry per action; a message whose actions cannot be read gets one entry all the same."""
        outcome = "accepted" if code is None else "refused"
        for transport_id, action_type in list(actions) or [("", "")]:
            self._entries.append(
                Entry(
                    transport_id=transport_id,
                    action_type=action_type,
                    message_id=message_id,
                    outcome=outcome,
                    code=code,
                )
            )

    def entries(self) -> list[Entry]:
        """Return all entries."""
        return list(self._entries)

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()


def read_tree(root: etree._Element) -> tuple[str, tuple[Action, ...]]:
    """Return (MessageID, actions) of any tree, whatever its namespaces and wherever they stand in it."""
    actions = tuple(
        (_text(action, "transport-id"), _text(action, "action-type"))
        for action in root.iter("{*}action")
        if action.find("{*}transport-id") is not None
    )
    return next((element.text or "" for element in root.iter("{*}MessageID")), ""), actions


def read_bytes(data: bytes) -> tuple[str, tuple[Action, ...]]:
    """Return (MessageID, actions) of what is no XML, as far as a plain search finds them."""
    message_id, actions = "", list[Action]()
    for name, value in _FRAGMENT.findall(data):
        text = value.decode("utf-8", "replace").strip()
        if name == b"MessageID":
            message_id = message_id or text
        elif name == b"transport-id":
            actions.append((text, ""))
        elif actions:
            actions[-1] = (actions[-1][0], text)
    return message_id, tuple(actions)


def _text(element: etree._Element, child: str) -> str:
    """Return the text of a child by local name, empty when there is none."""
    found = element.find(f"{{*}}{child}")
    return "" if found is None else (found.text or "").strip()
