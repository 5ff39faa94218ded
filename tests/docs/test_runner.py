"""The runner finds what is wrong with a page: a test that cannot fail is worth nothing."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest

from docs.blocks import Fault, check, parse
from docs.compare import difference
from docs.pages import on_a_cluster
from docs.running import Ran, fault
from docs.session import Session, parted
from docs.write import rewritten


def faults(tmp_path: Path, text: str) -> list[str]:
    """Run the blocks of a text in a bare shell; return what is wrong with each."""
    found = parse(dedent(text))
    check(found)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    with Session(tmp_path, env, tmp_path / "session") as session:
        return [fault(Ran(block, session.run(block))) for block in found if block.runs]


def one(tmp_path: Path, text: str) -> str:
    (said,) = faults(tmp_path, text)
    return said


def test_a_page_that_is_as_shown_has_no_fault(tmp_path: Path) -> None:
    text = """
    ```sh
    export GREETING=hello
    mkdir inner
    cd inner
    ```

    ```sh
    echo "$GREETING from $(basename "$PWD")"
    echo oh >&2
    ```

    ```text title="prints"
    hello from inner
    oh
    ```

    ```python
    import os
    name = os.environ["GREETING"]
    ```

    ```python
    print(name, os.path.basename(os.getcwd()))
    ```

    ```text title="prints"
    hello inner
    ```
    """
    assert faults(tmp_path, text) == [""] * 4


def test_a_command_that_fails_is_found_with_what_it_said(tmp_path: Path) -> None:
    said = one(tmp_path, "```sh\necho before\ncat missing\necho after\n```\n")
    assert "exit status 1, not 0" in said
    assert "missing: No such file" in said
    assert "\nafter" not in said.partition("prints")[2]


def test_a_command_that_fails_in_the_middle_of_a_pipe_of_commands_is_found(tmp_path: Path) -> None:
    assert "exit status 1" in one(tmp_path, "```sh\nfalse\ntrue\n```\n")


def test_python_that_fails_is_found(tmp_path: Path) -> None:
    assert "ZeroDivisionError" in one(tmp_path, "```python\n1 / 0\n```\n")


def test_an_output_that_changed_is_found_and_shown_as_a_difference(tmp_path: Path) -> None:
    text = '```sh\necho a; echo b; echo c\n```\n\n```text title="prints"\na\nx\nc\n```\n'
    said = one(tmp_path, text)
    assert "-x\n+b" in said


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\n...\nc\n", "a\nb\nb\nc\n"),
        ("a\n...\nc\n", "a\nc\n"),
        ("...\nc\n", "a\nb\nc\n"),
        ("took ... s\n", "took 1.5 s\n"),
        ("...\nx ...\n...\ny\n...\n", "1\nx 2\ny\n"),
        ("", ""),
        ("a  \n", "a\n"),
        ("go\ndone\n", "go\n97%, 1 MiB of 2 MiB, 1 MiB/s, 0 s left: x\ndone\n"),
        ("  move    1 B  b\n  copy  2 kB  a\nend\n", "  copy  2 kB  a\n  move    1 B  b\nend\n"),
    ],
)
def test_dots_stand_for_any_text_and_any_lines(shown: str, printed: str) -> None:
    assert difference(shown, printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("a\n...\nc\n", "a\nb\n"),
        ("took ... s\n", "took 1.5 m\n"),
        ("a\n", "a\nb\n"),
        ("a\nb\n", "a\n"),
        ("a\nb\n", "b\na\n"),
        ("", "a\n"),
        ("a.b\n", "axb\n"),
    ],
)
def test_what_differs_otherwise_is_a_difference(shown: str, printed: str) -> None:
    assert difference(shown, printed)


def test_a_failure_that_a_page_announces_is_none_and_its_absence_is_one(tmp_path: Path) -> None:
    text = "<!-- exit: {} -->\n```sh\n(exit 3)\n```\n\n```sh\necho on\n```\n"
    assert faults(tmp_path, text.format(3)) == ["", ""]
    assert faults(tmp_path, text.format(2))[0].startswith("exit status 3, not 2")


@pytest.mark.parametrize(
    "script",
    [
        "(exit 3)\n(exit 3)\n",
        "(exit 3)\n\n# why\n(exit 3)\n# as it must\n",
        "cat > /dev/null <<EOF\n(exit 3)\nEOF\n(exit 3)\necho \\\n  on && (exit 3)\n",
    ],
)
def test_what_fails_before_the_announced_failure_is_seen(tmp_path: Path, script: str) -> None:
    said = faults(tmp_path, f"<!-- exit: 3 -->\n```sh\n{script}```\n")
    assert said[0].startswith("exit status 3 before the last command")


@pytest.mark.parametrize(
    ("script", "last"),
    [
        ("a\nb\n", "\nb\n"),
        ("a\nb | \\\n  c\n", "\nb | \\\n  c\n"),
        ("a\nb |\n  c\n", "\nb |\n  c\n"),
        ("a\nb <<EOF\nc\nEOF\n", "\nb <<EOF\nc\nEOF\n"),
        ("for x in a b; do\n  c\ndone\n", "for x in a b; do\n  c\ndone\n"),
    ],
)
def test_the_last_command_of_a_script_is_found(script: str, last: str) -> None:
    assert parted(script)[1] == last


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("```\necho\n```\n", "line 1: the block names no language"),
        ("```klingon\necho\n```\n", "klingon is no language"),
        ("```sh\necho\n", "the block has no end"),
        ('```text title="prints"\na\n```\n', "what prints this"),
        ('```sh\necho a\n```\n\nand\n\n```text title="prints"\na\n```\n', "what prints this"),
        ("```sh\noc get pods -n PROJECT\n```\n", "line 1: PROJECT is a placeholder"),
        ("```sh\ncarferry build a/b docker://quay.io/me/NAME:1\n```\n", "NAME is a placeholder"),
        ("```sh\nlogin --password=...\n```\n", "... is a placeholder"),
        ("```sh\nsed s/a/b/ FILE\n```\n", "FILE is a placeholder"),
        ("```sh\ncat <your file>\n```\n", "<your file> is a placeholder"),
        ("```yaml\na: [1\n```\n", "no yaml"),
        ("```json\n{\n```\n", "no json"),
    ],
)
def test_a_page_that_breaks_the_form_is_found(text: str, why: str) -> None:
    with pytest.raises(Fault) as raised:
        check(parse(text))
    assert why in str(raised.value)


@pytest.mark.parametrize(
    "text",
    [
        '```sh\nexport NAME=granite\necho "$NAME" ${NAME} # or NAME\n```\n',
        "<!-- not run: wants a browser -->\n```sh\nopen PROJECT\n```\n",
        "```sh\noc kustomize x | sed s/PROJECT/models/ | oc apply -f -\n```\n",
        "```sh\nsed -i -e 's/NAME/a/' -e 's|IMAGE|b|' x.yaml\n```\n",
        "```sh\ncat <<EOF\na\nEOF\n```\n",
        "```yaml\nscript: !reference [a, b]\n---\nb: 1\n```\n",
    ],
)
def test_what_only_looks_like_a_fault_is_none(text: str) -> None:
    check(parse(text))


def test_a_block_in_a_list_is_read_without_its_indentation() -> None:
    (block,) = parse('1. Do\n\n   ```yaml title="a.yaml"\n   a:\n     b: 1\n   ```\n')
    assert (block.text, block.title, block.line) == ("a:\n  b: 1\n", "a.yaml", 3)


def test_a_reason_belongs_to_the_next_block_alone() -> None:
    first, second = parse("<!-- not run: hours -->\n```sh\na\n```\n```sh\nb\n```\n")
    assert (first.reason, first.runs, second.runs) == ("hours", False, True)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("oc get pods", True),
        ("echo $(kubectl get pods)", True),
        ("carferry deploy x", True),
        ("carferry plan a/b --cluster", True),
        ("carferry render x", False),
        ("doc get", False),
    ],
)
def test_pages_that_use_a_cluster_are_told_apart(command: str, expected: bool) -> None:
    assert on_a_cluster(parse(f"```sh\n{command}\n```\n")) is expected


def test_a_block_that_never_ends_is_ended(tmp_path: Path) -> None:
    (block,) = parse("```sh\nsleep 60\n```\n")
    session = Session(tmp_path, dict(os.environ), tmp_path / "s", patience_s=0.5)
    with session, pytest.raises(TimeoutError):
        session.run(block)


def test_a_page_is_rewritten_where_its_outputs_are_others(tmp_path: Path) -> None:
    page = dedent("""\
        ```sh
        echo kept 1
        ```

        ```text title="prints"
        kept ...
        ```

        - ```sh
          echo new; echo took 1.5 s
          ```

          ```text title="prints"
          ```

        ```sh
        echo shorter
        ```

        ```text title="prints"
        a
        b
        ```

        The end.
        """)
    found = parse(page)
    with Session(tmp_path, dict(os.environ), tmp_path / "session") as session:
        ran = [Ran(block, session.run(block)) for block in found]
    new = rewritten(page, ran)
    assert "\nkept ...\n" in new
    assert '  ```text title="prints"\n  new\n  took ...\n  ```\n' in new
    assert '```text title="prints"\nshorter\n```\n\nThe end.\n' in new
    again = [Ran(block, each.outcome) for block, each in zip(parse(new), ran, strict=True)]
    assert rewritten(new, again) == new
