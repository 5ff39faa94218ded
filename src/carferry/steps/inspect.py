"""Step: an image checked against the contract."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from carferry.form.readers import read_image
from carferry.image import inspection
from carferry.refs import parse_image
from carferry.steps.access import open_access
from carferry.steps.results import Inspected


def inspect(
    image: str,
    *,
    plain_http: Sequence[str] = (),
    ca_file: str | Path | None = None,
    require: bool = False,
) -> Inspected:
    """Check an image against the contract that KServe's modelcar mode relies on.

    Reads manifest, config and tar headers, not the weights. Of an artifact it says what it is;
    what a layer beyond the limits may hold is None, and not broken.

    Args:
        image: ``docker://host/repository:tag``, by digest likewise, or ``oci:path:tag``.
        plain_http: Registry hosts without TLS.
        ca_file: PEM certificates to trust.
        require: Raise if a clause is broken, as the result's ``require()`` does.

    Returns:
        Files and layers with their sizes in bytes, and each clause of the contract.

    Raises:
        InputError: A reference that cannot be parsed.
        ContractViolation: With ``require``, names every broken clause.
        TargetError: No such image, or the registry refused or failed.

    Example:
        >>> import carferry
        >>> built = carferry.build("./model", "oci:out:latest", base="embedded")
        >>> carferry.inspect(built.reference).require().ok
        True
    """
    target = open_access(plain_http, ca_file).open(parse_image(read_image(image)))
    found = Inspected.of(inspection.inspect(target), target)
    return found.require() if require else found
