"""Step: what a model is, what of it would enter an image, and which common GPUs it fits on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from carferry.errors import InputError
from carferry.form.readers import read_model
from carferry.gpu.loaded.params import parameter_count
from carferry.gpu.search.decide import understand
from carferry.gpu.search.overview import GpuFit, overview
from carferry.gpu.vllm.version import find_version
from carferry.image.layers import arrange
from carferry.io.net.retry import Retry
from carferry.io.show.progress import Progress
from carferry.selection.patterns import Patterns
from carferry.source.open import pinned
from carferry.source.pieces import Pieces
from carferry.steps.access import open_access, patience, shown
from carferry.steps.defaults import SERVED
from carferry.steps.fit import FitSettings
from carferry.steps.looked import Look, Nature
from carferry.steps.models import open_model
from carferry.steps.remarks import remarks
from carferry.steps.seen import Seen, see
from carferry.weights.safetensors import Header

_BASE_LAYERS = 1
_DTYPES_SHOWN = 2


def look(
    model: str | Path,
    *,
    revision: str = "",
    max_model_len: int = 0,
    max_num_seqs: int = 0,
    quantization: str = "",
    family: str = "",
    vllm: str = SERVED,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    allow_no_weights: bool = False,
    plain_http: Sequence[str] = (),
    ca_file: str | Path | None = None,
    progress: Progress | bool = False,
    retry: Retry | None = None,
    opened: Pieces | None = None,
) -> Look:
    """Say what a model is, what of it would enter an image, and which common GPUs it fits on.

    Reads its small files and the headers of its weights, each once.

    Args:
        model: ``org/name[@revision]`` on the hub, a folder as ``./path``, or an image that holds
            it, as ``oci://host/repository:tag``.
        revision: Branch, tag or commit, if ``model`` names none.
        max_model_len: Context that must fit, tokens; 0: the longest that does.
        max_num_seqs: Sequences at once; 0: what fits.
        quantization: ``fp8`` to quantize while loading.
        family: ``gqa`` plans an unknown architecture as a plain decoder.
        vllm: Version of vLLM that will serve, or the image with it.
        include: Globs, as for the build.
        exclude: Globs, as for the build.
        allow_no_weights: As for the build.
        plain_http: Registry hosts without TLS, for a model in an image.
        ca_file: PEM certificates to trust, of any server: a file or a folder.
        progress: True tells of long silences, on stderr.
        retry: How often what fails for the moment is tried again.
        opened: The same model, if it was opened before: what was read of it is not read again.

    Returns:
        The model's nature and sizes in bytes, and a row for each GPU; or, for a model that the
        GPU plan does not know, why there are none.

    Raises:
        IncompleteModel: A file is broken or missing.
        InputError: No such model, or no server could load it.
        SourceError: The hub or the folder failed.

    Example:
        >>> import carferry
        >>> carferry.look("./model").fits[0].verdict
        'fits'
    """
    how = FitSettings(
        revision=revision, max_model_len=max_model_len, max_num_seqs=max_num_seqs,
        quantization=quantization, family=family, vllm=vllm, include=include, exclude=exclude,
        allow_no_weights=allow_no_weights, plain_http=plain_http, ca_file=ca_file,
    )  # fmt: skip
    how.check()
    how, said = how.versioned()
    again, name, display = retry or patience(), read_model(model), shown(progress)
    access = replace(open_access(how.plain_http, how.ca_file), retry=again).reporting(display)
    pieces = opened or Pieces(open_model(name, how.revision, access, display))
    wanted = Patterns.parse(how.include, how.exclude, how.allow_no_weights)
    with display.phase(f"reading what {name} holds", pieces.source.host):
        return _looked(name, see(pieces, wanted, again), how, said)


def _looked(name: str, seen: Seen, how: FitSettings, said: tuple[str, ...]) -> Look:
    files, listed = seen.selection.files, seen.pieces.listing
    nature, fits, reason = _weighed(seen, files.repo or name, how)
    known = remarks(seen.selection)
    version = find_version(how.vllm or SERVED).note
    known["notes"] = (*known["notes"], *said, *filter(None, (version,)))
    return Look(
        pinned(name, files),
        files.repo,
        files.commit,
        nature,
        files.license,
        seen.pieces.source.gated,
        len(files.files),
        files.size_bytes,
        len(listed.files),
        listed.size_bytes,
        len(arrange(files.files, base_layers=_BASE_LAYERS)),
        how.vllm,
        fits,
        reason,
        **known,
    )


def _weighed(seen: Seen, subject: str, how: FitSettings) -> tuple[Nature, tuple[GpuFit, ...], str]:
    """Return what a model is, and its rows or why there are none."""
    dtype, config = _dtypes(seen.headers), None
    try:
        config = seen.config()
        known = understand(
            config, read_range=seen.pieces.read, files=seen.sizes, headers=seen.headers,
            subject=subject, family=how.family, arguments=seen.selection.arguments,
        )  # fmt: skip
    except InputError as error:
        hint = f"; {error.remedy}" if error.remedy else ""
        return _bare(config or {}, seen.headers, dtype), (), f"{error.reason}{hint}"
    shape = known.shape
    rows = overview(known, how.goal(seen.selection.files.size_bytes))
    if shape.unknown:  # what a config of an unknown form says is not counted from
        return _bare(config or {}, seen.headers, dtype), rows, ""
    nature = Nature(
        shape.architecture or shape.model_type,
        parameter_count(shape),
        dtype or shape.dtype,
        shape.quantization.method if shape.quantization else "",
        shape.positions,
    )
    return nature, rows, ""


def _bare(config: Mapping[str, Any], headers: Mapping[str, Header], dtype: str) -> Nature:
    """Return what a model is that nobody knows: what its config says, and what is stored."""
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else config.get("model_type")
    length = config.get("max_position_embeddings")
    count = sum(tensor.count for header in headers.values() for tensor in header.tensors)
    context = length if type(length) is int and length > 0 else 0
    return Nature(name if isinstance(name, str) else "", count, dtype, "", context)


def _dtypes(headers: Mapping[str, Header]) -> str:
    """Return the dtypes of the weights as they are stored, the one with most bytes first."""
    sizes: Counter[str] = Counter()
    for header in headers.values():
        for tensor in header.tensors:
            sizes[tensor.dtype] += tensor.size_bytes
    return ", ".join(dtype for dtype, _ in sizes.most_common(_DTYPES_SHOWN))
