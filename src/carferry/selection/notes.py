"""What a server must be told about the files it gets, in words and as vLLM's arguments."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from carferry.selection.needs import Needs
from carferry.weights.layout import ADAPTER_CONFIG, Layout

TRUST = "--trust-remote-code"
_TOKENIZER = "--tokenizer-mode=mistral"
_MISTRAL = (_TOKENIZER, "--config-format=mistral", "--load-format=mistral")
_HF_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json")
_FEW = 3


def arguments_of(chosen: Collection[str], layout: Layout) -> tuple[str, ...]:
    """Return what vLLM must be told to load these files.

    Source: docs.vllm.ai, Mistral models: three formats that are not Hugging Face's.
    """
    if layout.mistral:
        return _MISTRAL
    only_tekken = "tekken.json" in chosen and not any(n in chosen for n in _HF_TOKENIZERS)
    return (_TOKENIZER,) if only_tekken else ()


def notes_of(chosen: Collection[str], needs: Needs, arguments: Collection[str]) -> Iterator[str]:
    """Yield what a person should know, a line each."""
    code = needs.code
    if code.is_any:
        named = some([*sorted(code.files), *code.missing, *code.elsewhere])
        yield f"the server needs {TRUST}: the model brings code ({named})"
    if code.elsewhere:
        yield (
            f"code lies in another repository ({some(code.elsewhere)}): a server without network "
            "cannot load it"
        )
    if lacking := sorted({*code.missing, *(code.files - set(chosen))}):
        yield f"configs name code that is not in the image: {some(lacking)}"
    if arguments:
        yield f"Mistral's own format: the server needs {' '.join(arguments)}"
    adapters = [path for path in chosen if path.rpartition("/")[2] == ADAPTER_CONFIG]
    if folders := sorted(path.rpartition("/")[0] or "the root" for path in adapters):
        yield f"LoRA adapters beside the model, for --lora-modules: {some(folders)}"


def some(names: Collection[str]) -> str:
    """Return the first names, and how many more there are."""
    first = list(names)[:_FEW]
    more = len(names) - len(first)
    return ", ".join(first) + (f" and {more} more" if more else "")
