"""The library as one ConfigMap that every step mounts, and the command that starts a step from it.

Argo keeps five copies of what a retried task carries, in a Workflow of at most 1 MiB, so a
compiled component carries as little as possible. The library travels beside the run, with the
components' sources and requirements, in a ConfigMap named by version and digest
(docs/adr/0016-library-by-volume.md).
"""

from __future__ import annotations

import base64
import bz2
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from carferry import __version__
from carferry.bundle import closure, shrinking
from carferry.bundle.start import STEPS
from carferry.cluster.pod import MOUNTED
from carferry.errors import InputError

FOLDER = f"{MOUNTED}/library"
"""Mount of the ConfigMap in a step's pod."""
START, ARCHIVE = "start.py", "carferry.zip.bz2"
LABELS = {
    "app.kubernetes.io/component": "library",
    "app.kubernetes.io/part-of": "carferry",
    "app.kubernetes.io/version": __version__,
}
MAX_BYTES = 1_000_000
"""Of the archive: a ConfigMap holds 1 MiB, the script beside it included.

A client-side ``oc apply`` would keep the object, in base64, in one annotation of 262,144 bytes; so
it is applied on the server's side, which keeps none (docs/adr/0043-preflight-and-drift.md).
"""
_STORED = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip can hold

# Short, since Argo keeps five copies for every worker; single quotes, since every double one is
# escaped twice there. kfp's local runner knows a Python component by kfp.dsl.executor_main.
_COMMAND = """\
# starts kfp.dsl.executor_main from the mounted library
import hashlib,os,sys
f=os.environ.get('CARFERRY_LIBRARY','%s')
try: s,a=(open(f+n,'rb').read() for n in ('/%s','/%s'))
except OSError: s=a=b''
if hashlib.sha256(s+a).hexdigest()!='%s':
 t='carferry: error: mount ConfigMap %s: '+('wrong bytes' if s else 'not in this project')
 t+='; oc apply --server-side -f carferry-library.yaml'
 p='/dev/termination-log'
 if os.access(p,2): open(p,'w').write(t)
 sys.exit(t)
exec(s,{'archive':a})
"""
ENTER = "import carferry.cluster.pod; carferry.cluster.pod.enter()\n"
"""First line of every step, carried or installed."""


@dataclass(frozen=True, slots=True)
class StepSource:
    """A component's function as text, and the packages it imports.

    Attributes:
        source: Of its function, as kfp's executor loads it.
        requirements: Pinned packages.
        optional: More of them, for runs one of whose inputs holds a text, by that text.
    """

    source: str
    requirements: tuple[str, ...]
    optional: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def json(self) -> dict[str, object]:
        """The form in which ``start.py`` reads it."""
        optional = {text: list(packages) for text, packages in self.optional.items()}
        return {
            "requirements": list(self.requirements),
            "source": self.source,
            **({"optional": optional} if optional else {}),
        }


@dataclass(frozen=True, slots=True)
class Library:
    """The library's sources, packed, and the script that starts a step from them.

    Attributes:
        start: Source of ``start.py``.
        archive: bz2 of a zip of stored members: bytes that follow from the sources alone.
    """

    start: str
    archive: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of both, 64 hex digits."""
        return hashlib.sha256(self.start.encode("ascii") + self.archive).hexdigest()

    @property
    def name(self) -> str:
        """Name of the ConfigMap; it becomes a volume's name, so it has no dots."""
        version = re.sub("[^a-z0-9]+", "-", __version__.lower())
        return f"carferry-library-{version}-{self.digest[:12]}"

    @property
    def command(self) -> list[str]:
        """A component's command: checks what is mounted and starts from it; under 700 B."""
        return ["python3", "-c", _COMMAND % (FOLDER, START, ARCHIVE, self.digest, self.name)]

    @property
    def manifest(self) -> str:
        """The ConfigMap as YAML, ASCII; immutable, since its name is made from its bytes."""
        labels = "".join(f"    {name}: {value}\n" for name, value in sorted(LABELS.items()))
        start = "".join(f"    {line}".rstrip() + "\n" for line in self.start.splitlines())
        return (
            "apiVersion: v1\n"
            "kind: ConfigMap\n"
            f"metadata:\n  name: {self.name}\n  labels:\n{labels}"
            "immutable: true\n"
            f"data:\n  {START}: |\n{start}"
            f"binaryData:\n  {ARCHIVE}: {base64.b64encode(self.archive).decode('ascii')}\n"
        )


def pack(sources: Mapping[str, str], steps: Mapping[str, StepSource]) -> Library:
    """Pack modules, text by dotted name, and components by theirs.

    Stored members, and bz2 over all of them: deflate's bytes depend on which zlib a Python is
    linked with, bz2 has one implementation.

    Raises:
        InputError: More than MAX_BYTES, or a source that is not ASCII.
    """
    members = {closure.path_of(n).as_posix(): shrinking.shrink(t) for n, t in sources.items()}
    members[STEPS] = json.dumps({name: step.json for name, step in steps.items()}, sort_keys=True)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, text in sorted(members.items()):
            member = zipfile.ZipInfo(name, _STORED)
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, text)
    start = Path(__file__).with_name(START).read_text(encoding="ascii")
    made = Library(start, bz2.compress(out.getvalue(), 9))
    if len(made.archive) > MAX_BYTES:
        reason = f"{len(members)} files are {len(made.archive)} bytes packed, at most {MAX_BYTES}"
        raise InputError("pack library", "carferry", reason, "compile with --image")
    return made
