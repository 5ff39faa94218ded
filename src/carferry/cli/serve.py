"""Commands that serve an image: ask for rights, render the objects, or deploy and wait.

The Kubernetes client is imported when a command needs it: it costs 0.3 s and 40 MiB, which
building an image should not pay.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from carferry.cli import options
from carferry.cli.streams import warn
from carferry.form.readers import read_seconds
from carferry.serve.form import PARAMETERS
from carferry.shown import printable
from carferry.steps.rights import SERVE, find_rights


def add_serve_commands(commands: Any) -> None:
    """Add rights, render and deploy."""
    _add_rights(commands)
    parser = commands.add_parser(
        "render",
        help="write the KServe objects as YAML, for GitOps",
        description="Make the objects the dashboard would make; no cluster is contacted.",
    )
    _add_form(parser)
    parser.add_argument(
        "--output",
        default="",
        metavar="FILE",
        help="default: stdout, as -; a link, a device or a pipe is written to, not replaced",
    )
    options.finish(parser, _render)
    parser = commands.add_parser(
        "deploy",
        help="apply the KServe objects and wait until the model serves",
        description="Server-side apply with the field manager 'carferry', then watch the rollout.",
    )
    _add_form(parser)
    parser.add_argument("--wait-s", default="", help="0: do not wait; default: by image size")
    parser.add_argument(
        "--force", action="store_true", help="take over fields that somebody else has changed"
    )
    parser.add_argument(
        "--rollback",
        action="store_true",
        help="if it does not come up, apply again what served before; exit 1 all the same",
    )
    _add_cluster(parser)
    options.finish(parser, _deploy)


def _add_rights(commands: Any) -> None:
    parser = commands.add_parser(
        "rights",
        help="list what a run would need and this login may not do",
        description="Ask the cluster about every right that a run needs, before there is one. "
        "Prints what is missing as YAML, fit for 'oc apply -f -'; exit 2 if a run would stop. "
        "Nothing is changed.",
    )
    parser.add_argument("--serve", default="deploy", choices=SERVE, help="as for the pipeline")
    parser.add_argument("--namespace", default="", help="project to serve in; default: your own")
    parser.add_argument("--auth", action="store_true", help="the endpoint will ask for a token")
    parser.add_argument(
        "--gpu", default="", metavar="TEXT", help="GPUs to plan for; default: those of the cluster"
    )
    parser.add_argument("--builder", default="", choices=("", "job"), help="job: Buildah in a Job")
    _add_cluster(parser)
    options.finish(parser, _rights)


def _add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kubeconfig", default="", metavar="FILE", help="default: the usual ones")
    parser.add_argument("--context", default="", help="kubeconfig context")
    options.add_ca(parser)


def _add_form(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", metavar="IMAGE", help=PARAMETERS[0].help)
    for parameter in PARAMETERS[1:]:
        parser.add_argument(
            f"--{parameter.name.replace('_', '-')}",
            default=parameter.default,
            metavar="TEXT",
            help=f"{parameter.help} (default: {parameter.default or 'empty'})".replace("%", "%%"),
        )


def _form(arguments: argparse.Namespace) -> dict[str, Any]:
    form = {each.name: each.value(getattr(arguments, each.name)) for each in PARAMETERS[1:]}
    return form | {"gpus": form.pop("gpu_count")}


def _rights(arguments: argparse.Namespace) -> int:
    from carferry.cluster.api import connect

    found = find_rights(
        arguments.serve,
        namespace=arguments.namespace,
        auth=arguments.auth,
        gpus=arguments.gpu,
        builder=arguments.builder,
        connect=partial(connect, **_login(arguments)),
    )
    manifest = found.manifest.rstrip() or f"# {found.text}"
    options.show_all(found, arguments, *manifest.split("\n"))
    if found.missing and not arguments.json:
        warn(f"carferry: {printable(found.text)}")
    return 2 if found.stops else 0


def _login(arguments: argparse.Namespace) -> dict[str, Any]:
    kubeconfig = Path(arguments.kubeconfig) if arguments.kubeconfig else None
    ca = Path(arguments.ca) if arguments.ca else None
    return {"kubeconfig": kubeconfig, "context": arguments.context, "ca_file": ca}


def _render(arguments: argparse.Namespace) -> int:
    from carferry.steps.deploy import render

    output = "" if arguments.output == "-" else arguments.output
    made = render(arguments.image, output=output, **_form(arguments))
    text = f"wrote {output}" if output else made.manifest.rstrip()
    if not (output and arguments.quiet):
        options.show_all(made, arguments, *text.split("\n"))
    return 0


def _deploy(arguments: argparse.Namespace) -> int:
    from carferry.steps.deploy import deploy

    seconds = read_seconds("wait_s", arguments.wait_s)
    made = deploy(
        arguments.image,
        wait=True if seconds is None else seconds,
        force=arguments.force,
        rollback=arguments.rollback,
        progress=not arguments.quiet,
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        ca_file=arguments.ca,
        **_form(arguments),
    )
    state = "ready" if made.ready else "applied"
    options.show(
        made, arguments, f"{made.namespace}/{made.name} {state}", *([made.url] if made.url else [])
    )
    return 0
