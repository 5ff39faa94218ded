"""Every rule has a pipeline that breaks it, and no other rule, on the targets it is for."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ferrying import Outcome, carferry

from carferry.lint import checks_limits
from carferry.lint.report import Report, lint
from carferry.lint.rules import RULES
from carferry.lint.targets import FEATURES, TARGETS, choose

DATA = Path(__file__).parent / "data" / "lint"
PAGE = Path(__file__).parent.parent / "docs" / "reference" / "lint.md"
ALL = frozenset(TARGETS)
Run = Callable[..., Outcome]


def since(*version: int, but: str = "") -> frozenset[str]:
    """Return the targets of a backend version and later, without those named."""
    return frozenset(t.name for t in TARGETS.values() if t.backend >= version) - set(but.split())


def before(*version: int, but: str = "") -> frozenset[str]:
    """Return the targets of earlier backend versions, without those named."""
    return ALL - since(*version) - set(but.split())


RHOAI = frozenset(name for name in ALL if name.startswith("rhoai"))
OLD = before(2, 14)
TTL = "rhoai-3.4 rhoai-3.5"
BROKEN: list[tuple[str, dict[str, frozenset[str]]]] = [
    ("artifact-oneof", {"artifact-oneof": before(2, 17)}),
    ("cached-side-effect-claim", {"cached-side-effect": ALL}),
    ("cached-side-effect-create-claim", {"cached-side-effect": ALL}),
    ("cached-side-effect-no-output", {"cached-side-effect": ALL}),
    ("cached-side-effect-secret", {"cached-side-effect": ALL}),
    ("compile-refused-artifact-loop", {"compile-refused": ALL}),
    ("compile-refused-custom-job", {"compile-refused": ALL}),
    ("compile-refused-final-status", {"compile-refused": OLD}),
    ("compile-refused-importer-condition", {"compile-refused": ALL}),
    ("credential-env", {"credential": ALL}),
    ("credential-hub-token", {"credential": ALL}),
    ("credential-named", {"credential": ALL}),
    ("credential-userinfo", {"credential": ALL}),
    ("empty-name", {"empty-name": ALL}),
    ("empty-name-constant", {"empty-name": ALL}),
    ("field-dropped-container", {"field-dropped": ALL}),
    (
        "field-dropped-optional-env",
        {"field-dropped": OLD, "field-refused": frozenset({"kfp-2.14"})},
    ),
    (
        "field-dropped-security-context",
        {"field-dropped": OLD, "field-refused": before(2, 16) - OLD},
    ),
    ("field-dropped-sub-path", {"field-dropped": OLD, "field-refused": before(2, 16) - OLD}),
    ("field-dropped-workspace-import", {"field-dropped": before(2, 15)}),
    (
        "field-refused-executor-misspelled",
        {"field-dropped": OLD, "field-refused": since(2, 14)},
    ),
    ("field-refused-literals", {"field-refused": before(2, 16)}),
    ("field-refused-misspelled", {"field-refused": ALL}),
    ("field-refused-task-config", {"field-refused": before(2, 15, but="rhoai-3.0 rhoai-3.3")}),
    (
        "field-refused-task-config-type",
        {"field-refused": before(2, 15, but="rhoai-3.0 rhoai-3.3")},
    ),
    ("image-tag", {"image-tag": ALL}),
    ("image-unpinned", {"image-unpinned": ALL}),
    ("image-unpinned-latest", {"image-unpinned": ALL}),
    ("not-ascii", {"not-ascii": ALL}),
    ("not-ascii-emoji", {"not-ascii": ALL}),
    ("pipeline-name", {"pipeline-name": ALL}),
    ("pipeline-name-long", {"pipeline-name": ALL}),
    ("platform-dropped-lock", {"platform-dropped": since(2, 15)}),
    ("platform-dropped-misspelled", {"platform-dropped": ALL}),
    ("platform-dropped-ttl", {"platform-dropped": before(2, 17, but=TTL)}),
    ("retry-duration-default", {"retry-duration": ALL}),
    ("retry-duration-none", {"retry-duration": ALL}),
    ("retry-duration-zero", {"retry-duration": ALL}),
    ("text-length", {"text-length": ALL}),
    ("volume-name-dot", {"volume-name": ALL}),
    ("volume-name-map-dot", {"volume-name": ALL}),
    ("volume-name-nested", {"volume-name": ALL}),
    ("volume-name-twice", {"volume-name": ALL}),
    ("workflow-size", {"workflow-size": ALL}),
    (
        "workspace",
        {
            "workspace-unmounted": frozenset({"rhoai-2.22", "rhoai-2.25"}),
            "platform-dropped": frozenset({"kfp-2.5"}),
        },
    ),
]
WARNED = {
    *("artifact-oneof", "cached-side-effect-no-output", "image-tag", "not-ascii"),
    *("retry-duration-default", "text-length"),
}
"""Pipelines that earn warnings and no error."""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """The command line in this process."""
    return lambda *arguments: carferry(capsys, *arguments)


def broken(report: Report) -> dict[str, frozenset[str]]:
    """Return the rules broken or warned of, and on which targets."""
    rules = {found.rule for one in report.checked for found in one.findings}
    return {
        rule: frozenset(
            one.target.name for one in report.checked if rule in {f.rule for f in one.findings}
        )
        for rule in rules
    }


@pytest.mark.parametrize(("name", "expected"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_sample_breaks_its_rule_on_its_targets_and_no_other(
    name: str, expected: dict[str, frozenset[str]]
) -> None:
    report = lint(str(DATA / f"{name}.yaml"), TARGETS.values())
    assert broken(report) == expected
    assert report.is_clean == (name in WARNED)


@pytest.mark.parametrize("name", ["clean", "loop"])
def test_a_clean_pipeline_breaks_nothing_on_any_target(name: str) -> None:
    assert broken(lint(str(DATA / f"{name}.yaml"), TARGETS.values())) == {}


@pytest.mark.parametrize(
    ("config", "is_error"),
    [
        ({"secretAsVolume": [{"secretName": "login", "mountPath": "/login"}]}, True),
        ({"pvcMount": [{"constant": "data", "mountPath": "/data"}]}, True),
        ({"secretAsEnv": [{"secretName": "login", "keyToEnv": []}]}, False),
        ({"configMapAsVolume": [{"configMapName": "settings", "mountPath": "/s"}]}, False),
        ({"configMapAsEnv": [{"configMapName": "settings", "keyToEnv": []}]}, False),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
@pytest.mark.parametrize("final_status", [False, True], ids=["step", "exit task"])
def test_a_cached_step_is_wrong_for_certain_only_with_a_secret_or_claim_mounted(
    config: dict[str, Any], is_error: bool, final_status: bool, tmp_path: Path
) -> None:
    """And never a task that takes the final status: kfp caches it by default."""
    name = "compile-refused-final-status" if final_status else "cached-side-effect-no-output"
    pipeline = yaml.safe_load((DATA / f"{name}.yaml").read_text())
    task = pipeline["root"]["dag"]["tasks"]["tell" if final_status else "work"]
    task["cachingOptions"] = {"enableCache": True}
    platform = {"kubernetes": {"deploymentSpec": {"executors": {"exec-work": config}}}}
    file = tmp_path / "cached.yaml"
    file.write_text(f"{json.dumps(pipeline)}\n---\n{json.dumps({'platforms': platform})}")
    (report,) = lint(str(file), [TARGETS["rhoai-3.4"]]).checked
    found = {one.rule: one.is_error for one in report.findings}
    assert found == ({} if final_status else {"cached-side-effect": is_error})


def fill(size: int) -> str:
    """Return text that does not compress."""
    return "".join(random.Random(0).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef", k=size))


LARGE: list[tuple[str, Callable[[dict[str, Any]], Any], dict[str, frozenset[str]]]] = [
    (
        "an argument that Linux cannot pass, and that ARGO_TEMPLATE holds",
        lambda p: container(p)["args"].append(fill(131_072)),
        {"argument-length": ALL, "environment-string": ALL},
    ),
    (
        "a variable that Linux cannot pass",
        lambda p: container(p).update(env=[{"name": "LONG", "value": fill(131_072)}]),
        {"argument-length": ALL, "environment-string": ALL},  # the driver gets it as an argument
    ),
    (
        "two copies in ARGO_TEMPLATE before Argo 3.6",
        lambda p: container(p)["args"].append(fill(70_000)),
        {"environment-string": OLD},
    ),
    (
        "twelve steps of 40,000 characters each",
        lambda p: widen(p, steps=12, size=40_000),
        {"workflow-size": ALL, "workflow-packed": ALL},
    ),
    (
        "defaults of 10,000 bytes",
        lambda p: parameters(p)["message"].update(defaultValue="m" * 10_000),
        {"parameters-size": ALL},
    ),
    (
        "a file over 1 MiB, in a field no run sees",
        lambda p: p["pipelineInfo"].update(description="d" * 1024 * 1024),
        {"upload-size": RHOAI, "text-length": ALL},
    ),
]


def container(pipeline: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = pipeline["deploymentSpec"]["executors"]["exec-work"]["container"]
    return made


def parameters(pipeline: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = pipeline["root"]["inputDefinitions"]["parameters"]
    return made


def widen(pipeline: dict[str, Any], steps: int, size: int) -> None:
    """Run one step several times over, none of them near a limit by itself."""
    container(pipeline)["args"].append(fill(size))
    tasks = pipeline["root"]["dag"]["tasks"]
    for number in range(steps - 1):
        tasks[f"work-{number}"] = tasks["work"]


@pytest.mark.parametrize(("change", "expected"), [c[1:] for c in LARGE], ids=[c[0] for c in LARGE])
def test_what_is_too_large_breaks_the_limit_it_exceeds(
    change: Callable[[dict[str, Any]], Any], expected: dict[str, frozenset[str]], tmp_path: Path
) -> None:
    pipeline = yaml.safe_load((DATA / "image-tag.yaml").read_text())
    container(pipeline)["image"] += "@sha256:" + "0" * 64
    change(pipeline)
    file = tmp_path / "large.yaml"
    file.write_text(json.dumps(pipeline))
    assert broken(lint(str(file), TARGETS.values())) == expected


def test_every_rule_has_a_pipeline_that_breaks_it() -> None:
    tables = [expected for _, expected in BROKEN] + [expected for *_, expected in LARGE]
    assert {rule for expected in tables for rule in expected} == set(RULES)


def test_every_feature_is_known_to_some_target_and_unknown_to_another() -> None:
    for feature in FEATURES:
        assert {target.knows(feature) for target in TARGETS.values()} == {True, False}


def test_findings_never_show_the_credential(run: Run) -> None:
    for name in ("hub-token", "userinfo", "named", "env"):
        for form in ((), ("--json",)):
            outcome = run("lint", DATA / f"credential-{name}.yaml", *form)
            assert outcome.code == 2
            assert not re.search("abcDEF|pa55word|correct", outcome.out + outcome.err)


def test_names_in_code_are_no_credentials(tmp_path: Path) -> None:
    pipeline = yaml.safe_load((DATA / "image-tag.yaml").read_text())
    container(pipeline)["args"] = [
        "import hf_transfer, hf_hub_download",
        'f"hf://{repo}@{commit}"',
        "https://$USER@host/ Basic authentication, bearer tokens",
    ]
    file = tmp_path / "code.yaml"
    file.write_text(yaml.safe_dump(pipeline))
    assert broken(lint(str(file), TARGETS.values())) == {"image-tag": ALL}


def test_without_targets_every_openshift_ai_release_is_meant() -> None:
    assert {target.name for target in choose([])} == RHOAI
    assert {target.name for target in choose(["all"])} == ALL


def test_an_unknown_target_ends_with_the_list(run: Run) -> None:
    outcome = run("lint", DATA / "clean.yaml", "--target", "rhoai-9.9")
    assert (outcome.code, outcome.out) == (2, "")
    assert [name for name in TARGETS if name not in outcome.err] == []


@pytest.mark.parametrize("workers", ["0", "-1", "1001"])
def test_workers_out_of_bounds_are_refused(workers: str, run: Run) -> None:
    outcome = run("lint", DATA / "clean.yaml", f"--workers={workers}")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)


def test_a_broken_rule_exits_2_and_warnings_exit_0(run: Run) -> None:
    assert run("lint", DATA / "volume-name-dot.yaml").code == 2
    assert run("lint", DATA / "image-tag.yaml", DATA / "clean.yaml").code == 0


def test_the_report_names_what_to_do_once_for_all_targets(run: Run) -> None:
    shown = run("lint", DATA / "image-unpinned-latest.yaml", "--target", "all").out
    assert shown.count("error image-unpinned: exec-work:") == 1
    assert "name a digest" in shown
    assert [name for name in TARGETS if name not in shown] == []


def test_json_holds_sizes_and_findings_by_target(run: Run) -> None:
    (report,) = json.loads(run("lint", DATA / "workflow-size.yaml", "--json").out)
    assert {one["target"] for one in report["targets"]} == RHOAI
    for one in report["targets"]:
        assert one["sizes"]["unpacked_bytes"] > checks_limits.WORKFLOW_BYTES
        assert [found["rule"] for found in one["findings"]] == ["workflow-size"]


def test_the_page_lists_the_rules_and_targets_of_the_code() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (.*) \|$", PAGE.read_text(), re.MULTILINE)
    shown = {name: rest for name, rest in rows if name in RULES}
    assert shown == {
        rule.name: f"{rule.what} | {rule.why} | {rule.source}" for rule in RULES.values()
    }
    listed = {name: rest for name, rest in rows if name in TARGETS}
    assert set(listed) == ALL
    for target in TARGETS.values():
        versions = (".".join(map(str, v)) for v in (target.backend, target.argo))
        assert listed[target.name].startswith(" | ".join(versions))
