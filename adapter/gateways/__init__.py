"""One package per state gateway: calls, sources, messages and errors."""
