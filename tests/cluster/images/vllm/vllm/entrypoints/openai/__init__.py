"""Stands in for vLLM in the tests of a real node."""
