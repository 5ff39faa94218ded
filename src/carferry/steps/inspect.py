"""Step: an image held against the contract."""

from __future__ import annotations

from carferry.image import inspection
from carferry.refs import parse_image
from carferry.steps.access import open_access
from carferry.steps.results import Inspected


def inspect(
    image: str, *, plain_http: str = "", ca_file: str = "", require: bool = False
) -> Inspected:
    """Hold an image against the contract KServe's modelcar mode relies on.

    Raises:
        ContractViolation: With ``require``, where a clause is broken.
    """
    target = open_access(plain_http, ca_file).open(parse_image(image))
    report = inspection.inspect(target)
    if require:
        report.require(image)
    return Inspected.of(report, target)
