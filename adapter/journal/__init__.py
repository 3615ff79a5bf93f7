"""Postgres: migrations, the one group-committing writer, claims and proof."""
