"""The variables that carferry sets for others: programs that it starts, pods that it makes."""

from __future__ import annotations

from collections.abc import Iterator

from carferry.assembly import buildah_job
from carferry.io.net.certificates import VARIABLES as BUNDLES
from carferry.pipelines.reference.table import table
from carferry.serve.objects import llm, spread
from carferry.serve.objects.runtime import RUNTIME_ENV

SCRATCH = "/scratch"
RUNTIME_IMAGE = {
    "PYTHONPATH": "Where the packages are, before what the base says",
    "PYTHONDONTWRITEBYTECODE": "`1`",
    "_KFP_RUNTIME": "`true`: kfp imports its executor alone",
    "HOME": "`/tmp`, unless the base says another",
}
"""Of the image that `carferry runtime` makes."""
_STEPS = {
    "SSL_CERT_FILE, REQUESTS_CA_BUNDLE": "Certificates of the system, the cluster "
    "and the project in one file, if there are more than the system's",
    ", ".join(
        [*(b for b in BUNDLES if b.startswith(("CURL", "AWS"))), "PIP_CERT"]
    ): "The same, where it was set",
    "NO_PROXY, no_proxy": "With a proxy: the cluster's own names besides",
    "PYTHONPATH": "The mounted library, before what was there",
    "_KFP_RUNTIME": "`true`",
}
_LOCAL = {
    "PYTHONUNBUFFERED": "`1`: lines of a local run's steps come at once",
    "PYTHONWARNINGS": "`ignore`: without the libraries' warnings",
}
_MEANS = {
    "HF_HOME": "Cache of the hub",
    "HF_HUB_OFFLINE": "The hub is not asked: the model is in the image",
    "HOME": "Any user may write there",
    "TORCHINDUCTOR_CACHE_DIR": "Compiled code of PyTorch",
    "TRITON_CACHE_DIR": "Compiled code of Triton",
    "USER": "A name for a user that the image does not know",
    "VLLM_CACHE_ROOT": "Caches of vLLM",
}
_MORE = {
    spread.ADDRESS["name"]: "Address of the pod, with `nodes` above 1",
    llm._ARGS: "Arguments for vLLM, of an LLMInferenceService",
}
_HEAD = """
## Set for others

What carferry sets in the pods that it deploys, in Buildah's Job, in the steps of a pipeline and in
the image of `carferry runtime`. A value of your own for the server goes first:
`--env NAME=VALUE` (`env` in [settings](settings.md)). A runtime of OpenShift AI's own Template has
the variables of that Template instead.

"""


def section() -> str:
    """Return the section of the page of environment variables."""
    head = ("Variable", "Where", "Value or meaning")
    return _HEAD + table(head, ((_named(names), where, text) for names, where, text in rows()))


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield the variables, where they are set, and to what."""
    for name, value in RUNTIME_ENV.items():
        yield name, "server", f"`{value}`: {_MEANS[name]}"
    yield from ((name, "server", text) for name, text in _MORE.items())
    for name, value in buildah_job.environment(SCRATCH).items():
        yield name, "Buildah", f"`{value}`"
    yield from ((name, "step of a pipeline", text) for name, text in _STEPS.items())
    yield from ((name, "step of a local run", text) for name, text in _LOCAL.items())
    yield from ((name, "`carferry runtime`", text) for name, text in RUNTIME_IMAGE.items())


def _named(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", "))
