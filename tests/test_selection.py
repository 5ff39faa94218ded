"""What enters an image of a folder, what never does, and what is refused, each by its reason."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from ferrying import Outcome, carferry, from_folder, from_hub, left_behind, model_files, to_layout
from servers.hub import Hub
from servers.models import sharded, tiny, weights, write

from carferry.errors import InputError, NothingSelected, UnsafeWeights
from carferry.selection.patterns import Patterns
from carferry.selection.select import choose
from carferry.selection.selection import Selection
from carferry.source.snapshot import Snapshot, SourceFile

ONE = weights({"a": (2, 2)})
INDEX = "model.safetensors.index.json"
CONFIG = b'{"architectures": ["LlamaForCausalLM"]}'
MODEL = {"config.json": CONFIG, "model.safetensors": ONE}


def chosen(folder: Path, *include: str, exclude: tuple[str, ...] = ()) -> Selection:
    return choose(from_folder(folder), Patterns.parse(include, exclude))


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def paths(selection: Selection) -> set[str]:
    return {file.path for file in selection.files.files}


TEXTS = [
    "tokenizer.json", "tokenizer.model", "tokenizer.model.v3", "tokenizer.model.v7m1",
    "source.spm", "target.spm", "sentencepiece.bpe.model", "spiece.model", "bpe.codes",
    "vocab.bpe", "vocab.txt", "vocab.json", "dict.vocab", "qwen.tiktoken", "merges.txt",
    "tekken.json", "chat_template.jinja", "chat_template.json", "Chat_Template.JINJA2",
    "additional_chat_templates/tool_use.jinja", "special_tokens_map.json", "added_tokens.json",
    "tokens.txt", "LICENSE", "LICENSE.md", "License.txt", "licence", "MODEL_LICENSE",
    "Tongyi Qianwen LICENSE AGREEMENT", "LICENSE-CODE", "COPYING", "copying.lesser", "NOTICE",
    "Notice.txt", "THIRD_PARTY_NOTICES.md", "USE_POLICY.md", "USAGE_POLICY", "EULA", "eula.pdf",
    "README.md", "readme.txt", "hf_quant_config.json", "preprocessor_config.json",
]  # fmt: skip
TRAINING = [
    "checkpoint-500/model.safetensors", "checkpoint-500/config.json", "checkpoint-500/optimizer.pt",
    "optimizer.pt", "optimizer.safetensors", "scheduler.pt", "scaler.pt", "rng_state_0.pth",
    "trainer_state.json", "training_args.bin", "trainer_log.jsonl", "all_results.json",
    "global_step10/mp_rank_00_optim_states.pt", "runs/a/events.out.tfevents.1.json",
    "wandb/run-1/files/wandb-summary.json", "wandb/run-1/files/requirements.txt",
    "zero_to_fp32.py", "mlruns/0/meta.json",
]  # fmt: skip
CACHES = [
    ".ipynb_checkpoints/config-checkpoint.json", "a/.ipynb_checkpoints/b.json",
    "__pycache__/x.json",
]  # fmt: skip
CREDENTIALS = [
    "prod.env", "credentials.json", "aws_credentials", "id_rsa", "id_ed25519.txt", "server.pem",
    "tls.key", "kubeconfig", "kubeconfig.json", "netrc", "token", "token.txt", "hf_token",
    "hf_token.txt", "access_token.json", "client_secret_123.json", "my-service-account.json",
    "secrets.json", "kaggle.json", "auth.json", "api_key.txt", "Credentials.JSON", "passwords.txt",
    "deep/er/HF_TOKEN.txt", "dockerconfig.json", "docker-config.json", "my_token.txt",
    "openai_api_key.txt", "s3_secret.txt", "connection-secret.json", "AWS_SECRET_ACCESS_KEY.txt",
    "github_pat.txt", "cookies.txt", "htpasswd", "hf.token", "ssh_host_rsa_key", "passwd.bak.txt",
    "terraform.tfstate", "terraform.tfstate.backup", "team.secrets.yaml", "deploy_key.txt",
]  # fmt: skip
NO_CREDENTIALS = [
    "secretary.safetensors", "secret-agent.json.txt.md", "keywords.txt", "keys_to_ignore.json",
    "passages.json", "tokens.json", "tokenizer_config.json", "special_tokens_map.json",
    "author.json", "environment.yaml", "monkey.txt", "bypass.txt", "session.json", "image_token.md",
]  # fmt: skip
HOLDING = {
    "x.json": b'{"nested": {"auths": {"quay.io": {"auth": "abcd"}}}}',
    "dataset_config.json": b'{"auths": {"quay.io": {"auth": "abcd"}}}',
    "my-project-1234.json": b'{"type": "service_account", "private_key": "-----BEGIN"}',
    "sub/gcp.json": b'{"private_key": "x"}',
    "notes.txt": b"export HF_TOKEN=hf_" + b"a1B2" * 9,
    "notes2.txt": b"remote: https://ghp_" + b"a1B2" * 9 + b"@github.com/org/name",
    "aws.json": b'{"aws_secret_access_key": "abc"}',
    "aws.txt": b"[default]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\n",
    "azure.json": b'{"clientId": "a", "clientSecret": "0123456789abcdef"}',
    "settings.json": b'{"wandb": {"api_key": "0123456789abcdef"}}',
    "minio.json": b'{"accessKey": "minio", "secretKey": "wJalrXUtnFEMI7K7MDENG"}',
    "blob.txt": b"DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abc123==",
    "google.txt": b"AIza" + b"a1B2c" * 7,
    "web.json": b'{"jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc"}',
    "putty.txt": b"PuTTY-User-Key-File-3: ssh-ed25519\n",
    "note.txt": ("hf_" + "a1B2" * 9).encode("utf-16"),
    "my-key.txt": "0123456789abcdef0123456789".encode("utf-16"),
    "readable.txt": b"-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n",
    "kube.json": b'{"apiVersion": "v1", "kind": "Config", "users": [{"user": {"token": "abc"}}]}',
    "cluster.txt": b"kind: Config\nusers:\n- user:\n    client-key-data: abc\n",
    "login.txt": b"sha256~" + b"a1B2" * 10 + b"\n",
    "the-token.txt": b"0123456789abcdef0123456789abcdef\n",
    "env.txt": b"OPENAI=sk-" + b"a1B2" * 10,
}
HOLDING_NONE = {
    "labels.json": b'{"sk-learn-classification-of-documents-v2-model": 1}',
    "patch_embed_layout.txt": b"patch16x16-stride16-linear-v2",
    "keypoints.txt": b"coco-17-keypoints-left-to-right",
    "prompts.json": b'{"password": "secret-prompt-category"}',
    "labels.txt": b"0123456789abcdef0123456789abcdef\n",
    "token_counts.json": b'{"a": 1}',
    "sha.json": b'{"sha256": "0123456789abcdef0123456789abcdef"}',
    "dataset_config.json": b'{"type": "account", "key": "value", "users": 3}',
    "README.md": b"export HF_TOKEN=hf_" + b"x1B2" * 9,
    "tokenizer_extra.json": b'{"private_key": "a token of the vocabulary"}',
}


@pytest.mark.parametrize("name", TEXTS)
def test_tokenizers_and_texts_enter_in_any_case(name: str, tmp_path: Path) -> None:
    write(MODEL | {name: b"x"}, tmp_path)
    assert paths(chosen(tmp_path)) == {*MODEL, name}


@pytest.mark.parametrize("name", ["license.py", "readme.png", "notice.html", "vocab.py", "a.ipynb"])
def test_pictures_and_programs_are_no_texts(name: str, tmp_path: Path) -> None:
    write(MODEL | {name: b"x"}, tmp_path)
    assert paths(chosen(tmp_path)) == set(MODEL)


@pytest.mark.parametrize("name", [*TRAINING, *(n for n in CACHES if not n.startswith("."))])
def test_leftovers_stay_out_and_are_said_once_with_their_size(name: str, tmp_path: Path) -> None:
    write(MODEL | {name: ONE}, tmp_path)
    selection = chosen(tmp_path)
    if "/.ipynb" in name:  # a folder's hidden folders are not even looked at
        assert paths(selection) == set(MODEL)
        return
    (left,) = selection.left_out
    assert paths(selection) == set(MODEL)
    assert (left.path, left.size_bytes) == (name, len(ONE))
    assert re.search("left over from training|a cache", left.reason)


@pytest.mark.parametrize("name", TRAINING)
def test_leftovers_stay_out_of_a_wide_pattern_and_enter_when_named(
    name: str, tmp_path: Path
) -> None:
    write(MODEL | {name: ONE}, tmp_path)
    assert name not in paths(chosen(tmp_path, "*.json", "*.safetensors", "*.txt"))
    assert name in paths(chosen(tmp_path, "*.json", "*.safetensors", name))


@pytest.mark.parametrize("name", [*CREDENTIALS, *CACHES, ".env", ".netrc", ".aws/credentials"])
def test_a_hub_may_list_what_no_image_may_hold(name: str, hub: Hub) -> None:
    hub.add("org/model", {**MODEL, name: b"{}"})
    selection = choose(from_hub(hub, "org/model"), Patterns())
    assert paths(selection) == set(MODEL)
    assert [left.path for left in selection.left_out] == [name]


@pytest.mark.parametrize("name", CREDENTIALS)
def test_a_credential_enters_only_if_it_is_spelled_out(name: str, tmp_path: Path) -> None:
    write(MODEL | {name: b"secret"}, tmp_path)
    wide = ("*", f"{name[:3]}*", f"*{name[-3:]}")
    assert paths(chosen(tmp_path, *wide)) == set(MODEL)
    assert paths(chosen(tmp_path, "*", name)) == {*MODEL, name}
    (left,) = chosen(tmp_path).left_out
    assert (left.path, left.reason) == (name, "looks like a credential")


@pytest.mark.parametrize("name", NO_CREDENTIALS)
def test_a_word_that_only_begins_like_one_is_no_credential(name: str, tmp_path: Path) -> None:
    write(MODEL | {name: ONE if name.endswith("safetensors") else b"{}"}, tmp_path)
    assert not [e for e in chosen(tmp_path).left_out if e.reason == "looks like a credential"]
    assert name in paths(chosen(tmp_path, "*"))


@pytest.mark.parametrize("name", HOLDING)
def test_a_credential_is_known_by_what_it_holds(name: str, tmp_path: Path) -> None:
    write(MODEL | {name: HOLDING[name]}, tmp_path)
    (left,) = chosen(tmp_path).left_out
    assert (left.path, left.reason) == (name, "looks like a credential")
    assert name not in paths(chosen(tmp_path, "*"))
    assert name in paths(chosen(tmp_path, "*", name))


@pytest.mark.parametrize("name", HOLDING_NONE)
def test_what_only_resembles_one_enters(name: str, tmp_path: Path) -> None:
    write(MODEL | {name: HOLDING_NONE[name]}, tmp_path)
    assert name in paths(chosen(tmp_path))


def test_a_name_of_any_length_is_judged_at_once(hub: Hub) -> None:
    """A mirror may list what no file system holds; it is refused by name, not thought about."""
    hub.add("org/long", {**MODEL, "secret_" * 150_000 + ".x": b"x"})
    assert paths(choose(from_hub(hub, "org/long"), Patterns())) == set(MODEL)


def test_the_folder_that_would_be_right_is_named_as_it_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(MODEL, tmp_path / "m" / "sub")
    done = carferry(capsys, "build", "./m", "oci:out:v1")
    assert done.code == 2 and done.err.strip().endswith("package ./m/sub")


def test_many_small_files_do_not_hide_a_credential(tmp_path: Path) -> None:
    many = {f"a{number:04}.json": b"{}" for number in range(500)}
    write(MODEL | many | {"zz-login.json": HOLDING["x.json"]}, tmp_path)
    assert [left.path for left in chosen(tmp_path).left_out] == ["zz-login.json"]


def test_an_image_of_before_never_enters_the_next(tmp_path: Path) -> None:
    """Made inside the model's folder by whatever tool."""
    write(MODEL, tmp_path)
    layout = {"oci-layout": b"{}", "index.json": b"{}", "blobs/sha256/0": ONE}
    write(layout, tmp_path / "out")
    selection = chosen(tmp_path)
    assert paths(selection) == set(MODEL)
    assert {left.path for left in selection.left_out} == {f"out/{path}" for path in layout}
    assert {left.reason for left in selection.left_out} == {"part of an OCI layout"}
    write(layout, tmp_path)
    with pytest.raises(InputError, match="an OCI layout and not a model"):
        chosen(tmp_path)


@pytest.mark.parametrize("way", ["out", "deep/out", "", "link"])
@pytest.mark.parametrize("command", ["build", "plan"])
def test_a_build_never_writes_into_the_folder_that_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], way: str, command: str
) -> None:
    model = write(tiny(), tmp_path / "model")
    (model / "link").symlink_to(model, target_is_directory=True)
    before = sorted(model.rglob("*"))
    done = carferry(capsys, command, model, f"oci:{model / way}:v1", "--base", "scratch")
    assert done.code == 2 and "it lies in the model's folder" in done.err
    assert sorted(model.rglob("*")) == before


def test_a_build_never_writes_around_the_folder_that_it_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = write(tiny(), tmp_path / "out" / "model")
    done = carferry(capsys, "build", model, f"oci:{tmp_path / 'out'}:v1", "--base", "scratch")
    assert done.code == 2 and "lies in it" in done.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["model"]


def test_what_a_user_names_wins_over_every_exclusion(tmp_path: Path) -> None:
    extra = {
        "original/params.json": b"{}", "metal/x.json": b"{}", "model.fp16.safetensors": ONE,
        "consolidated.safetensors": ONE, "runs/a.json": b"{}", "checkpoint-1/a.json": b"{}",
    }  # fmt: skip
    write(MODEL | extra, tmp_path)
    assert paths(chosen(tmp_path)) == set(MODEL)
    assert paths(chosen(tmp_path, "*.json", "*.safetensors")) == set(MODEL)
    for name in extra:
        folder = f"{name.rpartition('/')[0]}/*" if "/" in name else name
        assert paths(chosen(tmp_path, "*.json", "model.safetensors", folder)) == {*MODEL, name}


def test_a_hidden_file_enters_if_it_is_named_and_a_hidden_credential_is_told_of(
    tmp_path: Path,
) -> None:
    write(MODEL | {".hidden.json": b"{}", ".env": b"A=1", ".git/x.json": b"{}"}, tmp_path)
    selection = chosen(tmp_path)
    assert paths(selection) == set(MODEL)
    assert [left.path for left in selection.left_out] == [".env"]
    assert paths(chosen(tmp_path, "*", ".hidden*")) == {*MODEL, ".hidden.json"}
    assert paths(chosen(tmp_path, "*", ".env")) == {*MODEL, ".env"}


def test_exclude_wins_over_what_the_model_needs(tmp_path: Path) -> None:
    write(MODEL | {"tokenizer.json": b"{}"}, tmp_path)
    selection = chosen(tmp_path, exclude=("tokenizer*",))
    assert (paths(selection), selection.left_out) == (set(MODEL), ())
    with pytest.raises(NothingSelected, match=r"drop the --exclude that takes model\.safetensors"):
        chosen(tmp_path, exclude=("*.safetensors",))
    with pytest.raises(InputError, match=r"drop the --exclude that takes config\.json"):
        chosen(tmp_path, exclude=("config*",))


CODE = {
    "config.json": {"auto_map": {"AutoModel": "modeling_x.X", "AutoConfig": "conf.C"}},
    "tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["tok.T", None]}},
    "processor_config.json": {"auto_map": {"AutoProcessor": "proc.P"}},
    "preprocessor_config.json": {"nested": {"auto_map": {"AutoImageProcessor": "image.I"}}},
}
PROGRAMS = {
    "modeling_x.py": b"from .layers import A\nfrom . import ops\nfrom .sub.deep import *",
    "conf.py": b"try:\n    from .guarded import X\nexcept ImportError:\n    pass\n",
    "tok.py": b"", "proc.py": b"print 'python 2'\nfrom .old import x\n", "image.py": b"\0",
    "layers.py": b"from .modeling_x import X", "ops.py": b"", "old.py": b"", "guarded.py": b"",
    "sub/deep.py": b"from ..top import Y\nfrom .side import *", "sub/side.py": b"",
    "top/__init__.py": b"",
}  # fmt: skip


def test_code_that_configs_name_enters_with_what_it_imports(tmp_path: Path) -> None:
    configs = {path: json.dumps(value).encode() for path, value in CODE.items()}
    write(MODEL | configs | PROGRAMS | {"train.py": b"", "setup.py": b""}, tmp_path)
    selection = chosen(tmp_path)
    assert paths(selection) == {"model.safetensors", *configs, *PROGRAMS}
    assert selection.trust_remote_code
    assert [left.path for left in selection.left_out] == ["setup.py", "train.py"]
    assert "needs --trust-remote-code" in selection.notes[0]


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("org/other--modeling.X", r"another repository \(org/other\): a server without network"),
        ("gone.X", r"configs name code that is not in the image: gone\.py"),
    ],
)
def test_code_that_cannot_enter_is_named(reference: str, says: str, tmp_path: Path) -> None:
    config = json.dumps({"auto_map": {"AutoModel": reference}}).encode()
    write(MODEL | {"config.json": config}, tmp_path)
    selection = chosen(tmp_path)
    assert selection.trust_remote_code
    assert re.search(says, " ".join(selection.notes))


@pytest.mark.parametrize("reference", ["../../etc/x.X", "/etc/passwd.X", ".X", "", "a.b.c.D", "x"])
def test_a_hostile_reference_reads_nothing(reference: str, tmp_path: Path) -> None:
    config = json.dumps({"auto_map": {"A": reference, "B": [{"auto_map": 3}], "C": 7}}).encode()
    write(MODEL | {"config.json": config}, tmp_path / "model")
    assert paths(chosen(tmp_path / "model")) == set(MODEL)


SENTENCE = [
    {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"2_Dense/model.safetensors": ONE}, None),
        ({"2_Dense/model.safetensors": ONE, "2_Dense/pytorch_model.bin": b"x"}, None),
        ({"2_Dense/pytorch_model.bin": b"x"}, r"2_Dense \(Dense\), whose weights are pickled"),
        ({}, r"2_Dense \(Dense\), which has no weights"),
    ],
)
def test_every_module_of_a_sentence_encoder_has_its_weights(
    files: dict[str, bytes], says: str | None, tmp_path: Path
) -> None:
    more = {
        "modules.json": json.dumps(SENTENCE).encode(),
        **dict.fromkeys(["1_Pooling/config.json", "2_Dense/config.json"], b"{}"),
    }
    write(MODEL | more | files, tmp_path)
    if says is None:
        assert paths(chosen(tmp_path)) == {*MODEL, *more, "2_Dense/model.safetensors"}
        return
    with pytest.raises(InputError, match=says) as caught:
        chosen(tmp_path)
    for hint in re.findall(r"--include '([^']*)'", str(caught.value)):
        assert paths(chosen(tmp_path, *hint.split(","))) == {*MODEL, *more, *files}


@pytest.mark.parametrize("path", ["", ".", "./", "/"])
def test_a_module_at_the_root_has_the_weights_of_the_root(path: str, tmp_path: Path) -> None:
    static = [{"path": path, "type": "sentence_transformers.models.StaticEmbedding"}]
    more = {"modules.json": json.dumps(static).encode()}
    write(MODEL | more, tmp_path)
    assert paths(chosen(tmp_path)) == {*MODEL, *more}


ROOTS: dict[str, tuple[dict[str, bytes], str]] = {
    "a folder above": (
        {f"snap/{n}": b for n, b in MODEL.items()}, r"lie in snap; package .*/snap$"
    ),
    "two folders": (
        {"a/config.json": b"{}", **{f"b/c/{n}": b for n, b in MODEL.items()}},
        r"lie in b/c; package .*/b/c$",
    ),
    "a trainer's folder": (
        {f"checkpoint-{c}/{n}": b for n, b in MODEL.items() for c in (9, 10, 100)},
        r"lie in checkpoint-100; package",
    ),
    "a trainer's folder with a card": (
        {"README.md": b"", **{f"checkpoint-9/{n}": b for n, b in MODEL.items()}},
        r"lie in checkpoint-9; package",
    ),
    "transformer as a module": (
        {f"0_Transformer/{n}": b for n, b in MODEL.items()}, "lie in 0_Transformer"
    ),
    "a pipeline": (
        {"model_index.json": b"{}", "unet/model.safetensors": ONE, "unet/config.json": b"{}"},
        r"a diffusers pipeline \(model_index\.json\)",
    ),
    "no config at all": ({"model.safetensors": ONE}, r"no config\.json, so no server knows"),
}  # fmt: skip


@pytest.mark.parametrize("case", ROOTS)
def test_a_config_that_would_not_lie_at_the_root_is_refused(case: str, tmp_path: Path) -> None:
    files, says = ROOTS[case]
    write(files, tmp_path)
    with pytest.raises(InputError, match=says) as caught:
        chosen(tmp_path)
    if found := re.search(r"package (\S+)$", str(caught.value)):
        assert paths(chosen(Path(found[1]))) == set(MODEL)


def below(folder: str, *names: str) -> dict[str, bytes]:
    return {"config.json": CONFIG, **{f"{folder}/{name}": MODEL.get(name, ONE) for name in names}}


HEADS = {f"model-0000{n}-of-00002.safetensors": weights({f"{n}": (2,)}) for n in (1, 2)}
AT_ROOT = as_json({"weight_map": {"a": "hf/model.safetensors"}})
IN_FOLDER = as_json({"weight_map": {str(n): f"model-0000{n}-of-00002.safetensors" for n in (1, 2)}})
DECODER = {"decoder/config.json": b'{"architectures": ["D"]}', "decoder/m.safetensors": ONE}
# A config at the root and all weights in folders, where no server looks: files, and what to do.
OUT_OF_REACH: dict[str, tuple[dict[str, bytes], str]] = {
    "the same model in a folder": (below("hf", "config.json", "model.safetensors"), "package X/hf"),
    "a folder of one precision": (below("fp16", "model.safetensors"), "move fp16/model.safeten"),
    "one precision with a config": (
        below("bf16", "config.json", "model.safetensors"), "package X/bf16",
    ),
    "weights alone in a folder": (below("hf", "model.safetensors"), "move hf/model.safetensors"),
    "two precisions": (
        below("fp16", "model.safetensors") | below("fp32", "model.safetensors"), "move fp16/model",
    ),
    "shards in a folder": (below("hf", *HEADS) | {f"hf/{INDEX}": IN_FOLDER}, "move hf/model-00001"),
    "another name": (below("weights", "adapted.safetensors"), "move weights/adapted.safetensors"),
    "two folders deep": (below("a/b", "config.json", "model.safetensors"), "package X/a/b"),
    "another architecture in a folder": ({"config.json": CONFIG} | DECODER, "package X/decoder"),
    "modules of which none holds them": (
        below("hf", "model.safetensors") | {"modules.json": as_json(SENTENCE[:2])}, "move hf/model",
    ),
}  # fmt: skip
IN_REACH: dict[str, tuple[dict[str, bytes], tuple[str, ...]]] = {
    "an index at the root that names a folder": (
        below("hf", "model.safetensors") | {INDEX: AT_ROOT}, (),
    ),
    "a module of a sentence encoder": (
        below("0_Transformer", "config.json", "model.safetensors")
        | {"modules.json": as_json([SENTENCE[0] | {"path": "0_Transformer"}])}, (),
    ),
    "weights at the root too": (MODEL | DECODER, ()),
    "weights at the root, of another name": (
        {"config.json": CONFIG, "pytorch.safetensors": ONE} | DECODER, (),
    ),
    "Mistral's layout": (
        {"params.json": b"{}", "consolidated.safetensors": ONE, "hf/model.safetensors": ONE}, (),
    ),
    "another server's format, named": (
        {"config.json": CONFIG, "onnx/model.onnx": ONE}, ("onnx/*", "*.json"),
    ),
    "GGUF at the root": (
        {"config.json": CONFIG, "m.gguf": b"GGUF", "hf/m.safetensors": ONE}, ("*",),
    ),
    "a pipeline that a user names": (
        {"config.json": CONFIG, "model_index.json": b"{}", "unet/m.safetensors": ONE},
        ("model_index.json", "*.json", "*.safetensors"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    "include", [(), ("*.json", "*.safetensors"), ("*.json", "*/*.safetensors"), ("*",)], ids=str
)
@pytest.mark.parametrize("case", OUT_OF_REACH)
def test_weights_that_no_server_finds_are_refused_whoever_names_them(
    case: str, include: tuple[str, ...], tmp_path: Path
) -> None:
    files, says = OUT_OF_REACH[case]
    write(files, tmp_path)
    with pytest.raises(InputError, match=r"no server finds its weights .*at its root; ") as caught:
        chosen(tmp_path, *include)
    assert says.replace("X/", f"{tmp_path}/") in str(caught.value)
    assert "--include" not in str(caught.value)
    if found := re.search(r"package (\S+);", str(caught.value)):
        assert "config.json" in paths(chosen(Path(found[1])))
    insisted = choose(from_folder(tmp_path), Patterns.parse(include, allow_no_weights=True))
    assert "config.json" in paths(insisted)


@pytest.mark.parametrize("case", IN_REACH)
def test_weights_in_folders_that_servers_find_enter(case: str, tmp_path: Path) -> None:
    files, include = IN_REACH[case]
    write(files, tmp_path)
    assert any(
        path.endswith((".safetensors", ".onnx")) for path in paths(chosen(tmp_path, *include))
    )


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("config.json", "model.safetensors"), "hf download org/model --include 'hf/*' --local-di"),
        (("model.safetensors",), "hf download org/model --local-dir model, then move hf/model.saf"),
    ],
)
def test_of_a_hub_what_to_download_is_said(names: tuple[str, ...], says: str, hub: Hub) -> None:
    hub.add("org/model", below("hf", *names))
    with pytest.raises(InputError, match="no server finds") as caught:
        choose(from_hub(hub, "org/model"), Patterns())
    assert says in str(caught.value)


class Placed:
    """A folder as if its files lay elsewhere."""

    def __init__(self, folder: Path, place: str) -> None:
        self.inner, self.place = from_folder(folder), place

    def __str__(self) -> str:
        return "elsewhere"

    def listing(self) -> Snapshot:
        return replace(self.inner.listing(), place=self.place)

    def snapshot(self, paths: Sequence[str]) -> Snapshot:
        return replace(self.inner.snapshot(paths), place=self.place)

    def read(self, file: SourceFile, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        return self.inner.read(file, start, stop)


@pytest.mark.parametrize("root", [{}, {"config.json": CONFIG}], ids=["no config", "a config"])
@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("s3://bucket/m?endpoint=https://minio.example", "; package s3://bucket/m/hf"),
        ("", "; put what lies in hf into a folder of its own"),
    ],
)
def test_of_a_bucket_or_an_image_the_folder_is_named_as_a_model_is(
    place: str, says: str, root: dict[str, bytes], tmp_path: Path
) -> None:
    write(root | {f"hf/{name}": body for name, body in MODEL.items()}, tmp_path)
    with pytest.raises(InputError) as caught:
        choose(Placed(tmp_path, place), Patterns())
    assert says in str(caught.value)
    assert "hf download" not in str(caught.value)


def test_a_pipeline_with_a_config_at_its_root_is_named_as_that(tmp_path: Path) -> None:
    pipeline = {"config.json": CONFIG, "model_index.json": b"{}", "unet/m.safetensors": ONE}
    write(pipeline, tmp_path)
    with pytest.raises(InputError, match="a diffusers pipeline") as caught:
        chosen(tmp_path)
    (hint,) = re.findall(r"--include '([^']*)'", str(caught.value))
    assert paths(chosen(tmp_path, *hint.split(","))) == set(pipeline)


def test_a_config_that_a_pattern_leaves_out_is_asked_for(tmp_path: Path) -> None:
    write(MODEL | {"tokenizer.json": b"{}"}, tmp_path)
    with pytest.raises(InputError, match=r"config\.json would not be in the image") as caught:
        chosen(tmp_path, "*.safetensors")
    (hint,) = re.findall(r"--include '([^']*)'", str(caught.value))
    assert paths(chosen(tmp_path, *hint.split(","))) == set(MODEL)


OTHERS = {
    "gguf": ["m-Q2_K.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "mmproj-f16.gguf"],
    "gguf in shards": ["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf", "m-Q8.gguf"],
    "onnx": ["onnx/model.onnx", "onnx/model_q4.onnx"],
    "onnx at the root": ["model.onnx", "model.onnx_data"],
    "pickled": ["pytorch_model.bin"],
    "pickled shards": [f"pytorch_model-0000{n}-of-00005.bin" for n in range(1, 6)],
    "a name to escape": ["we[i]rd, name*.bin"],
    "tensorflow": ["tf_model.h5"],
    "meta's own": ["original/consolidated.00.pth"],
    "mistral's own without its params": ["consolidated.safetensors"],
}


@pytest.mark.parametrize("include", [(), ("*.json",), ("*.txt",)], ids=str)
@pytest.mark.parametrize("kind", OTHERS)
def test_the_hint_of_a_refusal_takes_weights_of_this_very_model(
    kind: str, include: tuple[str, ...], tmp_path: Path
) -> None:
    more = {"config.json": b"{}", "vocab.txt": b"x", "README.md": b"# A model"}
    write(more | dict.fromkeys(OTHERS[kind], b"weights"), tmp_path)
    with pytest.raises((NothingSelected, UnsafeWeights)) as caught:
        chosen(tmp_path, *include)
    assert len(str(caught.value).splitlines()) == 1
    words = shlex.split(str(caught.value).partition("--include ")[2])
    got = paths(chosen(tmp_path, *words[0].split(",")))
    assert got & set(OTHERS[kind])
    assert "config.json" in got
    assert ("README.md" in got) is not include


@pytest.mark.parametrize(
    "halves",
    [
        {"onnx/model.onnx", "onnx/model.onnx_data", "onnx/model.onnx_data_1"},
        {"model.onnx", "model.onnx.data"},
        {"openvino_model.xml", "openvino_model.bin"},
        {"openvino/openvino_model.xml", "openvino/openvino_model.bin"},
    ],
    ids=min,
)
def test_the_hint_takes_both_halves_of_a_model(halves: set[str], tmp_path: Path) -> None:
    write(dict.fromkeys(halves, b"weights") | {"config.json": b"{}"}, tmp_path)
    with pytest.raises((NothingSelected, UnsafeWeights)) as caught:
        chosen(tmp_path)
    words = shlex.split(str(caught.value).partition("--include ")[2])
    assert paths(chosen(tmp_path, *words[0].split(","))) == {*halves, "config.json"}


def test_an_index_left_over_from_other_weights_can_be_left_out(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    write(MODEL | {"model.safetensors.index.json": json.dumps(index).encode()}, tmp_path)
    with pytest.raises(NothingSelected, match=r"no file that .* names is there") as caught:
        chosen(tmp_path)
    words = shlex.split(str(caught.value).partition("--exclude ")[2])
    assert paths(chosen(tmp_path, exclude=words)) == set(MODEL)


def test_of_many_quantizations_one_is_named_whole(tmp_path: Path) -> None:
    for kind, one in (
        ("gguf", OTHERS["gguf"][1:2]),
        ("gguf in shards", OTHERS["gguf in shards"][:2]),
    ):
        folder = write(dict.fromkeys(OTHERS[kind], b"weights"), tmp_path / kind.replace(" ", "-"))
        with pytest.raises(NothingSelected) as caught:
            chosen(folder)
        (hint,) = re.findall(r"--include '([^']*)'", str(caught.value))
        assert paths(chosen(folder, *hint.split(","))) == set(one)


def test_a_mere_adapter_is_named_with_its_base(tmp_path: Path) -> None:
    adapter = {"adapter_config.json": b'{"base_model_name_or_path": "org/base"}'}
    for name in ("adapter_model.safetensors", "adapter_model.bin"):
        folder = write(adapter | {name: ONE}, tmp_path / name)
        with pytest.raises(InputError, match=r"only a LoRA adapter, of org/base; .*--allow-no-we"):
            chosen(folder)
    insisted = choose(from_folder(tmp_path / "adapter_model.safetensors"), Patterns((), (), True))
    assert paths(insisted) == {*adapter, "adapter_model.safetensors"}


def test_adapters_beside_a_model_enter_and_are_told_of(tmp_path: Path) -> None:
    lora = {"vision/adapter_config.json": b"{}", "vision/adapter_model.safetensors": ONE}
    write(sharded(2) | lora, tmp_path)
    selection = chosen(tmp_path)
    assert set(lora) <= paths(selection)
    assert selection.notes == ("LoRA adapters beside the model, for --lora-modules: vision",)
    assert set(selection.layout.files) == {p for p in sharded(2) if p.endswith(".safetensors")}


@pytest.mark.parametrize("folder", ["fp16", "copy"])
def test_the_same_model_once_more_in_a_folder_stays_out(folder: str, tmp_path: Path) -> None:
    write(MODEL | {f"{folder}/{name}": body for name, body in MODEL.items()}, tmp_path)
    write(
        {"codec/config.json": b'{"architectures": ["Codec"]}', "codec/m.safetensors": ONE}, tmp_path
    )
    assert paths(chosen(tmp_path)) == {*MODEL, "codec/config.json", "codec/m.safetensors"}


def build(capsys: pytest.CaptureFixture[str], folder: Path, *options: object) -> Outcome:
    where = f"oci:{folder.parent / 'layout'}:v1"
    return carferry(capsys, "build", folder, where, "--base=scratch", "--progress=none", *options)


def test_no_weights_no_image_unless_insisted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tiny(), tmp_path / "model")
    refused = build(capsys, folder, "--include", "*.gguf,*.json")
    assert (refused.code, len(refused.err.splitlines())) == (2, 1)
    assert "--include 'model.safetensors,*.gguf,*.json'" in refused.err
    assert left_behind(tmp_path / "layout") == []
    assert build(capsys, folder, "--include", "*.json", "--allow-no-weights").code == 0
    assert all(path.endswith(".json") for path in model_files(to_layout(tmp_path / "layout")))


def test_what_stays_out_and_what_a_server_needs_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = json.dumps({"auto_map": {"AutoModel": "modeling.X"}}).encode()
    more = {"config.json": config, "modeling.py": b"", "checkpoint-1/model.safetensors": ONE}
    folder = write(tiny() | more | {"id_rsa": b"key"}, tmp_path / "model")
    text = build(capsys, folder).out
    assert (
        "note    the server needs --trust-remote-code: the model brings code (modeling.py)" in text
    )
    assert f"left    checkpoint-1/model.safetensors, {len(ONE)} B: left over from training" in text
    assert "left    id_rsa, 3 B: looks like a credential" in text
    made = json.loads(build(capsys, folder, "--json").out)
    assert made["trust_remote_code"] is True
    assert len(made["left_out"]) == 2


def test_names_of_what_stays_out_cannot_steer_a_terminal(hub: Hub) -> None:
    hub.add("org/model", {**MODEL, "\x1b[31mred.png": b"x"})
    from carferry.steps.remarks import remarks

    said = remarks(choose(from_hub(hub, "org/model"), Patterns()))
    assert all(line.isprintable() for line in said["left_out"])
