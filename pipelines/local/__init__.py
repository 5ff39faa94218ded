"""A pipeline run on this machine, each step a process."""
