"""Where in a model's files the model lies: servers load what lies at the root.

Source: vLLM ``model_loader/default_loader.py`` and transformers ``modeling_utils`` look for weights
in the model's own folder and not below it; only an index there can name files in folders.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from carferry.selection.kinds import is_weights
from carferry.selection.needs import Needs
from carferry.weights.layout import CONFIG, PARAMS


def right_folder(files: Collection[str]) -> str:
    """Return the nearest folder that holds a config and weights; empty if none does."""
    folders = {
        path.rpartition("/")[0] for path in files if path.endswith((f"/{CONFIG}", f"/{PARAMS}"))
    }
    weighted = {path.rpartition("/")[0] for path in files if is_weights(path)}
    if not folders & weighted:
        return ""
    least = min(folder.count("/") for folder in folders & weighted)
    near = [folder for folder in folders & weighted if folder.count("/") == least]
    # The last of a trainer's checkpoints, by number; the first of others, by name.
    return max(sorted(near, reverse=True), key=_number)


def are_out_of_reach(weights: Collection[str], needs: Needs) -> bool:
    """Return whether all weights lie in folders where no server looks.

    Safetensors that an index at the root names are loaded, and so are the modules of a sentence
    encoder. Other formats enter only if a user names them, for a server that is told where.
    """
    modules = tuple(f"{module.folder}/" for module in needs.modules if module.folder)
    return bool(weights) and all(
        "/" in path
        and path.endswith(".safetensors")
        and path not in needs.layout.files
        and not path.startswith(modules)
        for path in weights
    )


def is_beside(path: str, others: Collection[str]) -> bool:
    """Return whether a file lies in the folder of one of the others."""
    return path.rpartition("/")[0] in {other.rpartition("/")[0] for other in others}


def _number(folder: str) -> int:
    found = re.search(r"-(\d{1,18})$", folder)
    return int(found[1]) if found else 0
