"""The table of causes: each row is found by the words of its source, and says what to do."""

# ruff: noqa: E501 - words are quoted as their sources write them

from __future__ import annotations

import string

import pytest

from carferry.cluster.watch.causes import CAUSES, Cause, Where, cause_of
from carferry.cluster.watch.logs import telling
from carferry.cluster.watch.server import LOGGED
from carferry.cluster.watch.signal import State

P, C, V, R, U, S = (
    Where.PULL,
    Where.CREATE,
    Where.VOLUME,
    Where.REFUSED,
    Where.UNPLACED,
    Where.SERVICE,
)

# As the sources write it: kubelet, containerd and CRI-O, admission, scheduler, KServe.
SAID = (
    (P, "registry-limit", "toomanyrequests: You have reached your unauthenticated pull rate limit."),
    (P, "registry-unknown", 'dial tcp: lookup quay.invalid on 10.96.0.10:53: no such host'),
    (P, "name-server", "dial tcp: lookup quay.io on 10.0.0.1:53: dial udp 10.0.0.1:53: connect: network is unreachable"),
    (P, "registry-plain-http", "http: server gave HTTP response to HTTPS client"),
    (P, "registry-certificate", "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
    (P, "registry-unreachable", "dial tcp 192.0.2.1:443: connect: no route to host"),
    (P, "registry-refuses", "dial tcp 10.0.0.1:5000: connect: connection refused"),
    (P, "image-platform", "no match for platform in manifest sha256:ab: not found"),
    (P, "image-platform", "choosing image instance: no image found in image index: no matching manifest for linux/amd64"),
    (P, "node-disk-full", "write /var/lib/containerd/x: no space left on device"),
    (P, "image-denied", "pull access denied, repository does not exist or may require authorization"),
    (P, "image-denied", "unauthorized: access to the requested resource is not authorized"),
    (P, "image-missing", "reading manifest sha256:ab in quay.io/a/b: manifest unknown"),
    (P, "image-name", 'InvalidImageName: Failed to apply default image tag "A": couldn\'t parse image name "A"'),
    (P, "image-broken", "failed to unpack image on snapshotter overlayfs: unexpected commit digest sha256:ab, expected sha256:cd"),
    (P, "image-never-pulled", "ErrImageNeverPull: Container image is not present with pull policy of Never"),
    (C, "no-shell", 'exec: "sh": executable file not found in $PATH'),
    (C, "no-shell", "executable file `sh` not found in $PATH: exec: \"sh\""),
    (C, "image-platform", "exec /usr/bin/sh: exec format error"),
    (C, "command-missing", 'exec: "python3": executable file not found in $PATH'),
    (C, "root-user", "container has runAsNonRoot and image has non-numeric user (vllm)"),
    (C, "config-missing", 'configmap "settings" not found'),
    (C, "gpu-runtime", "nvidia-container-cli: initialization error: nvml error: driver not loaded"),
    (C, "permission-denied", "exec: permission denied"),
    (V, "volume-missing", 'MountVolume.SetUp failed for volume "more" : secret "no-such" not found'),
    (V, "volume-attached", 'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node'),
    (V, "sandbox", "Failed to create pod sandbox: plugin type=\"ovn-k8s-cni-overlay\" failed (add)"),
    (V, "volume", "MountVolume.MountDevice failed for volume \"pvc\" : rpc error: DeadlineExceeded"),
    (R, "quota", "exceeded quota: team, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=2, limited: requests.nvidia.com/gpu=2"),
    (R, "quota-unlimited", "failed quota: team: must specify limits.cpu for: modelcar; limits.memory for: modelcar"),
    (R, "limit-range", "minimum memory usage per Container is 32Mi, but request is 15Mi"),
    (R, "pod-security", 'violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false'),
    (R, "scc", "unable to validate against any security context constraint: []"),
    (R, "account-missing", 'error looking up service account demo/x: serviceaccount "x" not found'),
    (R, "webhook-away", 'failed calling webhook "inferenceservice.kserve-webhook-server.pod-mutator": connection refused'),
    (R, "webhook-denied", 'admission webhook "policy.example" denied the request: no'),
    (R, "pod-refused", "something nobody has seen"),
    (U, "claim-missing", '0/1 nodes are available: persistentvolumeclaim "x" not found.'),
    (U, "claim-unbound", "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."),
    (S, "no-knative", "ServerlessModeRejected: It is not possible to use Knative deployment mode"),
    (S, "no-runtime", "RuntimeNotRecognized: no runtime of that name"),
    (S, "invalid-spec", "InternalError: StorageURI not supported: storageUri, must be one of"),
    (S, "revision-failed", 'RevisionFailed: Revision "m-predictor-00002" failed with message: Unable to fetch image.'),
    (S, "reconcile-failed", "InternalError: fails to reconcile predictor: conflict"),
)  # fmt: skip

# As vLLM v0.24.0 and what it is built on write it.
LOGS = (
    ("unknown-argument", "api_server.py: error: unrecognized arguments: --no-such-flag"),
    ("wrong-argument", "api_server.py: error: argument --max-num-seqs: invalid int value: 'abc'"),
    ("kv-cache", "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine."),
    ("kv-cache", "(16.0 GiB KV cache is needed, which is larger than the available KV cache memory (4.85 GiB). Based on the available memory, the estimated maximum model length is 39728."),
    ("gpu-in-use", "ValueError: Free memory on device cuda:0 (2.6/121.63 GiB) on startup is less than desired GPU memory utilization (0.9, 109.46 GiB)."),
    ("gpu-memory", "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB."),
    ("gpu-memory", "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB."),
    ("no-bfloat16", "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0."),
    ("gpu-too-old", "ValueError: The quantization method modelopt is not supported for the current GPU. Minimum capability: 89. Current capability: 75."),
    ("gpu-too-old", "torch.AcceleratorError: CUDA error: no kernel image is available for execution on the device"),
    ("quantization", "Value error, Unknown quantization method: mxfp6. Must be one of ['awq', 'fp8', 'gptq']."),
    ("wrong-argument", "Value error, Quantization method specified in the model config (gptq) does not match the quantization method specified in the `quantization` argument (awq)."),
    ("dtype", "ValueError: torch.bfloat16 is not supported for quantization method awq. Supported dtypes: [torch.float16]"),
    ("architecture", "Model architectures ['A'] are not supported for now. Supported architectures: dict_keys([])"),
    ("architecture", "The checkpoint you are trying to load has model type `x` but Transformers does not recognize this architecture."),
    ("model-length", "User-specified max_model_len (65536) is greater than the derived max_model_len (max_position_embeddings=32768.0 or model_max_length=None in model's config.json)."),
    ("gpu-split", "Total number of attention heads (32) must be divisible by tensor parallel size (3)."),
    ("gpu-missing", "RuntimeError: Failed to infer device type"),
    ("custom-code", "Please pass the argument `trust_remote_code=True` to allow custom code to be run."),
    ("shared-memory", "RuntimeError: DataLoader worker is killed by signal: Bus error."),
    ("memory", "RuntimeError: [enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    ("no-user", "KeyError: 'getpwuid(): uid not found: 1010'"),
    ("weights-broken", "safetensors_rust.SafetensorError: Error while deserializing header: HeaderTooLarge"),
    ("model-not-linked", "FileNotFoundError: [Errno 2] No such file or directory: '/mnt/models/config.json'"),
    ("port-in-use", "OSError: [Errno 98] Address already in use"),
)  # fmt: skip


@pytest.mark.parametrize(("where", "name", "said"), SAID)
def test_a_row_is_found_by_its_sources_words(where: Where, name: str, said: str) -> None:
    found = cause_of(where, said)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(("name", "said"), LOGS)
def test_a_servers_words_name_the_cause(name: str, said: str) -> None:
    found = cause_of(Where.LOG, said, LOGGED)
    assert found is not None
    assert found.name == name


def test_every_row_has_words_of_its_source_here() -> None:
    told = {name for _, name, _ in SAID} | {name for name, _ in LOGS}
    known = {row.name for row in (*CAUSES, *LOGGED)}
    assert known == told


@pytest.mark.parametrize("row", [*CAUSES, *LOGGED], ids=lambda row: f"{row.where.name}-{row.name}")
def test_a_row_says_what_to_do_with_what_its_words_hold(row: Cause) -> None:
    groups = {*row.words.groupindex, "option"}
    assert {name for _, name, _, _ in string.Formatter().parse(row.remedy) if name} <= groups
    assert row.remedy or row.name == "pod-refused"
    assert row.means


@pytest.mark.parametrize(
    ("where", "said", "advice"),
    [
        (P, "manifest unknown", "check --runtime-image"),
        (C, 'secret "hf" not found', 'make the secret "hf"'),
        (R, "exceeded quota: team, requested: cpu=1,", "or for more in ResourceQuota team"),
    ],
)
def test_the_next_step_holds_what_was_said(where: Where, said: str, advice: str) -> None:
    found = cause_of(where, said)
    assert found is not None
    assert advice in found.advice(said, {"option": "--runtime-image"})


def test_the_settings_that_every_log_names_prove_nothing() -> None:
    said = "Initializing a V1 LLM engine (v0.24.0) with config: trust_remote_code=False, quantization=None"
    assert cause_of(Where.LOG, said, LOGGED) is None


def test_a_limit_of_pulls_is_waited_for() -> None:
    found = cause_of(P, "toomanyrequests: slow down")
    assert found is not None
    assert found.state is State.WAITING


def test_the_kv_caches_own_length_is_proposed() -> None:
    said = LOGS[3][1]
    found = cause_of(Where.LOG, said, LOGGED)
    assert found is not None
    assert "--max-model-len 39728" in found.advice(said)


@pytest.mark.parametrize(
    ("lines", "best"),
    [
        (["loading", "ValueError: the cause", "RuntimeError: Engine core initialization failed. See root cause above."], "ValueError: the cause"),
        (["only", "words"], "words"),
        ([], ""),
    ],
)  # fmt: skip
def test_the_line_that_tells_most_is_quoted(lines: list[str], best: str) -> None:
    assert telling(lines) == best
