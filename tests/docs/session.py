"""The shell and the Python of one page: every block runs in the same ones, in order."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from select import select
from types import TracebackType
from typing import Self

from docs.blocks import Block

PATIENCE_S = 300.0
_DRIVER = Path(__file__).with_name("driver.py")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a block left.

    Attributes:
        code: The exit status of its last command, or of the one that ended it.
        output: Standard output and error together.
        is_early: Something failed before the command that was to fail.
    """

    code: int
    output: str
    is_early: bool = False


class Session:
    """A bash without a terminal, and beside it a Python that follows its folder and variables.

    Args:
        cwd: Where both start.
        env: Of both.
        scratch: For what goes between us and them.
        patience_s: Longer may no block take.
    """

    def __init__(
        self, cwd: Path, env: Mapping[str, str], scratch: Path, patience_s: float = PATIENCE_S
    ) -> None:
        self._cwd, self._env, self._patience_s = cwd, dict(env), patience_s
        self._scratch = scratch
        self._printed = scratch / "printed"
        self._python: _Process | None = None

    def __enter__(self) -> Self:
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._printed.touch()
        command = ["bash", "--noprofile", "--norc"]
        self._bash = _Process(command, self._cwd, self._env, self._printed)
        self._bash.ask("export -n DOCS_DONE; unset SHLVL; echo 0 >&$DOCS_DONE", 10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in (self._bash, self._python):
            if process is not None:
                process.end()

    def run(self, block: Block) -> Outcome:
        """Run a block and return what it left; nothing runs after one that failed."""
        before = self._printed.stat().st_size
        code, is_early = 0, False
        if block.language == "python":
            code = self._run_python(block)
        elif block.code:
            first, last = parted(block.text)
            code = self._run_shell(block, first, "set -e")
            is_early = code != 0
            code = code or self._run_shell(block, last, "set +e")
        else:
            code = self._run_shell(block, block.text, "set -e")
        with self._printed.open("rb") as printed:
            printed.seek(before)
            return Outcome(code, printed.read().decode(errors="replace"), is_early)

    def state(self) -> tuple[Path, dict[str, str]]:
        """Return the shell's folder and its exported variables."""
        file = self._scratch / "state"
        self._bash.ask(f"{{ pwd; env -0; }} > {shlex.quote(str(file))}; echo 0 >&$DOCS_DONE", 10)
        where, _, rest = file.read_text().partition("\n")
        pairs = (each.partition("=") for each in rest.split("\0") if each)
        return Path(where), {name: value for name, _, value in pairs}

    def _run_shell(self, block: Block, text: str, stop: str) -> int:
        file = self._scratch / f"block-{block.line}.sh"
        file.write_text(text)
        words = f"{stop}; . {shlex.quote(str(file))} </dev/null; echo $? >&$DOCS_DONE; set +e"
        return self._bash.ask(words, self._patience_s)

    def _run_python(self, block: Block) -> int:
        file = self._scratch / f"block-{block.line}.py"
        file.write_text(block.text)
        cwd, env = self.state()
        if self._python is None:
            command = [sys.executable, "-u", str(_DRIVER)]
            self._python = _Process(command, cwd, env, self._printed)
        (self._scratch / "variables").write_text("\0".join(f"{k}={v}" for k, v in env.items()))
        asked = f"{file}\t{cwd}\t{self._scratch / 'variables'}"
        return self._python.ask(asked, self._patience_s)


def parted(text: str) -> tuple[str, str]:
    """Return a script up to its last command, and that command at the line where it stands."""
    lines = text.splitlines(keepends=True)
    for at in range(len(lines) - 1, 0, -1):
        first, last = "".join(lines[:at]), "".join(lines[at:])
        if _says_something(last) and _is_whole(first) and _is_whole(last):
            return first, "\n" * at + last
    return "", text


def _says_something(script: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in script.splitlines())


def _is_whole(script: str) -> bool:
    """Say whether no command of a script goes on behind it: bash would warn of such a document."""
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    return not (done.returncode or done.stderr or script.rstrip("\n").endswith("\\"))


class _Process:
    """A process that is asked line by line, and says a number when it is done."""

    def __init__(
        self, command: list[str], cwd: Path, env: Mapping[str, str], printed: Path
    ) -> None:
        self._done, done = os.pipe()
        with printed.open("ab") as out:
            self._process = subprocess.Popen(
                command,
                cwd=cwd,
                env={**env, "DOCS_DONE": str(done)},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                pass_fds=(done,),
                start_new_session=True,
            )
        os.close(done)

    def ask(self, line: str, patience_s: float) -> int:
        """Have it do something and return the number; its exit status if it ends instead."""
        if self._process.stdin is None:
            raise RuntimeError("the process has no input")
        with suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
        while not select([self._done], [], [], min(0.2, patience_s))[0]:
            patience_s -= 0.2
            if self._process.poll() is not None:  # a job in the background holds our pipe
                return self._process.returncode
            if patience_s <= 0:
                self.end()
                raise TimeoutError("the block takes too long")
        said = os.read(self._done, 100).decode()
        return int(said) if said.strip() else self._process.wait()

    def end(self) -> None:
        """End it and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        if self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with suppress(OSError):
            os.close(self._done)
