"""Any vendor's resource is asked for, and by a server that is made for its devices."""

from __future__ import annotations

from pathlib import Path

import pytest
from serve_samples import settings
from test_serve_discovery import OPENSHIFT_AI, SECOND, Answers

from carferry.cluster.kinds import Object
from carferry.errors import InputError
from carferry.run.first import first
from carferry.run.request import Run
from carferry.serve.accelerators import accelerator_of, made_for
from carferry.serve.checks import check_resource
from carferry.serve.objects import make_objects
from carferry.serve.prepare import prepare
from carferry.serve.settings import VLLM_IMAGE
from carferry.steps.deploy import check

TARGET = "quay.io/team/granite:v1"
TAKEN = (
    "nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-3g.20gb",
    "nvidia.com/mig-1g.10gb.me",
    "amd.com/gpu", "habana.ai/gaudi", "gpu.intel.com/i915", "gpu.intel.com/xe", "example.com/npu",
    "example/npu", "huawei.com/Ascend910", "x.io/" + "n" * 63, "a" * 63 + ".io/gpu",
)  # fmt: skip
REFUSED = (
    ("cpu", "not vendor"), ("memory", "not vendor"), ("hugepages-2Mi", "not vendor"),
    ("kubernetes.io/gpu", "for itself"), ("gpu.kubernetes.io/x", "for itself"),
    ("requests.nvidia.com/gpu", "a quota"), ("nvidia.com/", "not vendor"),
    ("nvidia.com/gpu/x", "not vendor"), ("nvidia.com/-gpu", "not vendor"),
    ("x.io/" + "n" * 64, "not vendor"), (".".join(["a" * 50] * 5) + "/gpu", "not vendor"),
    ("Nvidia.com/gpu", "not vendor"), ("nvidia.com/gpu\n", "not vendor"), ("", "not vendor"),
)  # fmt: skip


@pytest.mark.parametrize("resource", TAKEN)
def test_what_a_device_plugin_may_offer_is_taken(resource: str) -> None:
    check_resource(resource)


@pytest.mark.parametrize(("resource", "words"), REFUSED)
def test_what_is_no_extended_resource_is_refused(resource: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_resource(resource)


@pytest.mark.parametrize("resource", ["cpu", "kubernetes.io/gpu", "requests.nvidia.com/gpu"])
def test_fit_model_refuses_it_before_anything_is_asked(resource: str) -> None:
    """No hub is there to be asked."""
    run = Run("team/absent", TARGET, serve="render", settings={"gpu_resource": resource})
    with pytest.raises(InputError, match="ask for GPUs"):
        first(run)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (VLLM_IMAGE, "NVIDIA GPUs"),
        ("docker.io/vllm/vllm-openai-rocm:v0.24.0", "AMD GPUs"),
        ("docker.io/rocm/vllm:0.20", "AMD GPUs"),
        ("registry.redhat.io/rhaiis/vllm-rocm-rhel9:3.2.1", "AMD GPUs"),
        ("registry.redhat.io/rhaii/vllm-cuda-rhel9:3.4.0", "NVIDIA GPUs"),
        ("quay.io/modh/vllm:rhoai-2.20-cuda", "NVIDIA GPUs"),
        ("quay.io/modh/vllm:rhoai-2.20-rocm", "AMD GPUs"),
        ("quay.io/modh/vllm:rhoai-2.20-gaudi", "Gaudi accelerators"),
        ("registry.redhat.io/rhaiis/vllm-spyre-rhel9:3.2", "Spyre cards"),
        ("public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.24.0", "CPUs"),
        ("docker.io/vllm/vllm-openai-cpu:v0.24.0", "CPUs"),
        ("docker.io/vllm/vllm-tpu:v0.13.3", "TPUs"),
        ("quay.io/acme-cpu-lab/vllm-cuda:1", "NVIDIA GPUs"),
        ("quay.io/team/vllm-cuda-or-rocm-cpu:1", ""),
        ("quay.io/team/server:1", ""),
    ],
)
def test_an_images_name_says_what_it_is_made_for(image: str, name: str) -> None:
    made = made_for(image)
    assert (made.name if made else "") == name


MISMATCHED = [
    ("amd.com/gpu", "1", VLLM_IMAGE, "vllm-openai-rocm"),
    ("amd.com/gpu", "2", "registry.redhat.io/rhaii/vllm-cuda-rhel9:3.4.0", "needs NVIDIA GPUs"),
    ("nvidia.com/gpu", "1", "docker.io/vllm/vllm-openai-rocm:v0.24.0", "needs AMD GPUs"),
    ("nvidia.com/mig-3g.20gb", "1", "quay.io/modh/vllm:rhoai-2.20-gaudi", "needs Gaudi"),
    ("habana.ai/gaudi", "1", VLLM_IMAGE, "vllm-gaudi-runtime-template"),
    ("gpu.intel.com/i915", "1", VLLM_IMAGE, "needs NVIDIA GPUs, not gpu.intel.com/i915"),
    ("example.com/npu", "1", VLLM_IMAGE, "needs NVIDIA GPUs, not example.com/npu"),
    ("nvidia.com/gpu", "0", VLLM_IMAGE, "not CPU only: gpu_count is 0; .*vllm-cpu"),
    ("nvidia.com/gpu", "1", "docker.io/vllm/vllm-openai-cpu:v0.24.0", "needs CPUs"),
]


@pytest.mark.parametrize(("resource", "count", "image", "words"), MISMATCHED)
def test_a_server_for_other_devices_is_refused(
    resource: str, count: str, image: str, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        make_objects(settings(gpu_resource=resource, gpu_count=count, runtime_image=image))


@pytest.mark.parametrize("resource", ["amd.com/gpu", "habana.ai/gaudi", "example.com/npu"])
def test_an_llm_service_does_not_fall_to_the_preset_for_nvidia(resource: str) -> None:
    with pytest.raises(InputError, match="needs NVIDIA GPUs"):
        make_objects(settings(kind="llm", gpu_resource=resource))
    for more in ({"runtime_image": "quay.io/team/server:1"}, {"base_refs": "mine"}):
        assert make_objects(settings(kind="llm", gpu_resource=resource, **more))


@pytest.mark.parametrize("resource", TAKEN)
def test_an_image_that_does_not_say_serves_any_resource(resource: str) -> None:
    made = make_objects(settings(gpu_resource=resource, runtime_image="quay.io/team/server:1"))
    limits = made[-1]["spec"]["predictor"]["model"]["resources"]["limits"]
    assert limits[resource] == "1"


def test_a_rendered_deployment_is_checked_with_the_plans_resource(tmp_path: Path) -> None:
    form = {"gpu_resource": "amd.com/gpu", "gpu_count": 1}
    with pytest.raises(InputError, match=r"needs NVIDIA GPUs, not amd.com/gpu"):
        check(TARGET, form, account=tmp_path)  # type: ignore[arg-type]


def test_serving_on_cpus_is_said_to_be_that() -> None:
    image = "quay.io/team/vllm-cpu:1"
    (said,) = prepare(Answers(), settings(gpu_count="0", runtime_image=image)).notes
    assert said == "gpu_count is 0: it is served on CPUs, without any GPU"


def profile(*identifiers: str) -> Object:
    return {"spec": {"identifiers": [{"identifier": each} for each in identifiers]}}


PLACES = [
    (OPENSHIFT_AI, "infrastructure.opendatahub.io/v1"),
    ((SECOND, "infrastructure.opendatahub.io/v1alpha1"), "infrastructure.opendatahub.io/v1alpha1"),
    ((SECOND, "dashboard.opendatahub.io/v1alpha1"), "dashboard.opendatahub.io/v1alpha1"),
]


@pytest.mark.parametrize(("groups", "version"), PLACES)
def test_a_profile_of_other_gpus_is_refused(groups: tuple[str, ...], version: str) -> None:
    path = f"/apis/{version}/namespaces/apps/hardwareprofiles/a100"
    held = Answers(groups, {path: profile("cpu", "memory", "nvidia.com/mig-3g.20gb")})
    wanted = {"hardware_profile": "apps/a100"}
    with pytest.raises(
        InputError, match=r"about nvidia.com/mig-3g.20gb, .* asks for nvidia.com/gpu"
    ):
        prepare(held, settings(**wanted))
    with pytest.raises(InputError, match=r"asks for no GPU; set gpu_count"):
        prepare(held, settings(gpu_count="0", runtime_image="quay.io/v/vllm-cpu:1", **wanted))
    assert prepare(held, settings(gpu_resource="nvidia.com/mig-3g.20gb", **wanted))


@pytest.mark.parametrize("held", [profile(), profile("cpu", "memory"), {}])
def test_a_profile_that_names_no_gpu_says_nothing(held: Object) -> None:
    path = "/apis/infrastructure.opendatahub.io/v1/namespaces/apps/hardwareprofiles/a100"
    answers = Answers(OPENSHIFT_AI, {path: held})
    assert prepare(answers, settings(hardware_profile="apps/a100"))


def test_a_vendor_is_known_by_its_resource() -> None:
    assert accelerator_of("example.com/npu") is None
    assert {accelerator_of(each) for each in ("nvidia.com/gpu", "nvidia.com/mig-1g.5gb")} == {
        made_for(VLLM_IMAGE)
    }
