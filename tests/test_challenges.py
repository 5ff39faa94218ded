"""WWW-Authenticate comes apart as its grammar says, whatever surrounds it."""

from __future__ import annotations

import random

import pytest

from carferry.registry.logins.challenges import Challenge, parse_challenges

R = "https://auth.x.io/token"
BEARER = ("bearer", {"realm": R}, "")
BASIC = ("basic", {"realm": "x"}, "")
NEGOTIATE = ("negotiate", {}, "")

CASES: dict[str, tuple[list[str], list[tuple[str, dict[str, str], str]]]] = {
    "nothing": ([], []),
    "an empty header": ([""], []),
    "blanks": ([" \t "], []),
    "commas": ([" , ,, "], []),
    "quoted": ([f'Bearer realm="{R}"'], [BEARER]),
    "unquoted": ([f"Bearer realm={R}"], [BEARER]),
    "unquoted with a query": (
        ["Bearer realm=https://x/t?a=b&c=d,service=s"],
        [("bearer", {"realm": "https://x/t?a=b&c=d", "service": "s"}, "")],
    ),
    "upper case": ([f'BEARER REALM="{R}"'], [BEARER]),
    "mixed case": ([f'bEaReR Realm="{R}"'], [BEARER]),
    "blanks around =": ([f'Bearer realm \t = \t"{R}"'], [BEARER]),
    "blanks around , and at both ends": (
        [f'  Bearer   realm="{R}"  ,\tservice="s" , '],
        [("bearer", {"realm": R, "service": "s"}, "")],
    ),
    "a folded line": ([f'Bearer realm="{R}",\r\n  service="s"'],
                      [("bearer", {"realm": R, "service": "s"}, "")]),
    "a tab after the scheme": ([f'Bearer\trealm="{R}"'], [BEARER]),
    "any order": (
        [f'Bearer scope="repository:a:pull",service="s",realm="{R}"'],
        [("bearer", {"realm": R, "service": "s", "scope": "repository:a:pull"}, "")],
    ),
    "a comma in quotes": (
        [f'Bearer realm="{R}",scope="repository:a:pull,push"'],
        [("bearer", {"realm": R, "scope": "repository:a:pull,push"}, "")],
    ),
    "an = in quotes": (['Basic realm="a=b, c=d"'], [("basic", {"realm": "a=b, c=d"}, "")]),
    "a scheme in quotes": (['Basic realm="Bearer realm=x"'],
                           [("basic", {"realm": "Bearer realm=x"}, "")]),
    "an escaped quote": (['Basic realm="a \\"b\\" c"'], [("basic", {"realm": 'a "b" c'}, "")]),
    "an escaped backslash": (['Basic realm="a\\\\"'], [("basic", {"realm": "a\\"}, "")]),
    "an escaped letter": (['Basic realm="\\x"'], [BASIC]),
    "an escaped comma": (['Basic realm="a\\,b"'], [("basic", {"realm": "a,b"}, "")]),
    "an empty value": (['Basic realm=""'], [("basic", {"realm": ""}, "")]),
    "no value": (["Basic realm=, Bearer"], [("basic", {}, "realm="), ("bearer", {}, "")]),
    "Gitea: two in two headers": (
        [f'Bearer realm="{R}",service="container_registry",scope="*"', 'Basic realm="x"'],
        [("bearer", {"realm": R, "service": "container_registry", "scope": "*"}, ""), BASIC],
    ),
    "two in one header": ([f'Bearer realm="{R}", Basic realm="x"'], [BEARER, BASIC]),
    "two the other way round": ([f'Basic realm="x", Bearer realm="{R}"'], [BASIC, BEARER]),
    "two without a comma": ([f'Basic realm="x" Bearer realm="{R}"'], [BASIC, BEARER]),
    "two without a comma, unquoted": ([f"Basic realm=x Bearer realm={R}"], [BASIC, BEARER]),
    "two Bearers": ([f'Bearer realm="{R}", Bearer realm="y"'],
                    [BEARER, ("bearer", {"realm": "y"}, "")]),
    "three in two headers": (['Negotiate, Basic realm="x"', f'Bearer realm="{R}"'],
                             [NEGOTIATE, BASIC, BEARER]),
    "an empty element between": ([f'Basic realm="x", , Bearer realm="{R}"'], [BASIC, BEARER]),
    "an empty header between": (['Basic realm="x"', "", f'Bearer realm="{R}"'], [BASIC, BEARER]),
    "only a scheme": (["Negotiate"], [NEGOTIATE]),
    "schemes": (["Negotiate, NTLM"], [NEGOTIATE, ("ntlm", {}, "")]),
    "token68": (["Negotiate YII=="], [("negotiate", {}, "YII==")]),
    "token68 and another": (['Negotiate a+/b=, Basic realm="x"'],
                            [("negotiate", {}, "a+/b="), BASIC]),
    "token68 without padding": (["NTLM TlRM"], [("ntlm", {}, "TlRM")]),
    "a parameter that looks like token68": (["Basic realm=x"], [BASIC]),
    "a parameter twice": ([f'Bearer realm="{R}",realm="evil"'], [BEARER]),
    "a parameter twice in other cases": ([f'Bearer realm="{R}",REALM="evil"'], [BEARER]),
    "no commas between parameters": ([f'Bearer realm="{R}" service="s"'],
                                     [("bearer", {"realm": R, "service": "s"}, "")]),
    "semicolons between parameters": ([f'Bearer realm="{R}"; service="s"'],
                                      [("bearer", {"realm": R, "service": "s"}, "")]),
    "unknown parameters": ([f'Bearer realm="{R}",x-y=1,charset="UTF-8"'],
                           [("bearer", {"realm": R, "x-y": "1", "charset": "UTF-8"}, "")]),
    "error": (['Bearer realm="x",error="insufficient_scope"'],
              [("bearer", {"realm": "x", "error": "insufficient_scope"}, "")]),
    "error_description with commas": (
        ['Bearer error="invalid_token",error_description="a, b = c",realm="x"'],
        [("bearer",
          {"error": "invalid_token", "error_description": "a, b = c", "realm": "x"}, "")],
    ),
    "a parameter before any scheme": (['realm="evil", Basic realm="x"'], [BASIC]),
    "only a parameter": (['realm="x"'], []),
    "a leading =": (['="y", Basic realm="x"'], [BASIC]),
    "brackets": (['<<>>, Basic realm="x"'], [BASIC]),
    "a quoted string alone": (['"Bearer realm=evil", Basic realm="x"'], [BASIC]),
    "a quote without its end": ([f'Bearer realm="{R}'], [BEARER]),
    "a backslash at the end": (['Basic realm="x\\'], [BASIC]),
    "a quote alone": (['"'], []),
    "a backslash alone": (["\\"], []),
    "an equals alone": (["="], []),
    "a scheme and an equals": (["Bearer ="], []),
    "letters that are no ASCII": (['\xe9\xe8, Basic realm="x"'], [BASIC]),
    "control characters": (['\x01\x7f, Basic realm="x"'], [BASIC]),
    "HTML": (["<html>Basic</html>"], []),
    "a number": (["401"], [("401", {}, "")]),
    "a header too long": (["Basic realm=x" + "," * 20_000 + "Bearer realm=evil"], [BASIC]),
    "too many": (["A,"] * 100, [("a", {}, "")] * 16),
    "quotes without end": (['"' * 9999], []),
    "backslashes without end": (['A b="' + "\\" * 9999], [("a", {"b": "\\" * 4999}, "")]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_challenges_come_apart(name: str) -> None:
    headers, wanted = CASES[name]
    found = parse_challenges(headers)
    assert [(each.scheme, dict(each.parameters), each.token68) for each in found] == wanted


@pytest.mark.parametrize("seed", range(200))
def test_what_is_written_by_the_grammar_is_read_back(seed: int) -> None:
    dice = random.Random(seed)
    wanted = [_challenge(dice) for _ in range(dice.randint(1, 5))]
    headers = [""]
    for each in wanted:
        text = _written(each, dice)
        if headers[-1] and dice.random() < 0.5:
            headers.append("")
        headers[-1] += (_comma(dice) if headers[-1] else "") + text
    assert list(parse_challenges(headers)) == wanted


@pytest.mark.parametrize("seed", range(200))
def test_no_text_is_an_error(seed: int) -> None:
    dice = random.Random(seed)
    alphabet = 'Bearer realm=,"\\ \t;=<>é\x00' + "".join(map(chr, range(32, 127)))
    text = "".join(dice.choice(alphabet) for _ in range(dice.randint(0, 300)))
    for each in parse_challenges([text, text]):
        assert each.scheme
        assert each.scheme == each.scheme.lower()


def _challenge(dice: random.Random) -> Challenge:
    scheme = dice.choice(["basic", "bearer", "digest", "x-own!"])
    if dice.random() < 0.2:
        return Challenge(scheme, {}, dice.choice(["", "YII=", "a-._~+/b=="]))
    names = dice.sample(["realm", "service", "scope", "error", "nonce", "x-y"], dice.randint(1, 5))
    values = ["", "x", R, "a, b", 'say "x"', "back\\slash", "a=b", "repository:a/b:pull,push"]
    return Challenge(scheme, {name: dice.choice(values) for name in names})


def _written(challenge: Challenge, dice: random.Random) -> str:
    scheme = "".join(dice.choice([each, each.upper()]) for each in challenge.scheme)
    if challenge.token68:
        return f"{scheme} {challenge.token68}"
    parts = [
        f"{dice.choice([name, name.title()])}{_blank(dice)}={_blank(dice)}{_value(value, dice)}"
        for name, value in challenge.parameters.items()
    ]
    joined = parts[0] if parts else ""
    for part in parts[1:]:
        joined += _comma(dice) + part
    return f"{scheme} {joined}".rstrip()


def _value(value: str, dice: random.Random) -> str:
    if value.isalnum() and dice.random() < 0.5:
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _comma(dice: random.Random) -> str:
    return dice.choice([",", ", ", " ,\t", ",, ", ", ,"])


def _blank(dice: random.Random) -> str:
    return dice.choice(["", "", " ", "\t "])
