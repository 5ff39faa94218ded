"""One error hierarchy; every message is one line: what failed, on which object, why, what to do.

CarferryError                 exit 1: something outside failed: network, registry, cluster
+-- InputError                exit 2: the caller must change what was asked (also ValueError)
|   +-- InvalidReference      a model or image reference that cannot be parsed
|   +-- InvalidName           a name Kubernetes would refuse
|   +-- UnsafePath            a file name that must not enter an image
|   +-- UnsafeWeights         pickle-based weights that no pattern names
|   +-- NothingSelected       patterns that match no file
|   +-- BrokenFile            not what its name says: cut short, a pointer, a web page
|   +-- IncompleteModel       every file of a model that is broken or missing
|   +-- SourceNotFound        no such repository, revision or folder
|   +-- SourceDenied          gated or private, and the token does not open it
|   +-- ContractViolation     an image KServe cannot serve
|   +-- UnsupportedModel      a model the GPU plan does not know
|   +-- DoesNotFit            exit 3: no GPU option of this cluster can hold the model
|   +-- RightsMissing         the account may not do what the run will need
+-- SourceError               the hub or the folder failed while being read
|   +-- SourceChanged         bytes differ from what the snapshot promised
+-- TargetError               the registry or the layout refused or failed
|   +-- AuthenticationFailed  the login was refused
|   +-- PushDenied            logged in, but not allowed to write here
|   +-- ManifestMissing       no such tag or digest at the target
|   +-- StorageFull           no space left in the place the image is written to
+-- Unreachable               nothing answers, or its certificate is not trusted
+-- ToolFailed                buildah (or another program) is missing or exited non-zero
+-- ClusterError              the Kubernetes API refused or failed
|   +-- DeploymentFailed      a condition says the model will not come up
+-- EndpointFailed            a served model answers wrongly, or somebody else answers for it
+-- DeadlineExceeded          waited as long as asked (also TimeoutError)
"""

from __future__ import annotations

from collections.abc import Sequence

from carferry.shown import one_line, redact


class CarferryError(Exception):
    """Anything carferry raises on purpose.

    Attributes:
        action: What was being done ("push").
        subject: The object it was done to ("quay.io/team/model:1").
        reason: Why it failed, in the failing side's own words if it gave any.
        remedy: What to do next; may be empty.
        temporary: Whether the same call may succeed later.
        retry_after_s: Seconds the failing side asked to wait; 0 if it did not say.
        tries: How often was tried for it, which whoever tries around that counts.
        exit_code: What the command line exits with.
    """

    exit_code = 1
    temporary: bool = False
    retry_after_s: float = 0.0
    tries: int = 1

    def __init__(self, action: str, subject: object, reason: str, remedy: str = "") -> None:
        """Keep the four parts, redacted: loggers and tracebacks show them as they are kept."""
        self.action = redact(action)
        self.subject = redact(str(subject))
        self.reason = redact(reason)
        self.remedy = redact(remedy)
        super().__init__(self.action, self.subject, self.reason, self.remedy)

    def __str__(self) -> str:
        """Return ``action subject: reason; remedy``."""
        head = f"{self.action} {self.subject}".strip()
        tail = f"; {self.remedy}" if self.remedy else ""
        return one_line(redact(f"{head}: {self.reason}{tail}"))

    @property
    def lines(self) -> tuple[str, ...]:
        """What a terminal shows: one line, or one for each of several faults."""
        return (str(self),)

    def _render_traceback_(self) -> list[str]:
        """Return what a notebook shows in place of frames of ours, which would not help."""
        notes = [redact(note) for note in getattr(self, "__notes__", ())]
        return [f"{type(self).__name__}: {self.lines[0]}", *self.lines[1:], *notes]


class InputError(CarferryError, ValueError):
    """The caller must change what was asked."""

    exit_code = 2


class InvalidReference(InputError):
    """A model or image reference that cannot be parsed."""


class InvalidName(InputError):
    """A name Kubernetes would refuse (RFC 1123 label)."""


class UnsafePath(InputError):
    """A file name that must not enter an image."""


class UnsafeWeights(InputError):
    """Pickle-based weights that no pattern names."""


class NothingSelected(InputError):
    """Include and exclude patterns that leave no file."""


class BrokenFile(InputError):
    """A file that is not what its name says: cut short, a pointer, contradicted by another."""


class IncompleteModel(InputError):
    """Every file of a model that is broken or missing: no server could load it.

    Attributes:
        faults: One error for each file, with a remedy of its own.
    """

    _SHOWN = 20

    def __init__(
        self,
        action: str,
        subject: object,
        reason: str,
        remedy: str = "",
        *,
        faults: Sequence[BrokenFile] = (),
    ) -> None:
        """Keep every fault; ``reason`` names them together."""
        self.faults = tuple(faults)
        super().__init__(action, subject, reason, remedy)

    @property
    def lines(self) -> tuple[str, ...]:
        """One line for each fault, the first twenty of them."""
        more = len(self.faults) - self._SHOWN
        rest = (f"check {self.subject}: {more} more files like these",) if more > 0 else ()
        return (*map(str, self.faults[: self._SHOWN]), *rest) or (str(self),)


class SourceNotFound(InputError):
    """No such repository, revision or folder."""


class SourceDenied(InputError):
    """The repository is gated or private and the token does not open it."""


class ContractViolation(InputError):
    """The image breaks the contract KServe's modelcar mode relies on."""


class UnsupportedModel(InputError):
    """The GPU plan does not know this model family."""


class DoesNotFit(InputError):
    """No GPU option of this cluster can hold the model."""

    exit_code = 3


class RightsMissing(InputError):
    """The account may not do what the run will need; all of it, asked before anything is done.

    Attributes:
        manifest: Role and RoleBinding (and their cluster-wide twins) that grant what is missing,
            as YAML for ``oc apply --server-side -f -``.
    """

    def __init__(
        self, action: str, subject: object, reason: str, remedy: str = "", *, manifest: str = ""
    ) -> None:
        """Keep the YAML beside the line."""
        self.manifest = manifest
        super().__init__(action, subject, reason, remedy)


class SourceError(CarferryError):
    """The hub or the folder failed while being read."""


class SourceChanged(SourceError):
    """Bytes read differ from what the snapshot promised."""


class TargetError(CarferryError):
    """The registry or the layout refused or failed."""

    def __init__(
        self, action: str, subject: object, reason: str, remedy: str = "", *, status: int = 0
    ) -> None:
        """Keep the HTTP status, 0 if there was none."""
        self.status = status
        super().__init__(action, subject, reason, remedy)


class AuthenticationFailed(TargetError):
    """The registry refused the login."""


class PushDenied(TargetError):
    """The login is accepted but may not write here."""


class ManifestMissing(TargetError):
    """The target holds no such tag or digest."""


class StorageFull(TargetError):
    """No space left in the place the image is written to."""


class Unreachable(CarferryError):
    """Nothing answers there, or its certificate is not trusted."""

    temporary = True


class ToolFailed(CarferryError):
    """A program carferry drives is missing or exited non-zero."""


class ClusterError(CarferryError):
    """The Kubernetes API refused or failed."""

    def __init__(
        self, action: str, subject: object, reason: str, remedy: str = "", *, status: int = 0
    ) -> None:
        """Keep the HTTP status, 0 if there was none."""
        self.status = status
        super().__init__(action, subject, reason, remedy)


class DeploymentFailed(ClusterError):
    """A condition or event says that the model will not come up.

    Attributes:
        cause: Short name, as in the table of docs/reference/diagnosis.md.
        evidence: The cluster's own words, or the server's.
    """

    def __init__(
        self,
        action: str,
        subject: object,
        reason: str,
        remedy: str = "",
        *,
        status: int = 0,
        cause: str = "",
        evidence: str = "",
    ) -> None:
        """Keep cause and evidence beside the line."""
        self.cause, self.evidence = cause, redact(evidence)
        super().__init__(action, subject, reason, remedy, status=status)


class EndpointFailed(CarferryError):
    """A served model answers wrongly, or something else answers in its place."""

    def __init__(
        self, action: str, subject: object, reason: str, remedy: str = "", *, status: int = 0
    ) -> None:
        """Keep the HTTP status, 0 if there was none."""
        self.status = status
        super().__init__(action, subject, reason, remedy)


class DeadlineExceeded(CarferryError, TimeoutError):
    """Waited as long as asked; carries the last status seen."""
