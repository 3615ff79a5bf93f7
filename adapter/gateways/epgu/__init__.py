"""ЕПГУ: orders through its REST API, tokens of ЕСИА, archives in chunks, limits held before ЕПГУ refuses."""
