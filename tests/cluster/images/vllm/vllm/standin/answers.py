"""What the API answers, as documents. Source: vLLM 0.24 ``entrypoints/openai/*/protocol.py``."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vllm.standin.model import Model

Document = dict[str, Any]
_DIMENSIONS = 8


class Wrong(Exception):
    """A request that vLLM answers with an error.

    Attributes:
        status: HTTP's.
        kind: vLLM's type of the error.
        field: Which part of the request is meant.
    """

    def __init__(self, message: str, status: int, kind: str, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.field = status, kind, field

    @property
    def document(self) -> Document:
        """The body of the answer."""
        error = {"message": str(self), "type": self.kind, "param": self.field, "code": self.status}
        return {"error": error}


@dataclass(frozen=True, slots=True)
class Request:
    """A request for text.

    Attributes:
        chat: Whether it has messages.
        prompt_tokens: As this tokenizer counts: by words.
        max_tokens: Tokens of the answer.
        finish: Why it ends there.
    """

    chat: bool
    model: str
    prompt_tokens: int
    max_tokens: int
    finish: str
    stream: bool
    with_usage: bool

    @classmethod
    def read(cls, asked: Document, model: Model, *, chat: bool) -> Request:
        """Check a request as vLLM does.

        Raises:
            Wrong: It asks for another model, or for more tokens than fit.
        """
        name = check_model(asked, model)
        prompt = _prompt(asked, chat=chat)
        used = len(prompt.split()) + (3 if chat else 0)
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
        wanted = limit or (min(32, model.max_model_len - used) if chat else 16)
        if used + wanted > model.max_model_len:
            raise Wrong(
                f"This model's maximum context length is {model.max_model_len} tokens. However, "
                f"you requested {wanted} output tokens and your prompt contains {used} input "
                f"tokens, for a total of {used + wanted} tokens. Please reduce the length of the "
                "input prompt or the number of requested output tokens.",
                400,
                "BadRequestError",
                "input_tokens",
            )
        options = asked.get("stream_options") or {}
        finish = "length" if limit or not chat else "stop"
        streamed = bool(asked.get("stream"))
        return cls(chat, name, used, wanted, finish, streamed, bool(options.get("include_usage")))

    def words(self, model: Model) -> Iterator[str]:
        """Yield the answer, a token at a time."""
        endless = itertools.cycle(model.words)
        yield from (f" {word}" for word in itertools.islice(endless, self.max_tokens))

    @property
    def usage(self) -> Document:
        """The tokens counted."""
        total = self.prompt_tokens + self.max_tokens
        counted = {"prompt_tokens": self.prompt_tokens, "total_tokens": total}
        return counted | {"completion_tokens": self.max_tokens, "prompt_tokens_details": None}


def check_model(asked: Mapping[str, Any], model: Model) -> str:
    """Return the name of the model that is asked for.

    Raises:
        Wrong: There is none of that name.
    """
    name = asked.get("model") or model.name
    if name not in [*model.names, *model.loras]:
        raise Wrong(f"The model `{name}` does not exist.", 404, "NotFoundError", "model")
    return str(name)


def models(model: Model) -> Document:
    """Answer ``/v1/models``."""
    card = {"object": "model", "created": int(time.time()), "owned_by": "vllm", "permission": []}
    base = {"root": model.options.model, "parent": None, "max_model_len": model.max_model_len}
    data = [card | {"id": name} | base for name in model.names]
    for name, path in model.loras.items():
        data.append(card | {"id": name, "root": str(path), "parent": model.name})
    return {"object": "list", "data": data}


def whole(request: Request, text: str) -> Document:
    """Answer a request for text in one piece."""
    choice: Document = {"index": 0, "logprobs": None, "finish_reason": request.finish}
    if request.chat:
        choice["message"] = {"role": "assistant", "content": text, "tool_calls": []}
    else:
        choice["text"] = text
    return _about(request) | {"choices": [choice], "usage": request.usage}


def pieces(request: Request, words: Iterator[str]) -> Iterator[str]:
    """Yield the events of an answer in pieces."""
    about = _about(request)
    if request.chat:
        about["object"] = "chat.completion.chunk"
        yield _event(about | {"choices": [_piece(request, {"role": "assistant", "content": ""})]})
    for number, word in enumerate(words, 1):
        finish = request.finish if number == request.max_tokens else None
        yield _event(about | {"choices": [_piece(request, {"content": word}, finish)]})
    if request.with_usage:
        yield _event(about | {"choices": [], "usage": request.usage})
    yield "data: [DONE]\n\n"


def embeddings(asked: Document, model: Model) -> Document:
    """Answer ``/v1/embeddings``: numbers that follow from the text."""
    given = asked.get("input", "")
    texts = [str(each) for each in given] if isinstance(given, list) else [str(given)]
    data = [
        {"index": number, "object": "embedding", "embedding": _vector(text)}
        for number, text in enumerate(texts)
    ]
    tokens = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {
        "id": f"embd-{uuid.uuid4().hex}",
        "object": "list",
        "created": int(time.time()),
        "model": check_model(asked, model),
        "data": data,
        "usage": usage | {"completion_tokens": 0, "prompt_tokens_details": None},
    }


def transcription(model: Model) -> Document:
    """Answer ``/v1/audio/transcriptions``."""
    text = " ".join(model.words[:4])
    return {"text": text, "usage": {"type": "duration", "seconds": 1}}


def metrics(model: Model, served: int) -> str:
    """Answer ``/metrics`` with what carferry and dashboards read of it."""
    name = f'engine="0",model_name="{model.name}"'
    lines = {
        "vllm:num_requests_running": 0.0,
        "vllm:num_requests_waiting": 0.0,
        "vllm:kv_cache_usage_perc": 0.0,
        "vllm:request_success_total": float(served),
    }
    kinds = {key: "counter" if key.endswith("_total") else "gauge" for key in lines}
    return "".join(
        f"# TYPE {key} {kinds[key]}\n{key}{{{name}}} {value}\n" for key, value in lines.items()
    )


def _prompt(asked: Document, *, chat: bool) -> str:
    if not chat:
        given = asked.get("prompt", "")
        return " ".join(map(str, given)) if isinstance(given, list) else str(given)
    return " ".join(str(each.get("content", "")) for each in asked.get("messages", []))


def _about(request: Request) -> Document:
    kind, start = ("chat.completion", "chatcmpl") if request.chat else ("text_completion", "cmpl")
    about = {"id": f"{start}-{uuid.uuid4().hex}", "object": kind}
    return about | {"created": int(time.time()), "model": request.model}


def _piece(request: Request, delta: Document, finish: str | None = None) -> Document:
    held = {"delta": delta} if request.chat else {"text": delta.get("content", "")}
    return {"index": 0, **held, "logprobs": None, "finish_reason": finish}


def _event(document: Document) -> str:
    return f"data: {json.dumps(document)}\n\n"


def _vector(text: str) -> list[float]:
    return [(sum(text.encode()[at::_DIMENSIONS]) % 97) / 97 for at in range(_DIMENSIONS)]
