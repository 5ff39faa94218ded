"""Defaults that a command's help tells before any step is loaded, which takes longer than most."""

from carferry.image.defaults import DEFAULT as DEFAULT_BASE
from carferry.image.defaults import PLATFORM as DEFAULT_PLATFORM

__all__ = ["DEFAULT_BASE", "DEFAULT_PLATFORM", "DEFAULT_RATE", "GO_ON", "SERVED", "STOP"]

DEFAULT_RATE = 125_000_000.0
SERVED = "0.24.0"
"""The version in the default serving image: the plan must be for what will run."""
GO_ON, STOP = "go on", "stop"
"""What becomes of a model that the plan does not know: a warning, or a refusal."""
