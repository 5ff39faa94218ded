"""The page of environment variables: every one that is read, and by whom."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from carferry.bundle.component import IMAGE_VARIABLE
from carferry.cli import build_parser
from carferry.cli.variables import long_name, names_of
from carferry.cluster import pod
from carferry.io.net.certificates import VARIABLES as BUNDLES
from carferry.pipelines import command as pipelines
from carferry.pipelines.reference import given
from carferry.pipelines.reference.table import table

PAGE = Path("docs/reference/environment.md")
_HEAD = """\
# Environment variables

Every variable that carferry reads, and those that it [sets for others](#set-for-others). Generated
from the argument parsers and `carferry.pipelines.reference.environment` by
`python -m carferry.pipelines.reference`; a test compares it with what the source reads. An empty
variable is none.

"""
_LOWER = "; the name in lower case counts before it"
READ: Mapping[str, Mapping[str, str]] = {
    "Hugging Face hub": {
        "HF_TOKEN": "Token for private and gated models",
        "HUGGING_FACE_HUB_TOKEN": "The same, its older name",
        "HF_TOKEN_PATH": "File that holds the token, if no variable does; default: in `HF_HOME`",
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1: no token is sent",
        "HF_ENDPOINT": "Address of a mirror; may hold a login for it",
        "HF_HUB_OFFLINE": "1: the hub is not asked, models come from its cache",
        "TRANSFORMERS_OFFLINE": "The same, its older name",
        "HF_HUB_CACHE": "Cache of the hub; files that are there are not fetched",
        "HUGGINGFACE_HUB_CACHE": "The same, its older name",
        "HF_HOME": "Folder of cache and token; default: `huggingface` in `XDG_CACHE_HOME`",
        "XDG_CACHE_HOME": "Folder of caches; default: `~/.cache`",
    },
    "S3": {
        "AWS_ACCESS_KEY_ID": "Key; so are the others of AWS's chain, read by botocore",
        "AWS_SECRET_ACCESS_KEY": "Its secret",
        "AWS_SESSION_TOKEN": "Token of a session",
        "AWS_PROFILE": "Profile of `~/.aws`, read by botocore",
        "AWS_S3_BUCKET": "Bucket, where the reference names none",
        "AWS_S3_ENDPOINT": "Address of the server; counts first",
        "AWS_ENDPOINT_URL_S3": "The same; counts second",
        "AWS_ENDPOINT_URL": "The same; counts last",
        "AWS_DEFAULT_REGION": "Region; counts first",
        "AWS_REGION": "Region",
    },
    "Registry logins": {
        "REGISTRY_AUTH_FILE": "File of logins, as podman's; counts first",
        "DOCKER_AUTH_CONFIG": "Text of such a file; counts second",
        "DOCKER_CONFIG": "Folder whose `config.json` holds logins; counts third",
        "XDG_RUNTIME_DIR": "`containers/auth.json` in it is podman's file",
        "XDG_CONFIG_HOME": "`containers/auth.json` in it; default: `~/.config`",
        "HOME": "`~`: podman's and docker's files, certificates, kubeconfig, caches",
        "PATH": "Where credential helpers, buildah and other programs are",
    },
    "Proxies": {
        "HTTPS_PROXY": f"Proxy for `https` addresses{_LOWER}",
        "HTTP_PROXY": f"Proxy for `http` addresses{_LOWER}; not read in a CGI script",
        "ALL_PROXY": f"Proxy for both{_LOWER}",
        "NO_PROXY": "Hosts that are reached without; `no_proxy` counts instead of it",
        "REQUEST_METHOD": "Set in a CGI script, where `HTTP_PROXY` comes from the client",
    },
    "Trusted certificates": dict.fromkeys(
        BUNDLES, "File or folder of certificates to trust besides, PEM"
    ),
    "Kubernetes and pipelines": {
        "KUBECONFIG": "Login to the cluster; default: `~/.kube/config`",
        "KUBERNETES_SERVICE_HOST": "Set in pods: the cluster is reached as the ServiceAccount",
        pod.POD: "Set by Kubeflow Pipelines in every step",
        "JPY_PARENT_PID": "Set in notebooks: somebody waits, so it is tried for less long",
        IMAGE_VARIABLE: "Image that steps run in, where `--image` names none",
        "_KFP_RUNTIME": "Set for the steps of a pipeline: components load without a compiler",
        "PYTHONPATH": "Kept, behind the mounted library of a step",
    },
    "Terminal and files": {
        "NO_COLOR": "Not empty: progress as lines, no bars",
        "TERM": "`dumb` or empty: the same",
        "COLUMNS": "Width of a terminal that does not say its own",
        "LINES": "Its height",
        "TMPDIR": "Folder of temporary files",
        "XDG_DATA_HOME": "`carferry/calibration.json` in it; default: `~/.local/share`",
        "_ARGCOMPLETE": "Set by the shell when it completes a line by Tab",
    },
    "pip, for `carferry runtime` and steps without an image of their own": {
        "PIP_INDEX_URL": "Package index",
        "PIP_EXTRA_INDEX_URL": "Another one; all of pip's variables count",
        "PIP_CERT": "In a pod: named anew, with the project's certificates",
        "PIP_QUIET": "Left out: failures are read from pip's log",
    },
    "In the pod of a step": {
        "CARFERRY_CLAIM": "Folder of the mounted claim that holds the model",
        "CARFERRY_S3_CONNECTION": "Folder of the mounted S3 connection",
        "CARFERRY_LIBRARY": "Folder of the mounted library",
    },
    "Notebooks": {
        "CARFERRY_NOTEBOOK_LOCAL": "1: `modelcar.ipynb` needs no cluster",
        "CARFERRY_NOTEBOOK_MODEL": "Model of `modelcar.ipynb`",
        "CARFERRY_NOTEBOOK_MODELS": "Models of `compare.ipynb`, between blanks",
        "CARFERRY_NOTEBOOK_GPUS": "GPUs that both plan for",
        "CARFERRY_NOTEBOOK_IMAGE": "Image that is built",
        "CARFERRY_NOTEBOOK_BASE": "Its base",
        "CARFERRY_NOTEBOOK_PLAIN_HTTP": "Registry without TLS",
        "CARFERRY_NOTEBOOK_PULL_SECRET": "Secret to pull it with; default: `carferry-registry`",
        "CARFERRY_NOTEBOOK_HOST": "Pipeline server",
        "CARFERRY_NOTEBOOK_PROJECT": "Project of the run and of the deployment",
        "CARFERRY_NOTEBOOK_TOKEN_FILE": "Token for the pipeline server",
        "CARFERRY_NOTEBOOK_PAGES": "Address of its pages; default: the pipeline server",
        "CARFERRY_NOTEBOOK_ENDPOINT": "Endpoint that is asked; default: the deployment",
    },
}
"""Variables by group, with what they mean."""
_POD = f"""
## Keys of a project's ConfigMap

A step of a pipeline reads these keys of the ConfigMap `carferry-environment`, or of the registry's
Secret, and sets the variables of that name:
{", ".join(f"`{name}`" for name in pod.VARIABLES)}.
Certificates are the keys {", ".join(f"`{name}`" for name in pod.AUTHORITIES)}.
"""
_OPTIONS = """
## Options

Every option has a variable, and one for each command, which counts first: `CARFERRY_PARALLEL`, and
`CARFERRY_BUILD_PARALLEL` for `carferry build`. What the command line says wins over both. How
values are written is in [command line](command-line.md).

"""
_PIPELINES = """
`python pipelines/modelcar.py` reads none of these, but its own:

"""


def page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD]
    for group, names in READ.items():
        rows = [(f"`{name}`", about) for name, about in names.items()]
        parts.append(f"## {group}\n\n{table(('Variable', 'Meaning'), rows)}\n")
    options = ((f"`{name}`", *found) for name, found in sorted(_options().items()))
    shown = table(("Variable", "Option", "Commands"), options)
    parts += [_POD.lstrip(), given.section(), _OPTIONS, shown, _PIPELINES]
    own = ((f"`{name}`", f"`{option}`") for name, option in _of_pipelines())
    return "".join([*parts, table(("Variable", "Option"), own)])


def _options() -> dict[str, tuple[str, str]]:
    """Return of each variable of all commands the option and the commands that have it."""
    (found,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    options: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for command, parser in found.choices.items():
        for action in parser._actions:
            if command != "help" and action.option_strings and action.dest != "help":
                name = names_of(action, command)[1]
                options.setdefault(name, []).append(command)
                names[name] = long_name(action)
    every = len(found.choices) - 1
    return {
        name: (f"`{names[name]}`", "all" if len(each) == every else ", ".join(each))
        for name, each in options.items()
    }


def _of_pipelines() -> Iterator[tuple[str, str]]:
    for action in pipelines._parser()._actions:
        if action.option_strings and action.dest != "help":
            yield names_of(action, "pipeline")[0], long_name(action)
