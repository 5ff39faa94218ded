"""Strings of a form become one checked Deployment, or one line that names the field."""

from __future__ import annotations

import pytest
from serve_samples import DIGEST, IMAGE, settings

from carferry.cluster.tolerations import Toleration
from carferry.errors import InputError, InvalidName, InvalidReference
from carferry.refs import ImageRef
from carferry.serve.form import DEFAULTS, PARAMETERS
from carferry.serve.settings import Deployment, HardwareProfileRef, Mode


def test_defaults_make_a_deployment_named_after_the_image() -> None:
    made = settings()
    assert made.name == "granite-31-2b"
    assert made.uri == f"oci://quay.io/team/granite-3.1-2b@{DIGEST}"
    assert (made.deployment_mode, made.gpu_count, str(made.memory)) == (Mode.STANDARD, 1, "16Gi")


def test_the_name_is_made_from_the_display_name_when_there_is_one() -> None:
    assert settings(display_name="My Granite 3.1").name == "my-granite-31"


def test_a_made_name_leaves_room_for_the_namespace() -> None:
    made = settings(display_name="n" * 80, namespace="d" * 20)
    assert made.name == "n" * 42


def test_values_are_stripped_as_forms_paste_blanks() -> None:
    assert settings(cpu=" 500m\n").cpu.text == "500m"


def test_every_parameter_has_a_one_line_ascii_help_and_its_own_name() -> None:
    names = [parameter.name for parameter in PARAMETERS]
    assert len(names) == len(set(names))
    assert [p.name for p in PARAMETERS if not p.help.isascii() or "\n" in p.help] == []


def test_the_dataclass_defaults_equal_the_table_of_parameters() -> None:
    by_strings = settings(tolerations="[]", name="same")
    plain = Deployment(image=ImageRef.parse(IMAGE), name="same", namespace="demo")
    assert plain == by_strings


def test_no_default_runtime_moves_under_a_running_model() -> None:
    assert "latest" not in DEFAULTS["runtime_image"]
    assert ":" in DEFAULTS["runtime_image"]


def test_a_runtime_image_is_pinned_by_its_digest_whatever_its_tag() -> None:
    image = f"quay.io/vllm/vllm:latest@{DIGEST}"
    assert settings(runtime_image=image).runtime_image == image


@pytest.mark.parametrize(
    ("resource", "key"),
    [
        ("nvidia.com/gpu", "nvidia.com/gpu"),
        ("nvidia.com/mig-3g.20gb", "nvidia.com/gpu"),
        ("amd.com/gpu", "amd.com/gpu"),
        ("habana.ai/gaudi", "habana.ai/gaudi"),
    ],
)
def test_the_gpu_taint_is_tolerated_by_default(resource: str, key: str) -> None:
    made = settings(gpu_resource=resource, runtime_image="quay.io/vendor/vllm:1.2")
    assert made.tolerations == (Toleration(key=key, operator="Exists", effect="NoSchedule"),)


def test_tolerations_are_read_from_json() -> None:
    text = '[{"key":"pool","value":"llm","effect":"NoExecute","tolerationSeconds":30}]'
    expected = Toleration(key="pool", value="llm", effect="NoExecute", seconds=30)
    assert settings(tolerations=text).tolerations == (expected,)


def test_pairs_are_read_from_commas_lines_or_json_and_sorted() -> None:
    expected = (("a/b", "1"), ("c", "2"))
    texts = ["c=2,a/b=1", "c=2\n a/b = 1", '{"c": "2", "a/b": "1"}']
    assert [settings(node_selector=text).node_selector for text in texts] == [expected] * 3


def test_an_environment_value_may_hold_commas_and_equal_signs() -> None:
    assert settings(env="A=1,2=3").env == (("A", "1,2=3"),)


def test_vllm_arguments_are_split_as_in_a_shell() -> None:
    made = settings(vllm_args="--dtype=half --chat-template '{{ x }}'")
    assert made.vllm_args == ("--dtype=half", "--chat-template", "{{ x }}")


def test_a_hardware_profile_is_looked_for_in_the_project_unless_it_says_where() -> None:
    assert settings(hardware_profile="a100").hardware_profile == HardwareProfileRef("a100", "demo")
    assert settings(hardware_profile="apps/a100").hardware_profile == HardwareProfileRef(
        "a100", "apps"
    )


def test_a_hardware_profile_brings_its_own_tolerations() -> None:
    assert settings(hardware_profile="a100").tolerations == ()


@pytest.mark.parametrize(
    ("values", "kind", "words"),
    [
        (
            {"image": "quay.io/team/model:v1"},
            InputError,
            "inspect -q prints",
        ),
        ({"image": "team/model"}, InvalidReference, "no registry host"),
        ({"image": ""}, InputError, "image is empty"),
        ({"namespace": "Demo"}, InvalidName, "lower-case letters"),
        ({"name": "Granite"}, InvalidName, "DNS-1123"),
        ({"name": "3b"}, InvalidName, "DNS-1123"),
        ({"name": "n" * 54}, InvalidName, "at most 53"),
        ({"name": "n" * 53, "namespace": "n" * 10}, InvalidName, "at most 63"),
        ({"runtime_image": "quay.io/vllm/vllm:latest"}, InputError, "not pinned"),
        ({"runtime_image": "quay.io/vllm/vllm"}, InputError, "not pinned"),
        ({"gpu_resource": "gpu"}, InputError, "not vendor.domain/resource"),
        ({"gpu_resource": "amd.com/"}, InputError, "not vendor.domain/resource"),
        ({"gpu_resource": "AMD.com/gpu"}, InputError, "not vendor.domain/resource"),
        ({"gpu_count": "-1"}, InputError, "gpu_count"),
        ({"gpu_count": "one"}, InputError, "gpu_count"),
        ({"cpu": "4 cores"}, InputError, "not a quantity"),
        ({"memory": "16GB"}, InputError, "not a quantity"),
        ({"memory": "0Gi"}, InputError, "zero"),
        ({"memory": "16"}, InputError, "that many bytes; write 16Gi"),
        ({"memory": "500m"}, InputError, "that many bytes; write 500Gi"),
        ({"shm_size": "64k"}, InputError, "that many bytes"),
        ({"platform": "openshift"}, InputError, "none of auto, kserve, openshift-ai-2.22"),
        ({"kind": "llmisvc"}, InputError, "not isvc or llm"),
        ({"mount": "volume"}, InputError, "not modelcar or native"),
        ({"rollout": "Recreate"}, InputError, "not recreate or rolling"),
        ({"model_path": "/base"}, InputError, "not a folder below the image's /models"),
        ({"model_path": "a/../.."}, InputError, "not a folder below"),
        ({"model_path": "a//b"}, InputError, "not a folder below"),
        ({"labels": "a b=c"}, InputError, "malformed"),
        ({"labels": "kueue.x-k8s.io/queue-name=q"}, InputError, "queue and name set them"),
        ({"labels": "serving.kserve.io/inferenceservice=x"}, InputError, "KServe sets it"),
        ({"queue": "a b"}, InvalidName, "queue"),
        ({"stopped": "perhaps"}, InputError, "not true or false"),
        ({"base_refs": "a,B"}, InvalidName, "LLMInferenceServiceConfig"),
        ({"vllm_args": "--served_model_name=x"}, InputError, "carferry sets it; name the model"),
        ({"shm_size": "-1"}, InputError, "not a quantity"),
        ({"tolerations": "{}"}, InputError, "not a JSON list"),
        ({"tolerations": "[1]"}, InputError, "not a toleration"),
        ({"tolerations": "[{"}, InputError, "not JSON"),
        ({"tolerations": '[{"key":"a","operator":"Is"}]'}, InputError, "operator"),
        ({"tolerations": '[{"key":"a","effect":"Never"}]'}, InputError, "effect"),
        ({"tolerations": '[{"key":"a","operator":"Exists","value":"b"}]'}, InputError, "value"),
        ({"tolerations": '[{"key":"a","tolerationSeconds":"9"}]'}, InputError, "not a number"),
        ({"tolerations": "[{}]"}, InputError, "empty key"),
        ({"node_selector": "gpu"}, InputError, "no '='"),
        ({"node_selector": "a=b,a=c"}, InputError, "given twice"),
        ({"node_selector": "a b=c"}, InputError, "malformed"),
        ({"env": "1A=b"}, InputError, "malformed"),
        ({"env": '{"A": 1}'}, InputError, "not a name with a text as its value"),
        ({"vllm_args": "'unclosed"}, InputError, "vllm_args"),
        ({"vllm_args": "--model=/other"}, InputError, "carferry sets it"),
        ({"vllm_args": "--port 1"}, InputError, "carferry sets it"),
        ({"deployment_mode": "Raw"}, InputError, "deployment_mode"),
        ({"auth": "yes"}, InputError, "not true or false"),
        ({"min_replicas": "0"}, InputError, "scales to zero"),
        ({"min_replicas": "2"}, InputError, "max_replicas"),
        ({"max_model_len": "8k"}, InputError, "max_model_len"),
        ({"pull_secret": "a b"}, InvalidName, "pull secret"),
        ({"hardware_profile": "A B"}, InvalidName, "hardware profile"),
        ({"colour": "red"}, InputError, "no such setting"),
    ],
)
def test_bad_input_is_one_line_that_names_it(
    values: dict[str, str], kind: type[InputError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        settings(**values)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


def test_a_number_of_huge_length_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InputError, match="model_size_bytes"):
        settings(model_size_bytes="9" * 5000)


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ({"env": "HF_TOKEN=x"}, "the server asks no hub"),
        ({"env": "ANY=hf_abcdefghijkl"}, "the server asks no hub"),
        ({"env": "VLLM_API_KEY=sesame"}, "use auth instead"),
        ({"env": "WANDB_API_KEY=sesame"}, "a Secret that a ServingRuntime"),
        ({"env": "DB_PASS=sesame"}, "a Secret"),
        ({"env": "GITHUB_PAT=sesame"}, "a Secret"),
        ({"env": "DJANGO_SECRET_KEY=sesame"}, "a Secret"),
        ({"env": "KEY_ID=AKIAIOSFODNN7EXAMPLE"}, "a Secret"),
        ({"env": "DATABASE=postgres://u:sesame@db/x"}, "a Secret"),
        ({"env": "HTTPS_PROXY=u:sesame@proxy.corp:3128"}, "a Secret"),
        ({"env": "JWT=eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"}, "a Secret"),
        ({"env": "PEM=-----BEGIN RSA PRIVATE KEY-----"}, "a Secret"),
        ({"vllm_args": "--api-key sesame"}, "use auth instead"),
        ({"vllm_args": "--api_key=sesame"}, "use auth instead"),
        ({"vllm_args": "--hf-token sesame"}, "the server asks no hub"),
        ({"vllm_args": "--hf_token=sesame"}, "the server asks no hub"),
        ({"vllm_args": "--ssl-keyfile-password sesame"}, "a Secret"),
        ({"vllm_args": "--chat-template hf_sesamesesame"}, "the server asks no hub"),
        ({"vllm_args": """--model-loader-extra-config '{"token": "sesame"}'"""}, "a Secret"),
        ({"vllm_args": "--otlp-traces-endpoint http://u:sesame@otel:4317"}, "a Secret"),
    ],
)
def test_a_secret_is_refused_with_the_way_of_secrets(given: dict[str, str], remedy: str) -> None:
    with pytest.raises(InputError, match="readable") as refused:
        settings(**given)
    assert remedy in refused.value.remedy
    assert "sesame" not in str(refused.value)
    assert "AKIAIOSFODNN7EXAMPLE" not in str(refused.value)


@pytest.mark.parametrize(
    "given",
    [
        {"env": "GOOGLE_APPLICATION_CREDENTIALS=/secrets/key.json"},
        {"env": "HF_TOKEN_FILE=/secrets/token"},
        {"env": "PAD_TOKEN=<pad>"},
        {"env": "HF_HUB_OFFLINE=1\nVLLM_LOGGING_LEVEL=DEBUG\nMAX_TOKENS=5"},
        {"vllm_args": "--max-num-batched-tokens 8192 --tokenizer-mode auto"},
        {"vllm_args": """--override-generation-config '{"max_new_tokens": 5}'"""},
        {"vllm_args": "--served-prefix org/name@main"},
    ],
)
def test_what_only_sounds_like_a_secret_is_taken(given: dict[str, str]) -> None:
    assert settings(**given)
