"""A whole run of a pipeline: its settings, checked and sized before anything moves."""
