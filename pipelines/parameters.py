"""The pipelines' parameters: the fields of the dashboard's form.

Dashboards sort parameters by name, whatever the order in the YAML. So the names are chosen to sort
into a form: what must be given, what enters the image, which secrets, how it is served, and last
``settings``, whose entries are all the rare options.
"""

from __future__ import annotations

from carferry.pipelines.declared import PipelineParameter
from carferry.serve.settings import VLLM_IMAGE
from carferry.steps.plan import MAX_WORKERS

MODEL = (
    PipelineParameter(
        "image", "Where the image goes: host/repository:tag, as in quay.io/me/granite:1"
    ),
    PipelineParameter(
        "model",
        "Model on the hub: org/name, or org/name@branch-tag-or-commit; or s3://bucket/prefix; or "
        "oci://host/repository:tag",
    ),
)
CLAIM = (
    MODEL[0],
    PipelineParameter("model", "Folder of the claim below: pvc://claim/path"),
    PipelineParameter(
        "model_claim", "The same PersistentVolumeClaim by name; it must be in this project."
    ),
)
VOLUME = (
    PipelineParameter(
        "model_storage_class",
        "StorageClass of the volume between the steps, see: oc get storageclass",
    ),
    PipelineParameter(
        "model_storage_size", "Size of that volume: three times the model. Not empty.", "100Gi"
    ),
)
CONTENT = (
    PipelineParameter(
        "pack_include",
        "File patterns by comma or line. Empty: what the model's servers load.",
        "",
    ),
)
SPREAD = (
    PipelineParameter(
        "pack_workers",
        f"Pods to divide the work among, 1 to {MAX_WORKERS}; small models take fewer.",
        8,
        int,
    ),
)
ONE_BY_ONE = (
    PipelineParameter(
        "pack_workers",
        f"Pods that read the claim at once, 1 to {MAX_WORKERS}; 1 unless it is ReadWriteMany or "
        "ReadOnlyMany.",
        1,
        int,
    ),
)
SECRETS = (
    PipelineParameter(
        "secret_hub",
        "Name of the Secret that opens the model: key HF_TOKEN, or an S3 connection. Leave as it "
        "is for public models; never empty, no dots.",
        "carferry-hf",
    ),
    PipelineParameter(
        "secret_registry",
        "Name of another Secret, kubernetes.io/dockerconfigjson. Leave as it is without a login; "
        "never empty, no dots.",
        "carferry-registry",
    ),
)
SERVING = (
    PipelineParameter(
        "serve",
        "One of deploy: serve it and wait; render: only write the objects, for GitOps; no: only "
        "push.",
        "deploy",
    ),
    PipelineParameter(
        "serve_args", "More vLLM arguments, quoted as in a shell. Empty: the plan's alone.", ""
    ),
    PipelineParameter(
        "serve_gpu",
        "GPUs to plan for, as in L40S x2. Empty: read the cluster; none: do not check.",
        "",
    ),
    PipelineParameter(
        "serve_image",
        "vLLM image by release tag or digest; the plan is for its version.",
        VLLM_IMAGE,
    ),
    PipelineParameter(
        "serve_max_model_len", "Longest sequence in tokens. 0: the plan's choice.", 0, int
    ),
    PipelineParameter(
        "serve_name", "InferenceService name. Empty: made from the image's repository.", ""
    ),
)
SETTINGS = (
    PipelineParameter(
        "settings",
        'Everything else as JSON, such as {"namespace": "demo", "auth": true}; the names are in '
        "docs/reference/settings.md. Empty: defaults.",
        {},
        dict,
    ),
)
