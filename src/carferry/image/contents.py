"""What an image's layers hold together, as far as a look at them may cost."""

from __future__ import annotations

from collections.abc import Sequence

from carferry.image.contract import TOOL_PATHS, Contents, Entry
from carferry.image.entries import in_model, read_entries
from carferry.image.links import Links
from carferry.image.unpack import Budget, DamagedLayer, NotLookedAt
from carferry.image.whiteouts import Laid, Overlay
from carferry.oci.documents import Descriptor
from carferry.registry.blobs import OtherBytes
from carferry.registry.target import Target

# Container engines stop at about 125; more are not worth a request each.
_MOST_LAYERS = 500


def look(
    target: Target, layers: Sequence[Descriptor], diff_ids: Sequence[str], budget: Budget
) -> Contents:
    """Look into layers, bottom first.

    Args:
        target: Where they are.
        layers: As the manifest lists them.
        diff_ids: As the config lists them; may be too few.
        budget: What it may cost.

    Raises:
        TargetError: The registry failed.
    """
    overlay, links = Overlay[Entry](), Links()
    unread, damaged, wrong = list[str](), "", ""
    for number, layer in enumerate(layers):
        try:
            if number >= _MOST_LAYERS:
                raise NotLookedAt("read layer", layer.digest, f"beyond {_MOST_LAYERS} layers")
            entries, diff_id = read_entries(target, layer, budget, links)
        except (NotLookedAt, DamagedLayer, OtherBytes) as error:
            unread.append(f"layer {layer.digest.hex[:12]} was not looked at: {error.reason}")
            overlay.hide()
            if not isinstance(error, NotLookedAt):
                damaged = damaged or f"layer {layer.digest} is damaged: {error.reason}"
            continue
        overlay.add(laid(entries))
        said = diff_ids[number] if number < len(diff_ids) else diff_id
        if said != diff_id and not wrong:
            wrong = f"the config has {said} for layer {layer.digest}, whose content is {diff_id}"
    paths = sorted(filter(in_model, overlay.seen), key=_in_bytes)
    models = tuple(overlay.seen[path] for path in paths)
    tools = TOOL_PATHS & overlay.seen.keys()
    return Contents(models, tools, overlay.covered, tuple(unread), wrong, damaged)


def laid(layer: Sequence[Entry]) -> list[Laid[Entry]]:
    """Return a layer's entries as they are put over others."""
    return [Laid(entry.path, entry, entry.kind == "directory") for entry in layer]


def _in_bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")
