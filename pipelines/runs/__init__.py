"""Runs on a pipelines API server: followed to their end, and why they failed."""
