"""Step: an image checked against the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from carferry.errors import InputError
from carferry.form.readers import read_image, read_model, read_parallel
from carferry.image import inspection
from carferry.image.inspection import Inspection
from carferry.image.layers import ROOT
from carferry.image.unpack import ALL_HEADS_BYTES, Budget
from carferry.image.verify import Verified
from carferry.image.verify import verify as verify_files
from carferry.io.show.progress import Progress
from carferry.refs import parse_image
from carferry.registry.access import Access
from carferry.source.open import pinned
from carferry.source.snapshot import ContentId, Snapshot
from carferry.steps.access import open_access, shown
from carferry.steps.inspected import Inspected
from carferry.steps.models import open_model
from carferry.steps.whole import Examined, examine_image


def inspect(
    image: str,
    *,
    plain_http: Sequence[str] = (),
    ca_file: str | Path | None = None,
    require: bool = False,
    verify: bool = False,
    model: str | Path = "",
    revision: str = "",
    parallel: int = 4,
    progress: Progress | bool = False,
) -> Inspected:
    """Check an image against the contract that KServe's modelcar mode relies on.

    Reads manifest, config and tar headers, not the weights; with ``verify`` every byte of them.
    Of an artifact it says what it is; a damaged layer breaks a clause, and what a layer beyond
    the limits may hold is None, and not broken.

    Args:
        image: ``docker://host/repository:tag``, by digest likewise, or ``oci:path:tag``.
        plain_http: Registry hosts without TLS.
        ca_file: PEM certificates to trust besides, a file or a folder.
        require: Raise if a clause is broken, as the result's ``require()`` does.
        verify: Look whether the model is whole, read every layer, and compare every file with
            the id that the image carries.
        model: Compare with the ids of this model or folder instead; implies ``verify``.
        revision: Of that model; empty means what ``model`` says, or ``main``.
        parallel: Layers read at once.
        progress: True shows what is read, on stderr.

    Returns:
        Files and layers with their sizes in bytes, and each clause of the contract.

    Raises:
        InputError: A reference that cannot be parsed.
        ContractViolation: With ``require``, names every broken clause.
        TargetError: No such image, or the registry refused or failed.

    Example:
        >>> import carferry
        >>> built = carferry.build("./model", "oci:out:latest", base="embedded")
        >>> carferry.inspect(built.reference).require().ok
        True
    """
    at_once, display = read_parallel("parallel", parallel), shown(progress)
    access = open_access(plain_http, ca_file).reporting(display)
    access = replace(access, connections=max(access.connections, at_once))
    target = access.open(parse_image(read_image(image)))
    checks, is_deep = list[Verified | Examined](), verify or bool(model)
    budget = Budget(head_bytes=ALL_HEADS_BYTES) if is_deep else None
    with display.phase(f"reading {target.ref}", target.ref.host):
        seen = inspection.inspect(target, budget=budget)
    if is_deep:
        ids = _ids_of(read_model(model), revision, seen, access, display) if model else _OWN
        examined = examine_image(target, seen, access.retry)
        checks += [examined] if examined else []
        compared = verify_files(
            target, ids.promises, source=ids.source,
            parallel=at_once, retry=access.retry, progress=display,
        )  # fmt: skip
        checks.append(compared)
    found = Inspected.of(seen, target, checks)
    return found.require() if require else found


@dataclass(frozen=True, slots=True)
class _Ids:
    """What files are compared with: a source's own ids by path, or those an image carries."""

    promises: Mapping[str, ContentId] | None = None
    source: str = ""


_OWN = _Ids()


def _ids_of(model: str, revision: str, seen: Inspection, access: Access, display: Progress) -> _Ids:
    """Ask a source for the ids of the files that an image has."""
    held = {e.path.removeprefix(f"{ROOT}/") for e in seen.models if e.kind == "file"}
    source = open_model(model, revision, access, display)
    listed = [file.path for file in source.listing().files]
    snapshot = source.snapshot([path for path in listed if path in held])
    _check_provable(model, snapshot)
    promises = {file.path: file.content for file in snapshot.files}
    return _Ids(promises, f"the ids of {pinned(model, snapshot)}")


def _check_provable(model: str, snapshot: Snapshot) -> None:
    tagged = [file.path for file in snapshot.files if not file.content.is_provable]
    if tagged:
        raise InputError(
            "compare with", model,
            f"only an entity tag names {tagged[0]}, and no bytes can be compared with one",
            "download the model and name the folder with --model",
        )  # fmt: skip
