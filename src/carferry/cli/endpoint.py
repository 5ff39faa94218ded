"""Commands around a served model: does it answer, and is its image where it will be served."""

from __future__ import annotations

import argparse
from typing import Any

from carferry.cli import options
from carferry.cli.streams import save_page
from carferry.endpoint.tasks import NAMES
from carferry.errors import EndpointFailed
from carferry.serve.form import PARAMETERS
from carferry.steps.endpoint import LOADS, NO, test_endpoint
from carferry.steps.warm import warm
from carferry.warming.nodes import GPU

_OF_PLACE = ("gpu_resource", "gpu_count", "node_selector", "tolerations", "pull_secret")
_PLACE = tuple(each for each in PARAMETERS if each.name in _OF_PLACE)


def add_endpoint_commands(commands: Any) -> None:
    """Add test and warm."""
    _add_warm(commands)
    parser = commands.add_parser(
        "test",
        help="ask a served model once and, with --load, measure it",
        description="Ask /v1/models and then one request of the model's own task, at the "
        "deployment's address, its route or through the API server's proxy, whichever leads there "
        "from here. --load short then lays 1, 4 and 16 requests at once on it, five seconds each: "
        "time to the first token, tokens per second, failures. Exit 1 if it does not answer or a "
        "request fails.",
    )
    parser.add_argument(
        "name", metavar="NAME|URL",
        help="InferenceService or LLMInferenceService; or http(s)://host, without a cluster",
    )  # fmt: skip
    parser.add_argument("--namespace", default="", help="project it is in; default: your own")
    parser.add_argument(
        "--load", default=NO, choices=LOADS, help="short: measure, some 15 seconds (%(default)s)"
    )
    parser.add_argument(
        "--task", default="", choices=("", *NAMES), help="what to ask; default: what it takes"
    )
    parser.add_argument(
        "--model", default="", metavar="NAME",
        help="name that must be served; default: the service's, or the first there is",
    )  # fmt: skip
    parser.add_argument(
        "--token-file", default="", metavar="FILE",
        help="token for the endpoint; default: from the Secret that deploy made",
    )  # fmt: skip
    parser.add_argument(
        "--plan", default="", metavar="FILE",
        help="compare with what 'carferry plan --json' foresaw",
    )  # fmt: skip
    parser.add_argument(
        "--html", default="", metavar="FILE", help="write the report as a page; - is stdout"
    )
    options.add_cluster(parser)
    options.finish(parser, _test)


def _add_warm(commands: Any) -> None:
    parser = commands.add_parser(
        "warm",
        help="pull an image on the nodes that will serve it, before the switch",
        description="Pull a ModelCar on every node that the deployment could come to run on, by a "
        "pod on each that asks for no GPU and is removed afterwards. The next 'carferry deploy' "
        "then costs the time to load, not the pull. Exit 1 if a node could not pull it.",
    )
    parser.add_argument("image", metavar="IMAGE", help="by digest: host/repository@sha256:...")
    parser.add_argument(
        "--nodes", default=GPU, metavar="gpu|all|LABELS",
        help="gpu: those with the deployment's GPUs; LABELS as for kubectl -l (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--namespace", default="", help="project of the pods; default: your own")
    for parameter in _PLACE:
        parser.add_argument(
            f"--{parameter.name.replace('_', '-')}",
            default=parameter.default,
            metavar="TEXT",
            help=f"as for deploy: {parameter.help}",
        )
    options.add_cluster(parser)
    options.finish(parser, _warm)


def _warm(arguments: argparse.Namespace) -> int:
    warmed = warm(
        arguments.image,
        nodes=arguments.nodes,
        namespace=arguments.namespace,
        progress=not arguments.quiet,
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        ca_file=arguments.ca,
        **{each.name: each.value(getattr(arguments, each.name)) for each in _PLACE},
    )
    # What each node did was said as it happened.
    more = [f"left out: {warmed.left}"] if warmed.left else []
    options.show(warmed, arguments, warmed.headline, *map(str, warmed.failed), *more)
    return _code(warmed.ok)


def _test(arguments: argparse.Namespace) -> int:
    tested = test_endpoint(
        arguments.name,
        namespace=arguments.namespace,
        model=arguments.model,
        task=arguments.task,
        load=arguments.load,
        plan=arguments.plan,
        token_file=arguments.token_file,
        progress=not arguments.quiet,
        kubeconfig=arguments.kubeconfig,
        context=arguments.context,
        ca_file=arguments.ca,
    )
    if arguments.html == "-" and not arguments.json:
        options.show_lines([tested.html.rstrip("\n")])
        return _code(tested.ok)
    if arguments.html:
        save_page(arguments.html, tested.html, quiet=arguments.quiet)
    options.show(tested, arguments, *tested.text.rstrip("\n").split("\n"))
    return _code(tested.ok)


def _code(is_good: bool) -> int:
    return 0 if is_good else EndpointFailed.exit_code
