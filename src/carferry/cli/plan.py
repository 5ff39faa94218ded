"""The plan command: what will move, and whether it will fit, before a byte does.

Its three questions stand on different parts of the library, so each loads its own.
"""

from __future__ import annotations

import argparse
from functools import partial
from typing import TYPE_CHECKING, Any

from carferry.cli import options
from carferry.cli.compare import add_log, calibration_file, compare
from carferry.cli.display import displayed
from carferry.cli.following import same_choice
from carferry.cli.streams import save_page, say
from carferry.cli.unused import refuse_unused
from carferry.errors import DoesNotFit, InputError
from carferry.form.readers import read_count, read_model, split_lists
from carferry.io.show.amounts import human_bytes, human_seconds
from carferry.io.show.terminal import open_progress
from carferry.steps.defaults import DEFAULT_RATE, GO_ON, SERVED, STOP

if TYPE_CHECKING:
    from carferry.source.pieces import Pieces
    from carferry.steps.fitted import Fit
    from carferry.steps.results import Planned

_MOST_WORKERS = 10_000
_BELIEVING = "--reuse tag believes the image's own tag"
_OF_IMAGE = (
    "--format", "--base", "--platform", "--mount-from", "--reuse", "--run", "--workers",
    "--parallel", "--rate",
)  # fmt: skip
_OF_GPUS = (
    "--namespace", "--gpu-count", "--html", "--nodes", "--dtype", "--kv-cache-dtype",
    "--gpu-memory-utilization", "--data-parallel", "--expert-parallel", "--speculative-tokens",
    "--lora-rank", "--max-loras", "--on-unknown", "--calibration",
)  # fmt: skip
_OF_PLAN = (
    "gpu_count", "nodes", "dtype", "kv_cache_dtype", "gpu_memory_utilization", "data_parallel",
    "expert_parallel", "speculative_tokens", "lora_rank", "max_loras", "on_unknown",
)  # fmt: skip
_OF_LOG = ("gpu_count", "nodes", "dtype", "kv_cache_dtype", "gpu_memory_utilization")
_OF_FIT = (
    "--vllm", "--max-model-len", "--max-num-seqs", "--quantization", "--family", *_OF_GPUS,
)  # fmt: skip
_NOT_OF_LOG = (
    *_OF_IMAGE, "--cluster", "--html", "--data-parallel", "--expert-parallel", "--max-loras",
    "--speculative-tokens", "--lora-rank", "--on-unknown",
)  # fmt: skip


def add_plan_command(commands: Any) -> None:
    """Add plan."""
    parser = commands.add_parser(
        "plan",
        help="show what would move and whether it fits, before a byte does",
        description="MODEL alone: what it is, and on how few of each common GPU it fits. "
        "With IMAGE: which layers would move, be reused or mounted. With --gpu or "
        "--cluster: whether and how the model fits the GPUs, with the arithmetic and, if it "
        "does not, the smallest change; exit 3 if nothing fits. With --log: how far that is from "
        "what vLLM logged. Nothing is written but, after --log, the calibration.",
    )
    options.add_model(parser)
    parser.add_argument(
        "image", metavar="IMAGE", nargs="?", default="",
        help="docker://host/repository:tag or oci:path[:tag]",
    )  # fmt: skip
    options.add_image(parser)
    parser.add_argument(
        "--workers", type=options.whole(1, _MOST_WORKERS), default=1, metavar="N",
        help="pods that would share the move",
    )  # fmt: skip
    parser.add_argument(
        "--parallel", type=options.whole(1, options.MOST_PARALLEL), default=2, metavar="N",
        help="layers at once in each",
    )  # fmt: skip
    parser.add_argument(
        "--rate", type=options.number(0.001, 1e5), default=DEFAULT_RATE / 1e6, metavar="MB/S",
        help="one stream's rate, for the predicted time (default %(default)s)",
    )  # fmt: skip
    options.add_progress(parser)
    _add_fit(parser)
    options.finish(parser, partial(_plan, parser))


def _add_fit(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("will it fit")
    group.add_argument(
        "--gpu", default="", metavar="TEXT",
        help="GPUs to plan for: 'L40S x2', '2 nodes of H100 x8', '24GiB x2', mig-3g.20gb",
    )  # fmt: skip
    group.add_argument("--cluster", action="store_true", help="plan for the cluster's free GPUs")
    group.add_argument("--namespace", default="", help="project to serve in; its quotas count")
    group.add_argument(
        "--vllm",
        default=SERVED,
        help="vLLM that will serve: a version, rhoai-3.4, or its image (%(default)s)",
    )
    _add_wishes(group)
    group.add_argument(
        "--html", default="", metavar="FILE", help="write the report as a page; - is stdout"
    )
    add_log(group)


def _add_wishes(group: argparse._ArgumentGroup) -> None:
    """Add what vLLM is to be told; what is left out is the plan's to choose."""
    group.add_argument("--max-model-len", default="", help="context that must fit, tokens")
    group.add_argument("--max-num-seqs", default="", help="sequences at once")
    group.add_argument("--gpu-count", default="", help="GPUs in one pod")
    group.add_argument("--quantization", default="", help="fp8: quantize while loading")
    group.add_argument("--family", default="", help="gqa: plan an unknown architecture as such")
    add = group.add_argument
    add("--gpu-memory-utilization", default="", metavar="SHARE", help="of each GPU, as in 0.9")
    add("--dtype", default="", help="bfloat16, float16 or float32 (default: vLLM's choice)")
    add("--kv-cache-dtype", default="", help="fp8, or auto: never (default: fp8 to make it fit)")
    add("--nodes", default="", metavar="N", help="nodes that share the layers, as stages")
    add("--expert-parallel", default="", choices=("", "true", "false"),
        help="deal experts out whole (default: where cutting them is refused)")  # fmt: skip
    add("--data-parallel", default="", metavar="N", help="engines in one pod")
    add("--speculative-tokens", default="", metavar="N", help="drafted by the model's own layers")
    add("--lora-rank", default="", metavar="N", help="largest rank of an adapter; default: none")
    add("--max-loras", default="", metavar="N", help="adapters in one batch")
    add("--on-unknown", default=GO_ON, choices=(GO_ON, STOP),
        help="stop: refuse a model that the plan does not know (default: warn)")  # fmt: skip


def _plan(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.log:
        wishes = {name: getattr(arguments, name) for name in _OF_LOG} | _wishes(arguments)
        return compare(parser, arguments, wishes, _NOT_OF_LOG)
    is_fit = bool(arguments.gpu or arguments.cluster)
    if arguments.html == "-" and arguments.json:
        raise InputError("plan", "--html -", "--json goes to stdout too", "name a file")
    if not is_fit:
        unused = _OF_FIT if arguments.image else _OF_GPUS
        refuse_unused(parser, arguments, unused, "--gpu or --cluster")
    if not arguments.image:
        refuse_unused(parser, arguments, _OF_IMAGE, "IMAGE")
    if not (arguments.image or is_fit):
        return _look(arguments)
    opened = _opened(arguments) if is_fit and arguments.image else None
    fitted = _fit(arguments, opened) if is_fit else None
    moves = _moves(arguments, opened) if arguments.image else None
    _show(arguments, fitted, moves)
    return DoesNotFit.exit_code if fitted and not fitted.ok else 0


def _show(arguments: argparse.Namespace, fitted: Fit | None, moves: Any) -> None:
    """Print the answers as a page, as JSON or as lines."""
    if arguments.html == "-" and fitted:
        say(fitted.html.rstrip("\n"))
    elif arguments.json:
        document = {
            "fit": fitted.as_json() if fitted else None,
            "move": moves.as_json() if moves else None,
        }
        options.show_document(document)
    else:
        parts = [
            _report(fitted, arguments) if fitted else [],
            _table(moves, arguments) if moves else [],
        ]
        between = [""] if all(parts) else []
        options.show_lines([*parts[0], *between, *parts[1]])


def _look(arguments: argparse.Namespace) -> int:
    from carferry.cli.screen import look_lines
    from carferry.steps.look import look

    with displayed(arguments.progress) as progress:
        found = look(arguments.model, progress=progress, **_wishes(arguments))
    if arguments.json:
        options.show_document({"look": found.as_json(), "fit": None, "move": None})
    else:
        lines = look_lines(found, with_remarks=not arguments.quiet, choice=_choice(arguments))
        options.show_lines(lines, indent=2)
    return 0


def _choice(arguments: argparse.Namespace) -> str:
    return same_choice(
        split_lists(arguments.include),
        split_lists(arguments.exclude),
        allow_no_weights=arguments.allow_no_weights,
        plain_http=split_lists(arguments.plain_http),
        ca=arguments.ca,
    )


def _opened(arguments: argparse.Namespace) -> Pieces:
    """Open a model that two questions are asked about: each file is read once."""
    from carferry.source.pieces import Pieces
    from carferry.steps.models import open_model
    from carferry.steps.settings import BuildSettings

    how, shown = BuildSettings(**options.settings(arguments)), open_progress(arguments.progress)
    access = how.access().reporting(shown)
    return Pieces(open_model(read_model(arguments.model), how.revision, access, shown))


def _fit(arguments: argparse.Namespace, opened: Pieces | None) -> Fit:
    from carferry.steps.fit import fit

    phase = f"reading what {arguments.model} holds"
    with displayed(arguments.progress) as progress, progress.phase(phase):
        found = fit(
            arguments.model,
            gpus=arguments.gpu,
            **{name: getattr(arguments, name) for name in _OF_PLAN},
            namespace=arguments.namespace,
            image=arguments.image,
            opened=opened,
            calibration=calibration_file(arguments),
            **_wishes(arguments),
        )
    if arguments.html not in ("", "-"):
        save_page(arguments.html, found.html, quiet=arguments.quiet)
    return found


def _wishes(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what both questions take alike: of one model alone, and of named GPUs."""
    counts = {
        name: read_count(name, getattr(arguments, name) or "0")
        for name in ("max_model_len", "max_num_seqs")
    }
    return {
        "revision": arguments.revision,
        "vllm": arguments.vllm,
        "quantization": arguments.quantization,
        "family": arguments.family,
        "include": split_lists(arguments.include),
        "exclude": split_lists(arguments.exclude),
        "allow_no_weights": arguments.allow_no_weights,
        "plain_http": split_lists(arguments.plain_http),
        "ca_file": arguments.ca,
        **counts,
    }


def _moves(arguments: argparse.Namespace, opened: Pieces | None) -> Planned:
    from carferry.steps.plan import plan

    how = options.settings(arguments)
    rate = arguments.rate * 1e6
    shown = {"workers": arguments.workers, "progress": open_progress(arguments.progress)}
    return plan(arguments.model, arguments.image, rate=rate, opened=opened, **shown, **how)


def _report(fitted: Fit, arguments: argparse.Namespace) -> list[str]:
    lines = fitted.text.rstrip().split("\n")
    return [line for line in lines if not (arguments.quiet and line.startswith("note: "))]


def _table(planned: Planned, arguments: argparse.Namespace) -> list[str]:
    rows = [
        f"{layer.how:<6}  {human_bytes(layer.size_bytes):>10}  {layer.worker:>6}  {layer.name}"
        for layer in planned.layers
    ]
    pinned = [planned.model] if "@sha256:" in planned.model else []
    doubt = [f"to read back: {planned.doubt}; {_BELIEVING}"] if planned.doubt else []
    workers = f"{planned.workers} worker{'s' if planned.workers > 1 else ''}"
    return [
        f"{planned.repo or planned.model} {planned.commit}".rstrip(),
        *pinned,
        f"{'how':<6}  {'size':>10}  {'worker':>6}  layer",
        *rows,
        f"{human_bytes(planned.bytes_to_move)} of {human_bytes(planned.size_bytes)} to move, "
        f"about {human_seconds(planned.seconds)} with {workers}",
        *([] if arguments.quiet else [*doubt, *options.remarks(planned)]),
    ]
