"""What a model can be asked, by its task: the request, and what a good answer holds.

Sources: vLLM, entrypoints/openai (chat/completions, completions, embeddings,
audio/transcriptions) and entrypoints/pooling (score); OpenAI's API reference.
"""

from __future__ import annotations

import io
import math
import struct
import wave
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from carferry.endpoint.asking import encoded

_QUESTION = "In one short sentence: what is a ferry?"
_WORDS = "The ferry leaves at noon."
_RATE_HZ = 16_000
_BOUNDARY = "carferry-4f9c1d"
_TEXTS = ("content", "reasoning_content", "reasoning", "text")


class Misread(ValueError):
    """An answer without what its task promises."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request's body.

    Attributes:
        body: The bytes.
        content_type: Of the body.
    """

    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class Task:
    """One way in which models are asked.

    Attributes:
        name: ``chat``, ``completion``, ``embedding``, ``transcription`` or ``score``.
        path: Of the API.
        ask: Makes the request of a model's name, a prompt and the most tokens to answer.
        read: Returns what was answered in a few words; raises Misread.
        streams: Whether the answer comes token by token.
    """

    name: str
    path: str
    ask: Callable[[str, str, int], Request]
    read: Callable[[Mapping[str, Any]], str]
    streams: bool = False


def of_name(name: str) -> Task:
    """Return a task by its name."""
    return next(task for task in TASKS if task.name == name)


def streamed(task: Task, model: str, prompt: str, tokens: int, *, fixed: bool) -> Request:
    """Return the request that is answered token by token, with a count of them at its end.

    Args:
        task: One that streams.
        model: Name of the model.
        prompt: What to go on from.
        tokens: Most to answer.
        fixed: Also not fewer: vLLM's own wish, which other servers refuse.
    """
    more = {"stream": True, "stream_options": {"include_usage": True}}
    more |= {"ignore_eos": True} if fixed else {}
    return Request(encoded({**_asked(task.name, model, prompt, tokens), **more}))


def piece(event: Mapping[str, Any]) -> str:
    """Return the text that one event of a stream brings; empty for none."""
    choices = event.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else {}
    if not isinstance(first, dict):
        return ""
    part = first.get("delta") or first
    texts = (part.get(key) for key in _TEXTS) if isinstance(part, dict) else ()
    return "".join(text for text in texts if isinstance(text, str))


def answered_tokens(answer: Mapping[str, Any]) -> int:
    """Return the tokens that an answer, or an event, counts; 0 if it does not say."""
    usage = answer.get("usage")
    count = usage.get("completion_tokens") if isinstance(usage, dict) else 0
    return count if isinstance(count, int) and not isinstance(count, bool) else 0


def _asked(name: str, model: str, prompt: str, tokens: int) -> dict[str, Any]:
    words = {"messages": [{"role": "user", "content": prompt}]} if name == "chat" else {}
    return {
        "model": model,
        "max_tokens": tokens,
        "temperature": 0,
        **(words or {"prompt": prompt}),
    }


def _ask_chat(model: str, prompt: str, tokens: int) -> Request:
    return Request(encoded(_asked("chat", model, prompt or _QUESTION, tokens)))


def _ask_completion(model: str, prompt: str, tokens: int) -> Request:
    return Request(encoded(_asked("completion", model, prompt or _QUESTION, tokens)))


def _ask_embedding(model: str, prompt: str, tokens: int) -> Request:
    return Request(encoded({"model": model, "input": [prompt or _WORDS]}))


def _ask_score(model: str, prompt: str, tokens: int) -> Request:
    texts = {"text_1": _QUESTION, "text_2": prompt or _WORDS}
    return Request(encoded({"model": model, **texts}))


def _ask_transcription(model: str, prompt: str, tokens: int) -> Request:
    texts = (("model", model), ("response_format", "json"), ("temperature", "0"))
    fields = "".join(f"{_part(name)}\r\n\r\n{value}\r\n" for name, value in texts)
    file = f'{_part("file")}; filename="beep.wav"\r\nContent-Type: audio/wav\r\n\r\n'
    body = f"{fields}{file}".encode() + beep() + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return Request(body, f"multipart/form-data; boundary={_BOUNDARY}")


def _part(name: str) -> str:
    return f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'


def beep(seconds: float = 1.0, hertz: int = 440) -> bytes:
    """Return a tone as a WAV file: 16 kHz, one channel, 16 bits."""
    count = int(seconds * _RATE_HZ)
    waves = (int(9000 * math.sin(2 * math.pi * hertz * n / _RATE_HZ)) for n in range(count))
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE_HZ)
        file.writeframes(struct.pack(f"<{count}h", *waves))
    return held.getvalue()


def _read_text(answer: Mapping[str, Any]) -> str:
    choice = _first(answer, "choices")
    part = choice.get("message") or choice
    texts = [part.get(key) for key in _TEXTS] if isinstance(part, dict) else []
    said = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    if said is None and not answered_tokens(answer):
        raise Misread("no text and no token in its first choice")
    return repr(" ".join((said or "").split())[:80])


def _read_embedding(answer: Mapping[str, Any]) -> str:
    numbers = _first(answer, "data").get("embedding")
    if not isinstance(numbers, list) or not numbers or not all(map(_is_number, numbers)):
        raise Misread("no list of numbers as its first embedding")
    return f"{len(numbers)} numbers"


def _read_score(answer: Mapping[str, Any]) -> str:
    score = _first(answer, "data").get("score")
    if not _is_number(score):
        raise Misread("no number as its first score")
    return f"score {score:.3g}"


def _read_transcription(answer: Mapping[str, Any]) -> str:
    text = answer.get("text")
    if not isinstance(text, str):
        raise Misread("no text")
    return f"{len(text)} characters of a tone"


def _first(answer: Mapping[str, Any], name: str) -> dict[str, Any]:
    items = answer.get(name)
    if not isinstance(items, list) or not items or not isinstance(items[0], dict):
        raise Misread(f"no {name}")
    return items[0]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


TASKS = (
    Task("chat", "/v1/chat/completions", _ask_chat, _read_text, streams=True),
    Task("completion", "/v1/completions", _ask_completion, _read_text, streams=True),
    Task("embedding", "/v1/embeddings", _ask_embedding, _read_embedding),
    Task("transcription", "/v1/audio/transcriptions", _ask_transcription, _read_transcription),
    Task("score", "/v1/score", _ask_score, _read_score),
)
"""In the order in which a server is asked that does not say what its model is for."""
NAMES = tuple(task.name for task in TASKS)
