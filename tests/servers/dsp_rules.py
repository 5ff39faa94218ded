"""What the pipelines API server refuses, in its own words.

Source: backend/src/apiserver/template/v2_template.go (validatePipelineJobInputs), server/
api_converter.go (toModelTrigger), storage/pipeline_store.go; run on the 3.4 branch.
"""

from __future__ import annotations

import email
import email.policy
from typing import Any

import yaml

Object = dict[str, Any]
INVALID, NOT_FOUND, EXISTS = 3, 5, 6
_STATUS = {INVALID: 400, NOT_FOUND: 404, EXISTS: 409}
_TYPES = {
    "STRING": (str, "string", "string"),
    "BOOLEAN": (bool, "bool", "bool"),
    "NUMBER_INTEGER": ((int, float), "double or integer", "number"),
    "NUMBER_DOUBLE": ((int, float), "double or integer", "number"),
    "STRUCT": (dict, "struct", "struct"),
    "LIST": (list, "list", "list"),
}


class Refused(Exception):
    """An answer that is not 200: what a person should read, inside what the server was doing."""

    def __init__(self, code: int, message: str, doing: str = "") -> None:
        self.status = _STATUS[code]
        text = f"{doing}: Invalid input error: {message}" if doing else message
        detail = {"@type": "type.googleapis.com/google.rpc.Status", "code": code}
        details = [detail | {"message": message}] if doing else []
        self.body: Object = {"code": code, "message": text, "details": details}
        super().__init__(text)


class UploadRefused(Refused):
    """The upload's own form of an error; newer releases do not say why."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.body = {"error_message": message, "error_details": f"{message}\nupload.go:335"}


def check_parameters(spec: Object, given: Object) -> None:
    """Refuse parameters that the pipeline does not declare, lacks or types otherwise."""
    doing = "Failed to create a new run: Failed to generate the ExecutionSpec"
    declared = spec["root"].get("inputDefinitions", {}).get("parameters", {})
    for name, about in declared.items():
        if name not in given:
            if not about.get("isOptional") and "defaultValue" not in about:
                raise Refused(
                    INVALID,
                    f"parameter {name} is not optional, yet has neither default value nor user "
                    "provided value",
                    doing,
                )
            continue
        kind, wanted, called = _TYPES[about["parameterType"]]
        is_wrong_number = isinstance(given[name], bool) and called == "number"
        if not isinstance(given[name], kind) or is_wrong_number:
            raise Refused(
                INVALID,
                f"input parameter {name} requires type {wanted}, but the input parameter is not "
                f"of {called} value type",
                doing,
            )
    if extra := given.keys() - declared.keys():
        names = ", ".join(sorted(extra))
        raise Refused(
            INVALID, f"parameter(s) provided are not required by pipeline: {names}", doing
        )


def check_trigger(trigger: Object) -> None:
    """Refuse times that the server refuses, and keep an interval as its API shows it: as text."""
    doing = "Failed to create a recurring run due to conversion error"
    if "cron_schedule" in trigger:
        check_cron(trigger["cron_schedule"]["cron"])
    every = trigger.get("periodic_schedule")
    if every is not None and int(every["interval_second"]) < 1:
        said = f"Found invalid period schedule interval {every['interval_second']}. "
        raise Refused(INVALID, said + "Set at interval to least 1 second", doing)
    if every is not None:
        every["interval_second"] = str(every["interval_second"])


def check_concurrency(most: Any) -> None:
    """Refuse numbers of runs at once that the server refuses."""
    if not 1 <= int(most) <= 10:
        said = "Max concurrency of a recurring run must be at least 1 and at most 10. "
        doing = "Failed to create a recurring run due to conversion error"
        raise Refused(INVALID, f"{said}Received {most}", doing)


def check_cron(cron: str) -> None:
    """Refuse what robfig/cron cannot parse, as far as a test needs it."""
    fields = cron.split()
    hours = fields[2] if len(fields) > 2 else "*"
    if cron.startswith("@"):
        return
    if not 5 <= len(fields) <= 6:
        why = f"Expected 5 to 6 fields, found {len(fields)}: {cron}"
    elif hours.isdigit() and int(hours) > 23:
        why = f"End of range ({hours}) above maximum (23): {hours}"
    else:
        return
    raise Refused(
        INVALID,
        "Schedule cron is not a supported format(https://godoc.org/github.com/robfig/cron). "
        f"Error: {why}",
        "Failed to create a recurring run due to conversion error",
    )


def uploaded(body: bytes, content_type: str) -> Object:
    """Return the IR document in a multipart upload.

    Raises:
        Refused: 400: no file, or not a pipeline.
    """
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.default)
    for part in message.iter_parts():
        documents = list(yaml.safe_load_all(part.get_payload(decode=True)))
        if documents and "pipelineInfo" in documents[0]:
            return dict(documents[0])
    raise UploadRefused(INVALID, "Failed to create a pipeline version")
