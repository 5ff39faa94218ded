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
from carferry.serve.platforms import AUTO, NAMES
from carferry.serve.settings import Kind
from carferry.shown import printable
from carferry.steps.rights import RENDER, SERVE, UNCHECKED, find_rights

_CLUSTER = "cluster"
"""GPUs: those that are there."""

_UNSEEN = (
    f"What the objects are for: {', '.join(NAMES)}; auto, since no cluster is asked: every "
    "OpenShift AI takes them; name kserve for KServe alone, where they lack a user to run as"
)


def add_serve_commands(commands: Any) -> None:
    """Add rights, render, deploy and delete."""
    _add_rights(commands)
    _add_delete(commands)
    _add_render(commands)
    _add_deploy(commands)


def _add_render(commands: Any) -> None:
    parser = commands.add_parser(
        "render",
        help="write the KServe objects as YAML, for GitOps",
        description="Make the objects the dashboard would make; no cluster is contacted.",
    )
    _add_form(parser, platform=_UNSEEN)
    parser.add_argument(
        "--output",
        default="",
        metavar="FILE",
        help="default: stdout, as -; a link, a device or a pipe is written to, not replaced",
    )
    parser.add_argument(
        "--folder",
        default="",
        metavar="FOLDER",
        help="write NAME.yaml there, and a kustomization.yaml if there is none",
    )
    options.finish(parser, _render)


def _add_deploy(commands: Any) -> None:
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
        "--no-test", action="store_true", help="do not ask the model once when it is ready"
    )
    parser.add_argument(
        "--warm", action="store_true", help="first pull the image on the nodes that fit"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="let the cluster check everything, list what would change, and write nothing; "
        "the registry is not asked for the image",
    )
    parser.add_argument(
        "--rollback",
        action="store_true",
        help="if it does not come up, apply again what served before; exit 1 all the same",
    )
    options.add_cluster(parser)
    options.finish(parser, _deploy)


def _add_delete(commands: Any) -> None:
    parser = commands.add_parser(
        "delete",
        help="remove what deploy made of one model",
        description="Remove the objects of a deployment, the service first, and wait until they "
        "and the pods are gone. What somebody else made, or another model uses, stays and is "
        "named. Nothing is asked; a second run finds nothing. Exit 2 if the model is served on, "
        "since others made its service.",
    )
    parser.add_argument("name", metavar="NAME", help="of the InferenceService")
    parser.add_argument("--namespace", default="", help="its project; default: your own")
    parser.add_argument("--wait-s", default="300", help="seconds to wait until all is gone")
    options.add_cluster(parser)
    options.finish(parser, _delete)


def _add_rights(commands: Any) -> None:
    parser = commands.add_parser(
        "rights",
        help="list what a run would need and this login may not do",
        description="Ask the cluster about every right that a run needs, before there is one. "
        "Prints what is missing as YAML, fit for 'oc apply --server-side -f -'; exit 2 if a run "
        "would stop. Nothing is changed.",
    )
    parser.add_argument("--serve", default="deploy", choices=SERVE, help="as for the pipeline")
    parser.add_argument("--namespace", default="", help="project to serve in; default: your own")
    parser.add_argument("--auth", action="store_true", help="the endpoint will ask for a token")
    parser.add_argument("--kind", default="isvc", choices=tuple(Kind), help="as for deploy")
    parser.add_argument("--platform", default=AUTO, choices=NAMES, help="as for deploy")
    parser.add_argument(
        "--gpu",
        default="",
        metavar="TEXT",
        help="as for the pipeline, which plans; cluster: for the GPUs there; "
        "default: no plan, as deploy; with --serve render: cluster",
    )
    parser.add_argument(
        "--external-route", action="store_true", help="it will be reachable from outside"
    )
    parser.add_argument("--builder", default="", choices=("", "job"), help="job: Buildah in a Job")
    parser.add_argument("--warm", action="store_true", help="nodes will be warmed first")
    parser.add_argument("--delete", action="store_true", help="deployments will be removed too")
    options.add_cluster(parser)
    options.finish(parser, _rights)


def _add_form(parser: argparse.ArgumentParser, **helps: str) -> None:
    parser.add_argument("image", metavar="IMAGE", help=PARAMETERS[0].help)
    for parameter in PARAMETERS[1:]:
        said = helps.get(parameter.name, parameter.help)
        parser.add_argument(
            f"--{parameter.name.replace('_', '-')}",
            default=parameter.default,
            metavar="TEXT",
            help=f"{said} (default: {parameter.default or 'empty'})".replace("%", "%%"),
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
        llm=arguments.kind == Kind.LLM,
        platform=arguments.platform,
        gpus=_planned_for(arguments),
        routed=arguments.external_route,
        tests=True,  # as deploy does, unless it is told not to
        builder=arguments.builder,
        deletes=arguments.delete,
        warms=arguments.warm,
        connect=partial(connect, **_login(arguments)),
    )
    manifest = found.manifest.rstrip() or f"# {found.text}"
    options.show_all(found, arguments, *manifest.split("\n"))
    if found.missing and not arguments.json:
        warn(f"carferry: {printable(found.text)}")
    return 2 if found.stops else 0


def _planned_for(arguments: argparse.Namespace) -> str:
    """Return the GPUs as a pipeline has them, whose empty text means those of the cluster."""
    if arguments.gpu in ("", _CLUSTER):
        return "" if arguments.gpu or arguments.serve == RENDER else UNCHECKED
    return str(arguments.gpu)


def _login(arguments: argparse.Namespace) -> dict[str, Any]:
    kubeconfig = Path(arguments.kubeconfig) if arguments.kubeconfig else None
    ca = Path(arguments.ca) if arguments.ca else None
    return {"kubeconfig": kubeconfig, "context": arguments.context, "ca_file": ca}


def _render(arguments: argparse.Namespace) -> int:
    from carferry.steps.deploy import render

    output = "" if arguments.output == "-" else arguments.output
    folder = arguments.folder
    made = render(arguments.image, output=output, folder=folder, **_form(arguments))
    written = [f"wrote {path}" for path in (output, folder) if path]
    text = "\n".join(written) or made.manifest.rstrip()
    if not (written and arguments.quiet):
        options.show_all(made, arguments, *text.split("\n"))
    return 0


def _deploy(arguments: argparse.Namespace) -> int:
    from carferry.steps.deploy import deploy

    seconds = read_seconds("wait_s", arguments.wait_s)
    form = _form(arguments)
    made = deploy(
        arguments.image,
        wait=True if seconds is None else seconds,
        force=arguments.force,
        test=not arguments.no_test,
        warm=arguments.warm,
        dry_run=arguments.dry_run,
        rollback=arguments.rollback,
        progress=not arguments.quiet and not arguments.dry_run,
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        ca_file=arguments.ca,
        **form,
    )
    if arguments.dry_run:
        options.show_all(made, arguments, *(made.changes or ("nothing to change",)))
        return 0
    state = "ready" if made.ready else "stopped" if form["stopped"] else "applied"
    options.show(
        made, arguments, f"{made.namespace}/{made.name} {state}", *([made.url] if made.url else [])
    )
    return 0


def _delete(arguments: argparse.Namespace) -> int:
    from carferry.steps.delete import delete

    found = delete(
        arguments.name,
        namespace=arguments.namespace,
        wait=read_seconds("wait_s", arguments.wait_s) or 0.0,
        progress=not arguments.quiet,
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        ca_file=arguments.ca,
    )
    options.show_all(found, arguments, *found.lines)
    return 2 if found.is_served else 0
