"""Metrics to Elasticsearch; never block work."""
