"""One field of a form: its name, its default, its help, and how it is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from carferry.form.readers import read_text

Reader = Callable[[str, Any], Any]
"""Makes a value of what is given for a field of that name (``carferry.form.readers``)."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of a form.

    Attributes:
        name: As forms, command lines and Python callers write it.
        default: As a form shows it, in text.
        help: One line.
        read: Makes a value of what is given.
    """

    name: str
    default: str
    help: str
    read: Reader = read_text

    def value(self, given: Any = None) -> Any:
        """Return what is given as a value of this field's type; None is its default.

        Raises:
            InputError: It cannot be read.
        """
        return self.read(self.name, self.default if given is None else given)
