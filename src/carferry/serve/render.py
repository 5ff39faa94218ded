"""Objects as YAML for GitOps: the same bytes for the same objects, on any machine."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import yaml

from carferry.cluster.kinds import Object
from carferry.io import named

# Plain only if every YAML reader, 1.1 and 1.2, sees a string: a letter first, nothing that
# is an indicator, and none of the words some readers take for booleans, nulls or numbers.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_TYPED = re.compile(r"(?i)y|n|yes|no|on|off|true|false|null|nan|inf")


class _Dumper(yaml.SafeDumper):
    """Indented lists, no aliases, strings quoted wherever a reader could mistake them."""

    def ignore_aliases(self, data: object) -> bool:
        """Write equal values out each time: anchors are hard to review."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists under their key."""
        super().increase_indent(flow, False)


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    plain = _PLAIN.fullmatch(text) and not _TYPED.fullmatch(text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if plain else '"')


_Dumper.add_representer(str, _write_text)


def render(objects: Iterable[Object]) -> str:
    """Write objects as one ASCII YAML stream, a document each, in the order given.

    That order (Secret, ServingRuntime, InferenceService, the rest) is the one ``kubectl apply``
    needs: admission refuses an InferenceService whose connection Secret is missing.
    """
    return yaml.dump_all(
        objects,
        Dumper=_Dumper,
        explicit_start=True,
        sort_keys=False,
        allow_unicode=False,
        default_flow_style=False,
        width=2**31,  # never folded: a folded string differs between emitters
    )


def write(objects: Iterable[Object], path: Path) -> None:
    """Write the rendered objects to path, as ``carferry.io.named`` writes.

    Raises:
        InputError: The folder is missing or not writable.
        StorageFull: No space left there.
    """
    named.save(path, render(objects).encode("ascii"))
