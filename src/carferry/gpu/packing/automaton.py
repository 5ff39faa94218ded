"""Match regular expressions of strangers in time that is bounded: an automaton, no backtracking.

Python's ``re`` may take for ever on a pattern that was made for it to. Here a pattern becomes a
machine whose states are worked out as names need them, so a name costs a step a character. What
machines cannot do (back references, looking around but for one leading ``(?!...)``) is no pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_MOST_NODES, _MOST_STATES, _LONGEST, _DEEPEST = 4000, 2000, 1000, 20
_MOST_TIMES = 64
_CLASSES = {"d": r"[0-9]", "D": r"[^0-9]", "w": r"\w", "W": r"\W", "s": r"\s", "S": r"\S"}
_AHEAD = re.compile(r"\^?\(\?!")
_TIMES = re.compile(r"\{(\d{0,3})(,?)(\d{0,3})\}")
_SET = re.compile(r"\[\^?\]?(?:\\.|[^\]\\])*\]")

State = frozenset[int]


class _NoPattern(ValueError):
    """A text that is no pattern here."""


@dataclass(slots=True)
class _Machine:
    """Nodes: each has a test for one character (None passes for free) and where it leads.

    A test is a set of one character, compiled by ``re`` on its own; ``^`` and ``$`` are nodes that
    pass only at an end.
    """

    tests: list[re.Pattern[str] | str | None] = field(default_factory=list)
    ways: list[list[int]] = field(default_factory=list)

    def node(self, test: re.Pattern[str] | str | None, *ways: int) -> int:
        """Add a node.

        Raises:
            _NoPattern: There are too many.
        """
        if len(self.tests) >= _MOST_NODES:
            raise _NoPattern
        self.tests.append(test)
        self.ways.append(list(ways))
        return len(self.tests) - 1


class Matcher:
    """One pattern, matched from the start of a name like ``re.match``."""

    __slots__ = ("_after", "_begun", "_denied", "_ends", "_known", "_machine")

    def __init__(self, text: str) -> None:
        """Compile a pattern.

        Raises:
            ValueError: It is no pattern, too large, or beyond what a machine can do.
        """
        if len(text) > _LONGEST:
            raise _NoPattern
        self._denied: Matcher | None = None
        ahead = _AHEAD.match(text)
        if ahead:
            end = _closing(text, ahead.end())
            self._denied = Matcher(text[ahead.end() : end])
            text = text[end + 1 :]
        self._machine = _Machine()
        last = self._machine.node("end")
        start = _Reader(text, self._machine).whole(last)
        self._begun = self._closed([start], first=True, last=False)
        self._ends = self._closed([start], first=True, last=True)
        self._known: dict[tuple[State, str], State] = {}
        self._after: dict[tuple[State | None, str, bool], State] = {}

    def match(self, prefix: str, name: str) -> bool:
        """Return whether the pattern matches from the start of a prefix and a name after it.

        Both are remembered apart, as many names share a prefix.
        """
        if self._denied and self._denied.match(prefix, name):
            return False
        if not name:
            prefix, name = "", prefix
        state = self._run(None, prefix, last=False) if prefix else None
        return 0 in self._run(state, name, last=True)

    def _run(self, state: State | None, text: str, *, last: bool) -> State:
        """Return the state after a text; one that has matched stays."""
        key = (state, text, last)
        found = self._after.get(key)
        if found is None:
            if len(self._after) >= _MOST_STATES:
                self._after.clear()
            found = self._begun if state is None else state
            if not text:
                found = self._ends
            for place, letter in enumerate(text):
                if 0 in found or not found:
                    break
                found = self._next(found, letter, last=last and place + 1 == len(text))
            self._after[key] = found
        return found

    def _next(self, state: State, letter: str, *, last: bool) -> State:
        key = (state, f"{letter}$" if last else letter)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _MOST_STATES:
                self._known.clear()
            tests, ways = self._machine.tests, self._machine.ways
            reached = [
                way
                for node in state
                if isinstance(test := tests[node], re.Pattern) and test.match(letter)
                for way in ways[node]
            ]
            found = self._known[key] = self._closed(reached, first=False, last=last)
        return found

    def _closed(self, nodes: list[int], *, first: bool, last: bool) -> State:
        """Return the nodes that can be reached for free."""
        seen, left = set[int](), list(nodes)
        while left:
            node = left.pop()
            if node in seen:
                continue
            test = self._machine.tests[node]
            if (test == "^" and not first) or (test == "$" and not last):
                continue
            seen.add(node)
            if test is None or test in ("^", "$"):
                left += self._machine.ways[node]
        return frozenset(seen)


class _Reader:
    """Reads a pattern backwards into a machine: each part is built onto what follows it."""

    def __init__(self, text: str, machine: _Machine) -> None:
        self._text, self._at, self._machine, self._depth = text, 0, machine, 0

    def whole(self, after: int) -> int:
        """Return the first node of the whole pattern."""
        tree = self._choices()
        if self._at < len(self._text):
            raise _NoPattern
        return self._built(tree, after)

    def _choices(self) -> _Tree:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NoPattern
        options = [self._run()]
        while self._peek() == "|":
            self._at += 1
            options.append(self._run())
        self._depth -= 1
        return _Tree("|", tuple(options))

    def _run(self) -> _Tree:
        parts = list[_Tree]()
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._one()))
        return _Tree("", tuple(parts))

    def _one(self) -> _Tree:
        letter = self._peek()
        if letter == "(":
            return self._group()
        if letter in "*+?{":
            raise _NoPattern
        if letter == "[":
            found = _SET.match(self._text, self._at)
            if not found:
                raise _NoPattern
            self._at = found.end()
            return _Tree("test", test=_tested(found[0]))
        self._at += 1
        if letter in "^$":
            return _Tree("test", test=letter)
        if letter == "\\":
            return self._escaped()
        return _Tree("test", test=_tested("." if letter == "." else re.escape(letter)))

    def _escaped(self) -> _Tree:
        letter = self._peek()
        self._at += 1
        if letter in ("A", "Z"):
            return _Tree("test", test="^" if letter == "A" else "$")
        if letter in _CLASSES:
            return _Tree("test", test=_tested(_CLASSES[letter]))
        if not letter or letter.isalnum():
            raise _NoPattern
        return _Tree("test", test=_tested(re.escape(letter)))

    def _group(self) -> _Tree:
        self._at += 1
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            raise _NoPattern
        inner = self._choices()
        if self._peek() != ")":
            raise _NoPattern
        self._at += 1
        return inner

    def _repeated(self, part: _Tree) -> _Tree:
        sign = self._peek()
        if sign in ("*", "+", "?"):
            self._at += 1
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
        elif sign == "{" and (found := _TIMES.match(self._text, self._at)):
            self._at = found.end()
            least = int(found[1] or 0)
            most = least if not found[2] else int(found[3]) if found[3] else None
        else:
            return part
        if self._peek() == "?":  # lazy: the same names match
            self._at += 1
        if max(least, most or 0) > _MOST_TIMES or self._peek() in ("*", "+", "{"):
            raise _NoPattern
        return _Tree("{}", (part,), least=least, most=most)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _built(self, tree: _Tree, after: int) -> int:
        node = self._machine.node
        if tree.kind == "test":
            return node(tree.test, after)
        if tree.kind == "|":
            return node(None, *(self._built(option, after) for option in tree.parts))
        if tree.kind == "":
            for part in reversed(tree.parts):
                after = self._built(part, after)
            return after
        return self._times(tree, after)

    def _times(self, tree: _Tree, after: int) -> int:
        part = tree.parts[0]
        if tree.most is None:
            loop = self._machine.node(None, after)
            self._machine.ways[loop].append(self._built(part, loop))
            after = loop
        else:
            end = after
            for _ in range(tree.most - tree.least):
                after = self._machine.node(None, self._built(part, after), end)
        for _ in range(tree.least):
            after = self._built(part, after)
        return after


@dataclass(frozen=True, slots=True)
class _Tree:
    """A part of a pattern: a choice, a run of parts, a part some times, or one test."""

    kind: str
    parts: tuple[_Tree, ...] = ()
    test: re.Pattern[str] | str | None = None
    least: int = 0
    most: int | None = None


def _tested(one: str) -> re.Pattern[str]:
    try:
        return re.compile(one)
    except re.error as error:
        raise _NoPattern from error


def _closing(text: str, at: int) -> int:
    """Return the place of the bracket that closes a group which is open at a place."""
    depth, place = 1, at
    while place < len(text):
        letter = text[place]
        found = _SET.match(text, place) if letter == "[" else None
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return place
        place = found.end() if found else place + (2 if letter == "\\" else 1)
    raise _NoPattern
