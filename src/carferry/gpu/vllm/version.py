"""Which vLLM is planned for: a release, a build of one, or a release of OpenShift AI.

A version is looked up among the releases that were read (``releases.py``). One that was not read is
planned as the nearest that was, and says so.
"""

from __future__ import annotations

import re
from dataclasses import replace

from carferry.errors import InputError
from carferry.gpu.vllm.releases import LATEST, PLATFORMS, RANGES, READ, Release, VllmVersion, dotted

__all__ = ["LATEST", "UNDATED", "VllmVersion", "find_version"]

UNDATED = "undated"
"""What a log is planned with that names no version: the larger, sorting sampler, and every rule."""

_VERSION = re.compile(r"v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?")
_PLATFORM = re.compile(r"(?:rhoai|openshift-ai)[-_ ]?v?(\d{1,3})\.(\d{1,3})(?:[.-]?(ea)\.?(\d+))?")
_BUILD = re.compile(r"[^0-9.].*")


def find_version(text: str = LATEST) -> VllmVersion:
    """Return what is known of a vLLM version.

    Args:
        text: ``0.33.0``, ``v0.11.2``, ``0.18.0+rhaiv.7`` (a build of 0.18.0), ``rhoai-3.4``
            (what that release of OpenShift AI serves with), or ``UNDATED``.

    Raises:
        InputError: Not a version.
    """
    plain = text.strip().lower()
    if plain.startswith(UNDATED):
        return _undated()
    platform = _PLATFORM.match(plain)
    if platform:
        return _of_platform(text.strip(), platform)
    match = _VERSION.match(plain)
    if not match:
        remedy = f"write {LATEST} or rhoai-3.4"
        raise InputError("choose vLLM version", repr(text[:80]), "not a version", remedy)
    wanted = int(match[1]), int(match[2]), int(match[3] or 0)
    build = _BUILD.search(plain[match.end() :])
    return _planned(wanted, dotted(wanted), build[0] if build else "")


def _of_platform(text: str, match: re.Match[str]) -> VllmVersion:
    """Return the vLLM that a release of OpenShift AI serves with."""
    early = int(match[4]) if match[3] else 99
    wanted = int(match[1]), int(match[2]), early
    known = [platform for platform in PLATFORMS if platform <= wanted] or [min(PLATFORMS)]
    nearest = max(known)
    found = _planned(PLATFORMS[nearest], dotted(PLATFORMS[nearest]), "")
    if nearest == wanted:
        return replace(found, note=f"{text} serves with vLLM {found.dated}")
    name = f"OpenShift AI {nearest[0]}.{nearest[1]}"
    note = f"planned as vLLM {found.dated} of {name}, the nearest known to {text[:40]}"
    return replace(found, note=note, is_guessed=True)


def _undated() -> VllmVersion:
    """Return the careful assumption: 0.11.2's memory, and states as later releases check them."""
    facts = _planned((0, 11, 2), "0.11.2", "")
    note = "no vLLM version is named: planned with the memory of 0.11.2, the larger"
    return replace(facts, states_checked=True, note=note, is_guessed=True, release=None)


def _planned(wanted: Release, said: str, build: str) -> VllmVersion:
    nearest = _nearest(wanted)
    facts = max((each for each in RANGES if each.since <= nearest), key=lambda each: each.since)
    dated = dotted(nearest)
    other = "" if nearest == wanted else f"planned as vLLM {dated}, the nearest known to {said}"
    same = f"a build of vLLM {dated}, planned as the release" if build.startswith("+") else ""
    return replace(facts, dated=dated, note=other or same, is_guessed=bool(other), release=nearest)


def _nearest(wanted: Release) -> Release:
    """Return the newest release read that is not newer; the oldest if all are."""
    older = [release for release in READ if release <= wanted]
    return max(older) if older else min(READ)
