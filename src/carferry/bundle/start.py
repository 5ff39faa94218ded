"""Start a step from the mounted library: its sources, its packages, then kfp's executor.

Travels in the ConfigMap beside the archive. A component's own command is a few lines that check
both and run this file with ``archive`` set; they are all that Argo has to keep copies of.
"""

import bz2
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

STEPS = "steps.json"
"""Member of the archive: component's name to its source and its pinned requirements."""
# kfp's executor needs none of kfp's own requirements, many of them large.
KFP = ["kfp==2.17.0", "--no-deps"]
CLEAN = """\
import atexit, pathlib, shutil
atexit.register(shutil.rmtree, pathlib.Path(__file__).parent, True)
"""


def main(archive: bytes, arguments: list[str]) -> None:
    """Run kfp's executor for one component, in place of this process.

    Args:
        archive: The library, checked already.
        arguments: kfp's own; before them ``--step`` and a JSON object if the component is not
            one of ours and brings its source and requirements along.
    """
    home = Path(tempfile.mkdtemp(prefix="carferry-"))
    library = home / "carferry.zip"
    library.write_bytes(bz2.decompress(archive))
    sys.path.insert(0, str(library))
    from carferry.cluster import pod

    pod.enter()  # the project's proxies and certificates are pip's too
    step, arguments = chosen(library, arguments)
    install([*step["requirements"], *optional(step, arguments)])
    install(KFP)
    (home / "step.py").write_text(CLEAN + step["source"])
    paths = os.pathsep.join(filter(None, [str(library), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "_KFP_RUNTIME": "true", "PYTHONPATH": paths}
    module = ["-m", "kfp.dsl.executor_main", "--component_module_path", str(home / "step.py")]
    # A new interpreter sees what pip has just installed, wherever that was.
    os.execve(sys.executable, [sys.executable, *module, *arguments], environment)  # noqa: S606


def chosen(library: Path, arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Return what the component needs, and the arguments that are kfp's."""
    if arguments[0] == "--step":
        return json.loads(arguments[1]), arguments[2:]
    name = arguments[arguments.index("--function_to_execute") + 1]
    with zipfile.ZipFile(library) as archive:
        return json.loads(archive.read(STEPS))[name], arguments


def optional(step: dict[str, Any], arguments: list[str]) -> list[str]:
    """Return the packages that only some inputs need, if these do."""
    if "--executor_input" not in arguments:
        return []
    given = json.loads(arguments[arguments.index("--executor_input") + 1]).get("inputs", {})
    # Outputs stay out: the artifact store of a pipeline server is often s3:// too.
    inputs = json.dumps(given.get("parameterValues", {}))
    return [
        each for text, more in step.get("optional", {}).items() if text in inputs for each in more
    ]


def install(requirements: list[str]) -> None:
    """Install packages.

    Raises:
        ToolFailed: pip could not; it has said why.
    """
    from carferry.errors import ToolFailed

    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # A planner is not started again, so a short outage of the index is waited for here.
    command = [*pip, "--retries", "8", "--no-warn-script-location", *requirements]
    if requirements and subprocess.run(command, check=False).returncode:
        what, remedy = " ".join(requirements), "see above; or compile with --image"
        raise ToolFailed("pip install", what, "failed", remedy)


if "archive" in globals():
    try:
        main(globals()["archive"], sys.argv[1:])
    except (OSError, LookupError, ValueError) as error:
        if type(error).__module__ != "builtins":
            raise  # carferry's own, which the hook reports
        text = f"carferry: error: start step: {type(error).__name__}: {error}; is /tmp full, or the"
        sys.exit(f"{text} YAML edited? compile it again")
