"""A folder of an S3 bucket, parsed once: ``s3://bucket/prefix``."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from carferry.errors import InvalidReference

SCHEME = "s3://"
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_LONGEST_KEY = 1024


@dataclass(frozen=True, slots=True)
class S3Ref:
    """A place in a bucket.

    Attributes:
        bucket: Its name; empty: the one that the connection names.
        prefix: What keys begin with, less the slash at its end; empty for the whole bucket.
    """

    bucket: str
    prefix: str

    @classmethod
    def parse(cls, model: str) -> S3Ref:
        """Parse ``s3://bucket[/prefix][/]``; ``s3:///prefix`` leaves the bucket to the connection.

        Source: Amazon S3 User Guide, "General purpose bucket naming rules" (old buckets and other
        servers allow more than these) and "Naming Amazon S3 objects" (1,024 bytes).

        Raises:
            InvalidReference: Names the part that is wrong.
        """
        bucket, _, path = model.removeprefix(SCHEME).partition("/")
        if ":" in bucket or "@" in bucket:
            reason = "neither keys nor an ARN belong in the address"
            remedy = "write s3://bucket/prefix; keys come from the environment or a Secret"
            # The text may hold a key, so it is not repeated.
            raise InvalidReference("parse model", f"{SCHEME}...", reason, remedy)
        if bucket and not _BUCKET.fullmatch(bucket):
            raise _bad(model, f"{bucket!a} is no bucket's name")
        prefix = path.strip("/")
        if any(unicodedata.category(char) in {"Cc", "Cs"} for char in prefix):
            raise _bad(model, "control characters in the prefix")
        if "?" in prefix or "#" in prefix:
            raise _bad(model, "a query or a fragment in the prefix")
        if len(prefix.encode()) > _LONGEST_KEY:
            raise _bad(model, f"the prefix is longer than {_LONGEST_KEY} bytes")
        return cls(bucket, prefix)

    @property
    def start(self) -> str:
        """What the keys below it begin with."""
        return f"{self.prefix}/" if self.prefix else ""

    def __str__(self) -> str:
        """Return ``s3://bucket/prefix``."""
        return f"{SCHEME}{self.bucket}/{self.prefix}".rstrip("/")


def _bad(model: str, reason: str) -> InvalidReference:
    return InvalidReference("parse model", ascii(model[:200]), reason, "write s3://bucket/prefix")
