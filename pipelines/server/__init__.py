"""A pipelines API server: pipelines uploaded, runs started and scheduled."""
