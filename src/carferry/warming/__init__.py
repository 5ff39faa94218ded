"""Warm nodes: an image pulled where it will be served, before the switch to it."""
