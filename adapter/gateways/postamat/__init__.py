"""The lockers' API on the МФЦ portal: ``api`` is what both sides of it say, ``client`` calls it."""
