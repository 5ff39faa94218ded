"""An example of each document, made from the classes that the commands print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from carferry.cluster.kinds import KINDS, Permission
from carferry.cluster.rights import Need
from carferry.gpu.search.overview import GpuFit
from carferry.serve.deployed import Deployed
from carferry.serve.removal import Removed
from carferry.steps.inspected import Inspected
from carferry.steps.looked import Look, Nature
from carferry.steps.results import Built, Downloaded, Planned, PlannedLayer, Streamed
from carferry.steps.rights import Rights
from carferry.steps.runtime import RuntimeImage
from carferry.steps.warmed import Warmed
from carferry.warming.run import Pulled

_COMMIT = "12fd25f77366fa6b3b4b768ec3050bf629380bac"
_DIGEST = f"sha256:{'4f2a' * 16}"
_REPO = "HuggingFaceTB/SmolLM2-135M-Instruct"
_IMAGE = f"quay.io/team/smollm2@{_DIGEST}"
_LAYER = PlannedLayer("model.safetensors", 269_060_552, "move", 1)
_PLANNED = Planned(
    f"{_REPO}@{_COMMIT}", "quay.io/team/smollm2:1", _REPO, _COMMIT, 7, 271_161_344,
    271_161_344, 0, 1, 2.7, (_LAYER,),
)  # fmt: skip
_LOOK = Look(
    f"{_REPO}@{_COMMIT}", _REPO, _COMMIT,
    Nature("LlamaForCausalLM", 134_515_008, "BF16", "", 8192), "apache-2.0", False,
    7, 271_161_344, 9, 813_000_000, 2, "0.24.0",
    (GpuFit("L4", 22.5, 1, "fits", 8192, ""),),
)  # fmt: skip
_BUILT = Built(
    _IMAGE, f"oci://{_IMAGE}", _DIGEST, _COMMIT, 280_000_000, 3, 271_161_344, 8_838_656, 0, 4.2
)
_SERVED = f"oci://{_IMAGE}"
_OPENING = Need(Permission("create", KINDS["InferenceService"], "models"))
FAILURE = {
    "kind": "PushDenied",
    "action": "push",
    "subject": "quay.io/team/smollm2:1",
    "reason": "401 unauthorized",
    "remedy": "check that this login may write there",
    "exit_code": 1,
}
EVENT = {
    "event": "advance",
    "name": "model.safetensors",
    "size_bytes": 67_108_864,
    "done_bytes": 134_217_728,
    "total_bytes": 271_161_344,
    "bytes_per_s": 67_108_864,
    "seconds_left": 2,
}
EXAMPLES: Mapping[str, Any] = {
    "plan": {"fit": None, "move": _PLANNED.as_json()},
    "plan of a model alone": {"look": _LOOK.as_json(), "fit": None, "move": None},
    "build": _BUILT.as_json(),
    "stream": Streamed(1, 4, _COMMIT, 1, 67_108_864, 0, 0).as_json(),
    "seal": _BUILT.as_json(),
    "push": _BUILT.as_json(),
    "download": Downloaded("model", _REPO, _COMMIT, 7, 271_161_344, 271_161_344).as_json(),
    "inspect": Inspected(
        _IMAGE, _DIGEST, f"hf://{_REPO}", _COMMIT, 280_000_000,
        (("base", 8_838_656, _DIGEST), ("model.safetensors", 269_060_552, _DIGEST)),
        (("/models/model.safetensors", 269_060_552),),
        (("files", True, "all under /models"),), True,
    ).as_json(),
    "rights": Rights(
        "models/pipeline-runner-dspa", 13, (_OPENING,), "inferenceservices (create) in models",
        "---\n...", "", "models",
    ).as_json(),
    "render": Deployed("smollm2", "models", "", False, False, _SERVED, "---\n...").as_json(),
    "deploy": Deployed(
        "smollm2", "models", "https://smollm2.models.svc.cluster.local", True, True, _SERVED,
        "---\n...", ("InferenceService smollm2: created",), "chat, 1 token, in 0.42 s",
    ).as_json(),
    "delete": Removed("smollm2", "models", ("InferenceService smollm2",)).as_json(),
    "warm": Warmed(_SERVED, (Pulled("gpu-1", "pulled", 12.5, 280_000_000),), "", 13.0).as_json(),
    "test": {
        "name": "models/smollm2", "url": "https://smollm2.models.svc.cluster.local", "through": "",
        "model": "smollm2", "models": ["smollm2"], "max_model_len": 8192, "task": "chat",
        "said": "1 token", "seconds": 0.42, "levels": [], "kv_tokens": 0,
        "expected": {"max_model_len": 8192, "kv_tokens": 0}, "failures": 0, "notes": [],
    },
    "runtime": RuntimeImage(
        _IMAGE, _DIGEST, _DIGEST, ("Python 3.12 on linux/amd64",), 300_000_000, 4, 60_000_000, 0,
        9.0,
    ).as_json(),
    "lint": [
        {
            "file": "compiled/modelcar.yaml",
            "clean": True,
            "targets": [
                {
                    "target": "rhoai-3.4",
                    "sizes": {
                        "workers": 16, "unpacked_bytes": 547_000, "packed_bytes": 120_000,
                        "spec_bytes": 90_000, "node_count": 130, "environment_bytes": 30_000,
                        "environment_at": "stream-layers", "argument_bytes": 20_000,
                        "argument_at": "plan-model", "complete": True,
                    },
                    "findings": [],
                }
            ],
        }
    ],
    "error": {"error": FAILURE},
    "progress": EVENT,
    "schedules": [
        {
            "id": "0f9c8d7e", "name": "smollm2", "on": True, "cron": "0 0 2 * * *", "every_s": 0,
            "model": _REPO, "image": "quay.io/team/smollm2:1",
        }
    ],
    "local": {"folder": "local_outputs/runs/1", "steps": {"fit-model": {"warning": ""}}},
}  # fmt: skip
"""By the name of the document, or of its variant."""
