"""What deploy_model would refuse is refused by fit_model, before a model is even looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from serve_samples import DIGEST
from test_deploy_step import CASES

from carferry.errors import CarferryError, InputError
from carferry.run.first import first
from carferry.run.request import Run
from carferry.run.settings import deploy_keywords
from carferry.steps.deploy import deploy_or_render

TARGET = "docker://quay.io/team/granite-3.1-2b:v1"
PUSHED = f"quay.io/team/granite-3.1-2b@{DIGEST}"
ABSENT = "org/looked-for-by-nobody"
_FIELDS = ("name", "runtime_image", "vllm_args")
_TYPED = ("max_model_len", "model_size_bytes")
"""Parameters of the pipelines that are integers: what is none never gets to a step."""
FORMS = [each for each in CASES if not {*_TYPED} & {*each} and "" not in each.values()]
FORMS.remove({"name": "n" * 52})  # too long for the project of test_deploy_step's pod alone
FORMS += [
    {"name": "a" * 54},
    {"wait_s": "soon"},
    {"env": "HF_TOKEN=hf_abcdefghijklmnopqrstuvwxyz"},
    {"vllm_args": "--api-key=abc"},
    {"cpu": ["4"]},
    {"colour": "red"},
]


def refused(form: dict[str, Any], *, by_deploy: bool) -> CarferryError:
    """Return the error of one of the two steps, as the pipeline hands a form to it."""
    fields = {name: form[name] for name in (*_FIELDS, "max_model_len") if name in form}
    settings = {name: value for name, value in form.items() if name not in fields}
    with pytest.raises(InputError) as caught:
        if not by_deploy:
            first(Run(ABSENT, TARGET, serve="render", gpus="none", settings=settings, **fields))
        else:
            sizing = {key: fields.pop(key) for key in ("max_model_len", "vllm_args") if key in form}
            more = {"name": fields.get("name", ""), "model_size_bytes": 0}
            image = fields.get("runtime_image", "")
            keywords = deploy_keywords(settings, sizing, runtime_image=image, **more)
            deploy_or_render("render", PUSHED, **keywords)
    return caught.value


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_form_is_refused_by_the_first_step_in_the_words_of_the_last(
    form: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("carferry.run.first.open_model", never)
    monkeypatch.chdir(tmp_path)
    before, after = refused(form, by_deploy=False), refused(form, by_deploy=True)
    assert str(before) == str(after)
    assert [*tmp_path.iterdir()] == []


def never(*_: object) -> None:
    pytest.fail("the model was opened")
