"""Step: several models on the same GPUs; what each needs, and what it would give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from carferry.errors import DoesNotFit, InputError
from carferry.form.readers import read_count, read_model, read_texts
from carferry.io.show.progress import Progress
from carferry.steps.access import shown
from carferry.steps.comparison import Comparison
from carferry.steps.fit import fit
from carferry.steps.fit_settings import FIT_DEFAULTS, FitKeywords, FitSettings
from carferry.steps.fitted import Fit
from carferry.steps.signature import takes


@takes(FitKeywords, FIT_DEFAULTS)
def compare(
    models: Sequence[str],
    *,
    sequences: int = 1,
    kubeconfig: str | Path | None = None,
    context: str = "",
    progress: Progress | bool = False,
    **settings: Unpack[FitKeywords],
) -> Comparison:
    """Compare what several models need of the same GPUs, and what they would give there.

    A model that cannot be read or planned is a row that says why; the others are compared.

    Args:
        models: Each as ``fit`` takes it, the one that you would rather have first.
        sequences: Of the whole context, at once, that must be served; sets the replicas.
        kubeconfig: File with the cluster whose GPUs count if none is named.
        context: Of the kubeconfig; empty means the current one.
        progress: True says which model is read.
        **settings: The fields of ``carferry.FitSettings``, the same for every model.

    Returns:
        A row for each model; a notebook shows it as a table with a chart.

    Raises:
        InputError: A setting cannot be meant, or no model is named.
        ClusterError: No GPU is named, and the cluster cannot be read.
        DoesNotFit: The cluster has no GPU at all.

    Example:
        >>> import carferry
        >>> both = carferry.compare(["./model", "./none"], gpus="L40S", max_model_len=512)
        >>> [(row.model, row.verdict) for row in both.rows]
        [('model', 'fits'), ('./none', 'unknown')]
        >>> both.choice.deployment["gpus"]
        1
    """
    names = [read_model(each) for each in read_texts("models", models)]
    if not names:
        raise InputError("compare", "models", "none is named", "name two or more")
    wanted = max(1, read_count("sequences", sequences))
    FitSettings(**settings).check()
    display = shown(progress)
    with display.phase("reading models"):
        found = tuple(
            (name, _planned(name, kubeconfig, context, display, settings)) for name in names
        )
    return Comparison(found, wanted)


def _planned(
    name: str,
    kubeconfig: str | Path | None,
    context: str,
    display: Progress,
    settings: FitKeywords,
) -> Fit | str:
    """Return a model's fit, or why there is none."""
    display.note(f"reading {name}")
    try:
        return fit(name, kubeconfig=kubeconfig, context=context, **settings)
    except DoesNotFit:  # there is no GPU at all
        raise
    except InputError as error:
        return f"{error.reason}; {error.remedy}" if error.remedy else error.reason
