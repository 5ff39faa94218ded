"""Kinds of files by their names: what every server reads, and what no server should.

Names are compared in lower case: a licence may be LICENSE, License.txt or license.md.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

# Configuration, tokenizers, chat templates, cards and licences, however they are named.
TEXTS = (
    "*.json", "*.txt", "*.jinja", "*.jinja2", "chat_template*", "*.model", "tokenizer.model*",
    "*.tiktoken", "*.spm", "*.vocab", "*.codes", "*.bpe", "tekken*", "vocab*", "merges*",
    "readme*", "*licen[cs]e*", "*copying*", "*notice*", "*use_policy*", "*usage_policy*",
    "*use-policy*", "*usage-policy*", "*eula*", "copyright*", "terms*",
)  # fmt: skip
# What such names may not end in: a picture of a licence is none, and code is named by configs.
_NO_TEXTS = (
    "*.py", "*.pyc", "*.ipynb", "*.sh", "*.html", "*.css", "*.js", "*.png", "*.jpg", "*.jpeg",
    "*.gif", "*.svg", "*.webp",
)  # fmt: skip
# Second copies of the weights, for other programs; with them goes all that lies beside them.
COPIES = ("original/*", "metal/*")
# Folders for other runtimes: files in them are taken when asked for, not by default.
OTHER_RUNTIMES = ("onnx/*", "openvino/*", "coreml/*", "gguf/*", "*.mlpackage/*")
PICKLE = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")
# They change another model's weights, and are none.
ADAPTERS = ("adapter_model*",)
OTHER_WEIGHTS = (
    "*.gguf", "*.onnx", "*.onnx_data*", "*.xml", "*.h5", "*.keras", "*.msgpack", "*.tflite",
    "*.pb", "*.nemo", "*.ot", "*.npz", "*.plan", "*.engine", "*.joblib", "*.ubj", "*.pmml",
    "*.cbm", "*.llamafile",
)  # fmt: skip
_WEIGHTS = ("*.safetensors", *PICKLE, *OTHER_WEIGHTS)
_INDEX = re.compile(r".*\.(?:safetensors|bin|h5|msgpack)\.index(?:\.[^/]+)?\.json")


def is_text(path: str) -> bool:
    """Return whether a file is one that servers or people read beside the weights."""
    return matches(path, TEXTS) and not is_code_or_picture(path)


def is_code_or_picture(path: str) -> bool:
    """Return whether a file's ending is one that no text for a server has."""
    return matches(path, _NO_TEXTS)


def is_weights(path: str) -> bool:
    """Return whether a file's ending is one of weights, of whatever format."""
    return matches(path, _WEIGHTS)


def is_index(path: str) -> bool:
    """Return whether a file lists the shards of weights."""
    return _INDEX.fullmatch(path.lower()) is not None


def matches(path: str, globs: tuple[str, ...]) -> bool:
    """Return whether a path, or its last part, matches one of these globs in lower case."""
    lower = path.lower()
    name = lower.rsplit("/", 1)[-1]
    return any(fnmatchcase(lower, glob) or fnmatchcase(name, glob) for glob in globs)
