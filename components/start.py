"""Start a step from the mounted library: its packages, its sources, then kfp's executor.

Travels in the ConfigMap beside the archive. A component's own command is a few lines that check
both and run this file with ``archive`` set; they are all that Argo has to keep copies of.
"""

import bz2
import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

STEPS = "steps.json"
"""Member of the archive: component's name to its source and its pinned requirements."""
# kfp's executor needs none of kfp's own requirements, many of them large.
KFP = ["kfp==2.17.0", "--no-deps"]
CLEAN = """\
import atexit, pathlib, shutil
atexit.register(shutil.rmtree, pathlib.Path(__file__).parent, True)
"""


def main(archive: bytes, arguments: list[str]) -> None:
    """Become kfp's executor for one component.

    Args:
        archive: The library, checked already.
        arguments: kfp's own; ``--step`` and a JSON object before them where the component is
            not one of ours and brings its source and requirements along.
    """
    library = bz2.decompress(archive)
    name = arguments[arguments.index("--function_to_execute") + 1]
    if arguments[0] == "--step":
        step, arguments = json.loads(arguments[1]), arguments[2:]
    else:
        step = json.loads(zipfile.ZipFile(io.BytesIO(library)).read(STEPS))[name]
    install(step["requirements"])
    install(KFP)
    home = Path(tempfile.mkdtemp(prefix="carferry-"))
    (home / "carferry.zip").write_bytes(library)
    (home / "step.py").write_text(CLEAN + step["source"])
    environment = {
        **os.environ,
        "_KFP_RUNTIME": "true",
        "PYTHONPATH": _first(home / "carferry.zip"),
    }
    module = ["-m", "kfp.dsl.executor_main", "--component_module_path", str(home / "step.py")]
    # A new interpreter sees what pip has just installed, wherever that was.
    os.execve(sys.executable, [sys.executable, *module, *arguments], environment)  # noqa: S606


def install(requirements: list[str]) -> None:
    """Install packages, or end with what pip says."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command = [*pip, "--no-warn-script-location", *requirements]
    if requirements and subprocess.run(command, check=False).returncode:
        text = f"carferry: error: pip install {' '.join(requirements)}: failed, see above; "
        text += "check the package index, or compile with --image"
        if os.access("/dev/termination-log", os.W_OK):
            Path("/dev/termination-log").write_text(text)
        sys.exit(text)


def _first(path: Path) -> str:
    return os.pathsep.join(filter(None, [str(path), os.environ.get("PYTHONPATH", "")]))


if "archive" in globals():
    main(globals()["archive"], sys.argv[1:])
