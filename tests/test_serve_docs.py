"""The how-to on deploying says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from serve_samples import settings

from carferry.cluster.apply import needed
from carferry.serve import PARAMETERS, make_objects

PAGE = (Path(__file__).parents[1] / "docs" / "how-to" / "deploy.md").read_text(encoding="ascii")


def test_the_table_of_settings_is_the_one_in_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(p.name, f"`{p.default}`" if p.default else "", p.help) for p in PARAMETERS]


def test_the_rules_on_the_page_are_those_that_preflight_asks_about() -> None:
    rules = [r for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
             for r in yaml.safe_load(block)]  # fmt: skip
    on_page = {(r["apiGroups"][0], r["resources"][0], verb) for r in rules for verb in r["verbs"]}
    asked = needed(make_objects(settings(auth="true")))
    assert on_page == {(rule.kind.group, rule.resource, rule.verb) for rule in asked}
