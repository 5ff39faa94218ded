"""carferry: from a Hugging Face model to a ModelCar image that KServe serves.

- ``look``: what a model is, and which common GPUs it fits on; ``compare``: several on the same
- ``plan``, ``fit``: what would move, and whether it fits; nothing is written
- ``build``: a model as a tagged image, by one process
- ``stream``, ``seal``: the same by many processes, a share each, and then the tag
- ``download``, ``push``: a model into a folder, an image from one place to another
- ``inspect``: an image checked against what KServe needs
- ``render``, ``deploy``, ``delete``: the objects that serve an image, as YAML, applied, removed
- ``test_endpoint``, ``warm``: does it answer and how fast; an image pulled before it is served

Each is loaded when it is first used, with what it needs. Errors are those of ``carferry.errors``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from carferry.errors import (
        AuthenticationFailed,
        BrokenFile,
        CarferryError,
        ClusterError,
        ContractViolation,
        DeadlineExceeded,
        DeploymentFailed,
        DoesNotFit,
        EndpointFailed,
        IncompleteModel,
        InputError,
        InvalidName,
        InvalidReference,
        ManifestMissing,
        NothingSelected,
        PushDenied,
        RightsMissing,
        SourceChanged,
        SourceDenied,
        SourceError,
        SourceNotFound,
        StorageFull,
        TargetError,
        ToolFailed,
        Unreachable,
        UnsafePath,
        UnsafeWeights,
        UnsupportedModel,
    )
    from carferry.serve.deployed import Deployed
    from carferry.serve.removal import Removed
    from carferry.steps.build import build
    from carferry.steps.compare import compare
    from carferry.steps.comparison import Comparison
    from carferry.steps.delete import delete
    from carferry.steps.deploy import deploy, render
    from carferry.steps.download import download
    from carferry.steps.endpoint import test_endpoint
    from carferry.steps.fit import fit
    from carferry.steps.fit_settings import FitSettings
    from carferry.steps.fitted import Fit
    from carferry.steps.inspect import inspect
    from carferry.steps.inspected import Inspected
    from carferry.steps.look import look
    from carferry.steps.looked import Look
    from carferry.steps.plan import plan
    from carferry.steps.push import push
    from carferry.steps.results import Built, Downloaded, Planned, PlannedLayer, Streamed
    from carferry.steps.settings import BuildahJob, BuildSettings
    from carferry.steps.stream import seal, stream
    from carferry.steps.tested import Tested
    from carferry.steps.warm import warm
    from carferry.steps.warmed import Warmed

_HOMES = {
    "carferry.errors": (
        "AuthenticationFailed",
        "BrokenFile",
        "CarferryError",
        "ClusterError",
        "ContractViolation",
        "DeadlineExceeded",
        "DeploymentFailed",
        "DoesNotFit",
        "EndpointFailed",
        "IncompleteModel",
        "InputError",
        "InvalidName",
        "InvalidReference",
        "ManifestMissing",
        "NothingSelected",
        "PushDenied",
        "RightsMissing",
        "SourceChanged",
        "SourceDenied",
        "SourceError",
        "SourceNotFound",
        "StorageFull",
        "TargetError",
        "ToolFailed",
        "Unreachable",
        "UnsafePath",
        "UnsafeWeights",
        "UnsupportedModel",
    ),
    "carferry.serve.deployed": ("Deployed",),
    "carferry.serve.removal": ("Removed",),
    "carferry.steps.build": ("build",),
    "carferry.steps.compare": ("compare",),
    "carferry.steps.comparison": ("Comparison",),
    "carferry.steps.delete": ("delete",),
    "carferry.steps.deploy": ("deploy", "render"),
    "carferry.steps.download": ("download",),
    "carferry.steps.endpoint": ("test_endpoint",),
    "carferry.steps.fit": ("fit",),
    "carferry.steps.fit_settings": ("FitSettings",),
    "carferry.steps.fitted": ("Fit",),
    "carferry.steps.inspect": ("inspect",),
    "carferry.steps.inspected": ("Inspected",),
    "carferry.steps.look": ("look",),
    "carferry.steps.looked": ("Look",),
    "carferry.steps.plan": ("plan",),
    "carferry.steps.push": ("push",),
    "carferry.steps.results": (
        "Built",
        "Downloaded",
        "Planned",
        "PlannedLayer",
        "Streamed",
    ),
    "carferry.steps.settings": ("BuildahJob", "BuildSettings"),
    "carferry.steps.stream": ("seal", "stream"),
    "carferry.steps.tested": ("Tested",),
    "carferry.steps.warm": ("warm",),
    "carferry.steps.warmed": ("Warmed",),
}
_NAMES = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AuthenticationFailed",
    "BrokenFile",
    "BuildSettings",
    "BuildahJob",
    "Built",
    "CarferryError",
    "ClusterError",
    "Comparison",
    "ContractViolation",
    "DeadlineExceeded",
    "Deployed",
    "DeploymentFailed",
    "DoesNotFit",
    "Downloaded",
    "EndpointFailed",
    "Fit",
    "FitSettings",
    "IncompleteModel",
    "InputError",
    "Inspected",
    "InvalidName",
    "InvalidReference",
    "Look",
    "ManifestMissing",
    "NothingSelected",
    "Planned",
    "PlannedLayer",
    "PushDenied",
    "Removed",
    "RightsMissing",
    "SourceChanged",
    "SourceDenied",
    "SourceError",
    "SourceNotFound",
    "StorageFull",
    "Streamed",
    "TargetError",
    "Tested",
    "ToolFailed",
    "Unreachable",
    "UnsafePath",
    "UnsafeWeights",
    "UnsupportedModel",
    "Warmed",
    "build",
    "compare",
    "delete",
    "deploy",
    "download",
    "fit",
    "inspect",
    "look",
    "plan",
    "push",
    "render",
    "seal",
    "stream",
    "test_endpoint",
    "warm",
]


def __getattr__(name: str) -> object:
    """Load a public name from where it is defined (PEP 562)."""
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(_NAMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
