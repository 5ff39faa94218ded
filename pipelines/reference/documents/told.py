"""What is told of failures and of progress, as TypedDicts."""

from __future__ import annotations

from typing import Literal, TypedDict


class _Told(TypedDict):
    kind: str
    action: str
    subject: str
    reason: str
    remedy: str
    exit_code: int


class Failure(_Told, total=False):
    """What failed.

    Attributes:
        kind: Class of the error, as in docs/reference/errors.md; Interrupted or Terminated for a
            signal.
        action: What was being done.
        subject: The object it was done to.
        reason: Why it failed.
        remedy: What to do next; may be empty.
        exit_code: What the command exits with.
        faults: Of IncompleteModel: each file that is broken or missing.
        manifest: Of RightsMissing: YAML that grants what is missing.
        cause: Of DeploymentFailed: as in docs/reference/diagnosis.md; empty if no row knows it.
        evidence: Of DeploymentFailed: the cluster's own words, or the server's.
    """

    faults: list[Failure]
    manifest: str
    cause: str
    evidence: str


class ErrorDocument(TypedDict):
    """What every command prints on stdout if it fails.

    Attributes:
        error: The failure.
    """

    error: Failure


class Phase(TypedDict):
    """Something begins.

    Attributes:
        text: What.
        host: Who answers; may be empty.
    """

    event: Literal["phase"]
    text: str
    host: str


class Expect(TypedDict):
    """More will move.

    Attributes:
        size_bytes: So many bytes; negative ones turned out to be there already.
        items: So many layers, blobs or files.
        total_bytes: All together.
    """

    event: Literal["expect"]
    size_bytes: int
    items: int
    total_bytes: int


class Begin(TypedDict):
    """One of them begins; a name that begins again starts from zero.

    Attributes:
        name: Of the layer, blob or file.
        size_bytes: Its length.
        total_bytes: All together.
    """

    event: Literal["begin"]
    name: str
    size_bytes: int
    total_bytes: int


class Advance(TypedDict):
    """What has moved since the last event of that name.

    Attributes:
        name: Of the layer, blob or file.
        size_bytes: Since then; negative if a part is sent again.
        done_bytes: All that has moved.
        total_bytes: All together.
        bytes_per_s: Of the last seconds.
        seconds_left: At that rate; 0: nobody can say.
    """

    event: Literal["advance"]
    name: str
    size_bytes: int
    done_bytes: int
    total_bytes: int
    bytes_per_s: int
    seconds_left: int


class End(TypedDict):
    """One of them ends.

    Attributes:
        name: Of the layer, blob or file.
        how: It came there.
        items_ended: So far.
        items: All together.
    """

    event: Literal["end"]
    name: str
    how: Literal[
        "move", "reuse", "mount", "check", "copy", "link", "kept", "read", "hashed", "missing"
    ]
    items_ended: int
    items: int


class Note(TypedDict):
    """What a person should see.

    Attributes:
        text: A retry with its cause, what was not reused and why, what was kept.
    """

    event: Literal["note"]
    text: str


class Wait(TypedDict):
    """No byte for long.

    Attributes:
        text: What is waited for.
        host: Who should answer; may be empty.
        silent_s: Since when.
    """

    event: Literal["wait"]
    text: str
    host: str
    silent_s: int


class _Line(TypedDict):
    event: Literal["error"]
    text: str


class Error(_Line, Failure):
    """A failure, among the events.

    Attributes:
        text: The line that a person would read.
        kind: Class of the error, as in docs/reference/errors.md.
        action: What was being done.
        subject: The object it was done to.
        reason: Why it failed.
        remedy: What to do next; may be empty.
        exit_code: What the command exits with.
        faults: Of IncompleteModel: each file that is broken or missing.
        manifest: Of RightsMissing: YAML that grants what is missing.
        cause: Of DeploymentFailed: as in docs/reference/diagnosis.md.
        evidence: Of DeploymentFailed: the cluster's own words, or the server's.
    """


Event = Phase | Expect | Begin | Advance | End | Note | Wait | Error
