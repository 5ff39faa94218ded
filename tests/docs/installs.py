"""What ``python3 -m venv`` and ``pip`` do on a page: look whether it could be done, quickly."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

_ACTIVATE = """\
export VIRTUAL_ENV='{folder}'
export PATH="$VIRTUAL_ENV/bin:$PATH"
deactivate() {{ export PATH="${{PATH#"$VIRTUAL_ENV"/bin:}}"; unset VIRTUAL_ENV; }}
"""
_NAMED = re.compile(r"(?P<what>[^\[\]@ ]+)(?:\[(?P<extras>[\w,-]+)\])?(?: ?@ ?(?P<where>\S+))?")
_WITH_VALUE = ("-c", "--constraint", "-r", "--requirement", "--index-url", "--find-links", "-d")


def main(words: list[str]) -> int:
    """Do what the words say; return the exit status."""
    if words[0] == "venv":
        return _make([word for word in words[1:] if not word.startswith("-")])
    if words[1:2] in (["install"], ["download"], ["wheel"]):
        return _install(words[2:])
    return 0


def _make(folders: list[str]) -> int:
    for name in folders:
        folder, ours = Path(name).resolve(), Path(sys.executable).parent
        (folder / "bin").mkdir(parents=True)
        for program in ours.iterdir():
            if not program.name.startswith(("activate", "python", "pip")):
                (folder / "bin" / program.name).symlink_to(program)
        (folder / "bin/activate").write_text(_ACTIVATE.format(folder=folder))
    return 0


def _install(words: list[str]) -> int:
    named, rest = [], iter(words)
    for word in rest:
        if word in _WITH_VALUE:
            value = next(rest)
            if word in _WITH_VALUE[:4] and not Path(value).exists():
                return _refuse(f"{value} is not there")
        elif not word.startswith("-"):
            named.append(word)
    return max((_look(each) for each in named), default=0)


def _look(requirement: str) -> int:
    match = _NAMED.fullmatch(requirement)
    if match is None:
        return _refuse(f"{requirement} is no requirement")
    folder = Path(match["what"])
    here = folder if folder.exists() else Path()
    if folder.suffix == ".whl" or "/" in match["what"] or match["what"] == ".":
        if not folder.exists():
            return _refuse(f"{folder} is not there")
    elif match["what"] != "carferry":
        return 0
    known = tomllib.loads((here / "pyproject.toml").read_text())["project"]
    extras = set(filter(None, (match["extras"] or "").split(",")))
    unknown = extras - set(known["optional-dependencies"])
    return _refuse(f"carferry has no extra {unknown}") if unknown else 0


def _refuse(why: str) -> int:
    print(f"ERROR: {why}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
