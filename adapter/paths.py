"""Where the files that ship with the package are."""

from __future__ import annotations

from pathlib import Path

#: schemas/ stands beside the package, in a checkout and in an installed wheel alike.
SCHEMAS = Path(__file__).resolve().parent.parent / "schemas"
