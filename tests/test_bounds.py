"""Numbers, lengths, names and variables beyond what can be meant: one line each, none unexpected.

Everything is written below a folder of the test's own; what is only read may be a device.
"""

# ruff: noqa: E501 - a table
from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from fuzz.runs import run_command
from fuzz.scenes import Command
from gpu.samples import LLAMA, llama_file
from servers.models import write

DIGEST = "quay.io/a/b@sha256:" + "ab" * 32
NOBODY = "http://127.0.0.1:1"
IMAGE = "docker://127.0.0.1:1/a/b:v1"
DIGITS = "9" * 400
S3 = {
    "AWS_S3_ENDPOINT": NOBODY,
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of wrong value.

    Attributes:
        command: With ``{}`` where the value goes.
        values: That cannot be meant.
        code: Exit code.
        words: One of these is in the line.
        environ: Variables, with ``{}`` too.
    """

    command: str
    values: tuple[str, ...]
    code: int
    words: tuple[str, ...]
    environ: dict[str, str] = field(default_factory=dict)


PLAN = "plan MODEL LAYOUT --base scratch"
HUB = "plan org/model LAYOUT --base scratch"
NOT_COUNTS = ("0", "-1", "1000000000", DIGITS, "x", "1e3", "1.5", "nan", "", " ")
ROWS = {
    "parallel": Row("build MODEL LAYOUT --base scratch --parallel {}", NOT_COUNTS, 2, ("parallel",)),
    "parallel of a copy": Row(f"push LAYOUT {IMAGE} --parallel {{}}", NOT_COUNTS, 2, ("parallel",)),
    "workers": Row(
        f"{PLAN} --workers {{}}", ("0", "-1", DIGITS, "1000000000", "x", "nan"), 2, ("workers",)
    ),
    "workers of lint": Row("lint MODEL --workers {}", ("0", "9" * 30, "x"), 2, ("workers",)),
    "rate": Row(
        f"{PLAN} --rate {{}}", ("0", "nan", "inf", "-1", "1e400", "1e308", "x", ""), 2, ("rate",)
    ),
    "share": Row(
        "stream MODEL LAYOUT --base scratch --worker {}",
        ("1/0", "0/1", "2/1", "1/1000000000", "x", "1", f"1/{DIGITS}"),
        2,
        ("worker", "share"),
    ),
    **{
        name: Row(
            f"plan MODEL --gpu L4 --{name} {{}}",
            ("-1", "x", "1e9", DIGITS, "8k", "nan"),
            2,
            (name.replace("-", "_"), name),
        )
        for name in ("max-model-len", "max-num-seqs", "gpu-count")
    },
    "gpu": Row(
        "plan MODEL --gpu {}",
        ("L4 x0", "x", f"L4 x{DIGITS}", "L4 x" + "9" * 5000, "\u202eL4", "L4," * 10_000),
        2,
        ("GPU", "--gpu", "plan for"),
    ),
    "vllm": Row("plan MODEL --gpu L4 --vllm {}", ("x", DIGITS, "v1"), 2, ("vLLM version",)),
    "model": Row(
        "plan {} LAYOUT --base scratch",
        ("", " ", "a" * 100_000, "org/" + "n" * 5000, "a/b/c/d", "org/name@" + "r" * 5000,
         "org/name@a b", "org/name@\u2603", "org/name@..", "org/name@a\nb", "hf://", "s3://",
         "s3://b", "s3://b/" + "k" * 2000, "s3://b\u2603/x", "oci://", "http://["),
        2,
        ("parse model", "parse image", "no bucket", "MODEL is empty"),
    ),
    "path of a model": Row(
        "plan {} LAYOUT --base scratch", ("./nowhere", "/dev/null", "./" + "d" * 300), 2, ("",)
    ),
    "revision": Row(
        f"{HUB} --revision {{}}", ("a b", "r" * 100_000, "../..", "\u2603", "@", "%00"), 2,
        ("revision",), {"HF_ENDPOINT": NOBODY},
    ),
    "image": Row(
        "build MODEL {} --base scratch",
        ("", "docker://", "docker://a" * 300, "docker://q.io/" + "n" * 300 + ":v",
         "docker://q.io/a:" + "t" * 129, "docker://q.io:99999/a:v", "docker://q.io:x/a:v",
         "docker://[::1/a:v", "docker://\u2603.io/a:v", "docker://q.io/A:v", "oci:", "oci:a\0b:v",
         "docker://q.io/a:v@sha256:zz", "dir:x", "ftp://x/y", "docker://" + "a" * 100_000),
        2,
        ("parse image", "parse digest", "IMAGE is empty"),
    ),
    "path of a layout": Row(
        "build MODEL {} --base scratch", ("oci:" + "d" * 300 + ":v", "oci:FILE:v"), 1, ("read", "write")
    ),
    "platform": Row("build MODEL LAYOUT --platform {}", ("x" * 10_000, ","), 2, ("platform",)),
    "HF_ENDPOINT": Row(
        HUB, ("garbage", "http://127.0.0.1:99999", "http://h\u00f6st", "ftp://x", "http://",
              "http://[", "http:// x", f"{NOBODY}?x", "x" * 100_000),
        2, ("HF_ENDPOINT",), {"HF_ENDPOINT": "{}"},
    ),
    "HF_TOKEN": Row(
        HUB, ("t\u00f6ken", "a b"), 2, ("HF_TOKEN",), {"HF_TOKEN": "{}", "HF_ENDPOINT": NOBODY}
    ),
    "blank HF_TOKEN": Row(
        HUB, (" ", "\n", "hf_ok\n"), 1, ("reach",), {"HF_TOKEN": "{}", "HF_ENDPOINT": NOBODY}
    ),
    "HF_HUB_OFFLINE": Row(
        HUB, ("1", "yes", "ON"), 2, ("HF_HUB_OFFLINE",),
        {"HF_HUB_OFFLINE": "{}", "HF_ENDPOINT": NOBODY},
    ),
    "REGISTRY_AUTH_FILE": Row(
        f"inspect {IMAGE}", ("BINARY", "DEEP", "YAML"), 2, ("read logins",),
        {"REGISTRY_AUTH_FILE": "{}"},
    ),
    "KUBECONFIG": Row(
        "rights",
        ("BINARY", "DEEP", "EMPTY", "YAML", "NUMBERS", "LIST", "SERVER", "/nowhere", ":", "FOLDER"),
        2, ("connect",), {"KUBECONFIG": "{}"},
    ),
    "KUBECONFIG's server": Row(
        "rights", ("PORT", "FTP"), 2, ("unusable kubeconfig",), {"KUBECONFIG": "{}"}
    ),
    "AWS_S3_ENDPOINT": Row(
        "plan s3://bucket/key LAYOUT --base scratch",
        ("http://127.0.0.1:99999", "ftp://x", "http://h\u00f6st"), 2, ("",),
        {**S3, "AWS_S3_ENDPOINT": "{}"},
    ),
    **{
        name: Row(
            "plan s3://bucket/key LAYOUT --base scratch", values, 2, ("",), {**S3, name: "{}"}
        )
        for name, values in {
            "AWS_DEFAULT_REGION": ("\u2603", "a b"),
            "AWS_PROFILE": ("nope",),
            "AWS_CONFIG_FILE": ("BINARY",),
            "AWS_SHARED_CREDENTIALS_FILE": ("BINARY",),
            "AWS_CA_BUNDLE": ("/nowhere", "BINARY"),
            "AWS_SESSION_TOKEN": ("a\nb",),
        }.items()
    },
    "HTTP_PROXY": Row(
        HUB, ("http://127.0.0.1:99999", "http://h\u00f6st:1", "http://["), 2, ("HTTP_PROXY",),
        {"HTTP_PROXY": "{}", "NO_PROXY": "", "HF_ENDPOINT": "http://example.invalid"},
    ),
    "HTTP_PROXY that is not there": Row(
        HUB, ("garbage",), 1, ("HTTP_PROXY",),
        {"HTTP_PROXY": "{}", "NO_PROXY": "", "HF_ENDPOINT": "http://example.invalid"},
    ),
    "NO_PROXY": Row(
        HUB, ("*", ",,,", "[::1]", "http://x", "10.0.0.0/99", "\u2603"), 1, ("",),
        {"NO_PROXY": "{}", "HTTP_PROXY": "http://127.0.0.1:2", "HF_ENDPOINT": NOBODY},
    ),
    "ca": Row(
        f"inspect {IMAGE} --ca {{}}",
        ("/nowhere", "FOLDER", "BINARY", "/dev/null", "/dev/zero"), 2, ("certificates",),
    ),
    "include": Row(
        f"{PLAN} --include {{}}", ("[", "{a,b}", "a" * 100_000), 2, ("select files",)
    ),
    "wait-s": Row(
        f"deploy {DIGEST} --wait-s {{}}", ("-1", "nan", "inf", "x", "1e400", DIGITS), 2, ("wait",),
        {"KUBECONFIG": "PORT"},
    ),
    **{
        option: Row(f"render {DIGEST} --{option} {{}}", values, 2, (option.replace("-", "_"), "name"))
        for option, values in {
            "name": ("n" * 300, "a b"),
            "cpu": ("1e400", "nan", "-1"),
            "memory": ("nan", "1e400", "x"),
            "shm-size": ("1e999Gi",),
            "gpu-count": (DIGITS, "-1"),
            "max-model-len": (DIGITS,),
            "min-replicas": (DIGITS,),
            "env": ("[" * 100_000,),
            "tolerations": ("[" * 100_000,),
            "node-selector": ("{" * 10_000,),
            "model-size-bytes": ("9" * 5000,),
            "vllm-args": ("'", "x" * 200_000),
            "display-name": ("\u202e" * 5000,),
            "description": ("x" * 200_000,),
        }.items()
    },
    "lint": Row("lint {}", ("/nowhere", "FOLDER", "BINARY", "DEEP", "/dev/zero"), 2, ("read",)),
    "folder": Row("download MODEL {}", ("d" * 300, "FILE"), 1, ("",)),
    "command": Row("{}", ("nonsense", "\u202e", ""), 2, ("",)),
}  # fmt: skip
CASES = [(name, value) for name, row in ROWS.items() for value in row.values]
_SERVER = (
    '{{apiVersion: v1, kind: Config, current-context: c, clusters: [{{name: c, cluster: {{server: {}}}}}],'
    ' users: [{{name: u, user: {{token: t}}}}], contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}'
)  # fmt: skip


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the words in capitals stand for."""
    root = tmp_path_factory.mktemp("bounds")
    model = {"config.json": json.dumps(LLAMA).encode(), "model.safetensors": llama_file(LLAMA)}
    texts = {
        "DEEP": "[" * 100_000,
        "EMPTY": "",
        "FILE": "x",
        "YAML": "a: [",
        "NUMBERS": "apiVersion: v1\nkind: Config\nclusters: 5\ncontexts: {a: 1}\n",
        "LIST": "[1, 2]",
        "SERVER": _SERVER.format(5),
        "PORT": _SERVER.format('"http://127.0.0.1:99999"'),
        "FTP": _SERVER.format('"ftp://x"'),
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    (root / "BINARY").write_bytes(bytes(range(256)))
    (root / "FOLDER").mkdir()
    found = {name: str(root / name) for name in (*texts, "BINARY", "FOLDER")}
    return found | {"MODEL": str(write(model, root / "model")), "LAYOUT": f"oci:{root / 'out'}:v1"}


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Relative paths lead here, and nothing is written there."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert [*tmp_path.iterdir()] == []


def filled_in(text: str, value: str, places: dict[str, str]) -> str:
    """Return a word of a row with the value and the places in it."""
    found = value if text == "{}" else text
    for name, path in places.items():
        found = path if found == name else found.replace(f"oci:{name}:", f"oci:{path}:")
    return found


@pytest.mark.usefixtures("own_folder")
@pytest.mark.parametrize(("name", "value"), CASES, ids=[f"{n}-{v[:20]!a}" for n, v in CASES])
def test_what_cannot_be_meant_is_one_line(name: str, value: str, places: dict[str, str]) -> None:
    row = ROWS[name]
    arguments = tuple(filled_in(word, value, places) for word in row.command.split(" "))
    environ = {key: filled_in(text, value, places) for key, text in row.environ.items()}
    started = time.monotonic()
    done = run_command(Command(arguments, environ))
    assert time.monotonic() - started < 20
    assert done.code == row.code, done
    (line,) = [
        each for each in done.err.splitlines() if each.startswith("carferry") or not row.code
    ]
    assert any(word in line for word in row.words), line
    assert "please report it" not in done.err
    assert "Traceback" not in done.err
    assert len(line) < 2100
    assert line.isprintable()


def test_a_folder_that_is_gone_and_no_home_are_no_surprise(
    tmp_path: Path, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    monkeypatch.delenv("HOME")
    for arguments in (
        ("plan", places["MODEL"], "--gpu", "L4"),
        ("build", "./model", "oci:out:v1", "--base", "scratch"),
        ("build", places["MODEL"], "oci:out:v1", "--base", "scratch"),
        ("inspect", IMAGE),
        ("rights",),
        ("lint", "nothing.yaml"),
        ("download", places["MODEL"], "folder"),
    ):
        done = run_command(Command(arguments, {}))
        assert "please report it" not in done.err, done
        assert done.code in {0, 1, 2}
    os.chdir(tmp_path)
