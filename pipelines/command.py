"""The command line of the pipelines: compile, run here, run on a cluster."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from kfp.dsl.graph_component import GraphComponent

from carferry.bundle.component import Runtime
from carferry.cli.failures import Wishes, tell
from carferry.cli.options import finish
from carferry.cli.parser import Parser
from carferry.cli.variables import PREFIX
from carferry.errors import CarferryError
from carferry.pipelines import compiling, schedules
from carferry.pipelines import options as choices
from carferry.pipelines.arguments import form, old_names
from carferry.pipelines.local import runner
from carferry.pipelines.pods import HERE, Site
from carferry.pipelines.runs import follow, workbench
from carferry.pipelines.server import submit
from carferry.pipelines.server.endpoint import Endpoint, token_of
from carferry.pipelines.server.times import Times
from carferry.pipelines.staged import buildah
from carferry.pipelines.streamed import stream, stream_claim
from carferry.shown import printable, redact
from carferry.source.open import claim_of

ENGINES: Mapping[str, Callable[[Site], GraphComponent]] = {
    "stream": stream,
    "buildah": buildah,
    "pvc": stream_claim,
}
LOCAL_DEFAULTS: dict[str, form.Value] = {
    "serve": "render",
    "serve_gpu": "none",
    "model_storage_class": "none",
}
"""Defaults of a local run: objects are written, no cluster is asked, a folder is the volume."""
_INTERRUPTED = 130  # as shells count SIGINT
_VARIABLES = f"{PREFIX}PIPELINE_"

USE = """\
compile and import the YAML in the dashboard:
  python pipelines/modelcar.py --compile
run the same pipeline here, without a cluster:
  python pipelines/modelcar.py --local model=org/name image=oci:out:1 settings.base=embedded
run it on a pipeline server, and follow it:
  python pipelines/modelcar.py --submit --host https://ds-pipeline-dspa-... --namespace models \\
      --token-file token --wait model=org/name image=docker://quay.io/team/model:1
look again at a run that is there, by the id in its URL:
  ... --submit ... --follow 0f9c8d7e-...
a model on a volume claim of that project, as KServe names it:
  ... --submit ... model=pvc://models/granite image=docker://quay.io/me/granite:1
every night at two (UTC), if the model, its base or what is asked for has changed by then:
  ... --submit ... --recurring '0 2 * * *' model=org/name image=docker://quay.io/team/model:1
what is scheduled there; hold it up, go on, take it away, by its image or id:
  python pipelines/modelcar.py --schedules --host ... --namespace models
  ... --schedules ... --pause quay.io/team/model:1

parameters, as NAME=VALUE; secrets are named, never passed; settings.NAME=VALUE sets one entry of
settings (docs/reference/settings.md):
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Returns:
        0 done, 1 failed, 2 wrong input, 3 the model does not fit, 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    own = {n.replace(_VARIABLES, PREFIX, 1): v for n, v in os.environ.items() if _VARIABLES in n}
    wishes = Wishes.of(words, own)
    try:
        return _run(words or ["--help"])
    except KeyboardInterrupt as stopped:
        for line in getattr(stopped, "__notes__", ["interrupted"]):
            _say(line)
        return _INTERRUPTED
    except OSError as error:
        what, why = error.filename or "a file", error.strerror or str(error)
        return tell(CarferryError("use", what, why), wishes)
    except Exception as error:
        return tell(error, wishes)


def _run(words: list[str]) -> int:
    try:
        options = _parser().parse_args(words)
    except SystemExit as shown:  # help
        return int(shown.code or 0)
    level = logging.DEBUG if options.debug else logging.INFO
    logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr)
    choices.check(options)
    done: int = options.run(options)
    return done


def compile_all(options: argparse.Namespace) -> int:
    """Write every engine's YAML, and the library it mounts, and print the paths."""
    runtime, folder = Runtime.choose(options.image), options.output or Path("compiled")
    for build in ENGINES.values():
        print(compiling.write(build(Site(runtime)), folder))
    if not runtime.installed:
        print(compiling.write_library(folder))
    return 0


def run_local(options: argparse.Namespace) -> int:
    """Run one pipeline on this machine and print what its steps returned as JSON."""
    root = options.root.absolute()
    pipeline = ENGINES[_engine(options)](Site(HERE, folder=str(root / "shared")))
    layout = any(text.startswith("image=oci:") for text in options.parameters)
    values = _values(pipeline, options, LOCAL_DEFAULTS | ({"serve": "no"} if layout else {}))
    shared = runner.alone(root / "shared") if options.engine == "buildah" else nullcontext()
    with shared:
        done = runner.run(pipeline, values, root=root / "runs", say=_teller(options))
    print(json.dumps({"folder": str(done.folder), "steps": _shown(done.outputs)}, indent=2))
    return 0


def run_remote(options: argparse.Namespace) -> int:
    """Run or schedule one pipeline on a cluster and print its page; follow it if asked."""
    if options.follow:
        return _follow(options, options.follow)
    times = Times.parse(options.recurring) if options.recurring else None
    pipeline = ENGINES[_engine(options)](Site(Runtime.choose(options.image)))
    values = _values(pipeline, options, {})
    if times:
        values["settings"] = {"if_changed": True, **_mapping(values.get("settings"))}
    with tempfile.TemporaryDirectory(prefix="carferry-") as folder:
        package = compiling.write(pipeline, options.output or Path(folder))
        made = submit.start(_endpoint(options), package, values, times=times)
    for note in made.notes:
        _teller(options)(note)
    if times:
        _teller(options)(f"starts: {times}")
    print(made.url, flush=True)
    return _follow(options, made.id) if options.wait else 0


def manage_schedules(options: argparse.Namespace) -> int:
    """Change a schedule of a pipeline server, if asked, and print those there are."""
    change = next((each for each in schedules.CHANGES if getattr(options, each)), "")
    there = schedules.manage(_endpoint(options), change, getattr(options, change) if change else "")
    if options.json:
        print(json.dumps([each.as_json() for each in there], indent=2))
    for each in () if options.json else there:
        print(printable(each.line))
    if not there:
        _teller(options)("nothing is scheduled")
    return 0


def _follow(options: argparse.Namespace, run_id: str) -> int:
    endpoint, kube = _endpoint(options), workbench.cluster(options.kubeconfig)
    follow.wait(endpoint, run_id, say=_teller(options), timeout_s=options.timeout, kube=kube)
    return 0


def _shown(steps: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what steps gave, without the secret by which the shards of this run are believed."""
    return {
        step: {name: _without_secret(value) for name, value in outputs.items()}
        for step, outputs in steps.items()
    }


def _without_secret(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: "***" if k == "run" and v else _without_secret(v) for k, v in value.items()}
    return redact(value) if isinstance(value, str) else value


def _engine(options: argparse.Namespace) -> str:
    """Return the pipeline to run; for a model on a claim the one that mounts it, by its name."""
    model = next((text for text in options.parameters if text.startswith("model=")), "")
    claim = claim_of(model.removeprefix("model="))
    if not claim or options.engine == "buildah":
        return str(options.engine)
    if not any(text.startswith("model_claim=") for text in options.parameters):
        options.parameters.append(f"model_claim={claim}")
    return "pvc"


def _values(
    pipeline: GraphComponent, options: argparse.Namespace, defaults: Mapping[str, form.Value]
) -> dict[str, form.Value]:
    texts, notes = old_names.renamed(options.parameters)
    for line in notes:
        _teller(options)(f"note: {line}; the old name goes with the next release")
    remote = options.action == "submit"
    return form.arguments(form.fields(pipeline), texts, defaults, remote=remote)


def _endpoint(options: argparse.Namespace) -> Endpoint:
    token = token_of(options.kubeconfig) if options.kubeconfig else ""
    return Endpoint(options.host, options.namespace, options.token_file, token=token, ca=options.ca)


def _parser() -> Parser:
    parameters = _described()
    parser = Parser(
        prog="python pipelines/modelcar.py",
        description="From a model to a served ModelCar, as a Kubeflow pipeline.",
        epilog=USE + parameters,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.own_variables = "pipeline"  # CARFERRY_IMAGE is another one, a notebook's
    action = parser.add_mutually_exclusive_group(required=True)
    for name, text in (
        ("compile", "write the YAML of every engine and the library that they mount"),
        ("local", "run here, each step a process; the result is JSON on stdout"),
        ("submit", "run on a Data Science Pipelines server; the run's page is on stdout"),
        ("schedules", "list what is scheduled there, and pause, resume or delete one"),
    ):
        action.add_argument(f"--{name}", dest="action", action="store_const", const=name, help=text)
    parser.add_argument("parameters", nargs="*", metavar="NAME=VALUE", help="pipeline parameters")
    choices.add(parser, ENGINES)
    finish(parser, lambda options: _ACTIONS[options.action](options), _VARIABLES)
    return parser


def _described() -> str:
    """Return the parameters of every pipeline as lines, each once."""
    here = Site(HERE, folder=".")
    known = form.fields(stream(here))
    text = form.described(known)
    for engine in ("buildah", "pvc"):
        fields = form.fields(ENGINES[engine](here))
        more = {name: field for name, field in fields.items() if name not in known}
        text += f"\nwith --engine {engine} also:\n{form.described(more)}"
    return text


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _mapping(value: form.Value | None) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _teller(options: argparse.Namespace) -> Callable[[str], None]:
    """Return what shows progress: with ``--quiet`` nothing."""
    return (lambda _: None) if options.quiet else _say


_ACTIONS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "compile": compile_all,
    "local": run_local,
    "submit": run_remote,
    "schedules": manage_schedules,
}
