"""The listeners the adapter serves: health now."""
