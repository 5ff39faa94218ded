"""What a folder itself says about where its files came from, and what their bytes should be.

Three tools leave such words: carferry's own download, Hugging Face's cache, and
``hf download --local-dir``. All are claims: whoever reads the files proves them by hashing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from carferry.errors import SourceChanged, SourceNotFound
from carferry.source.hfcache import Cached, cached, content_id
from carferry.source.snapshot import ContentId, Snapshot, SourceFile

RECORD = ".carferry/snapshot.json"
_LOCAL_DIR = ".cache/huggingface/download"
_CARD_CAP = 1024 * 1024
_NOTHING = Snapshot("", "", ())


@dataclass(frozen=True, slots=True)
class Origin:
    """What a folder claims.

    Attributes:
        snapshot: Repository, commit, licence and endpoint; empty if it does not say.
        claim: Returns the id a file of this length should have; None if nothing says.
        cache: The snapshot of a Hugging Face cache that the folder is or lies in.
    """

    snapshot: Snapshot
    claim: Callable[[str, int], ContentId | None]
    cache: Cached | None = None

    def reaches(self, target: Path) -> bool:
        """Return whether a link out of the folder may lead there: to a blob of its own cache."""
        return self.cache is not None and target.parent == self.cache.blobs

    def remedy(self, place: Path) -> str:
        """Return what to do about a file that cannot be read."""
        if self.cache is None or not place.is_symlink():
            return "check its permissions"
        return f"its blob is not in the cache: run {self.cache.fetch} again"

    def prove(self, file: SourceFile) -> bool:
        """Return whether a hashed file is what is claimed.

        Raises:
            SourceChanged: A blob of a cache, which nobody edits, is not what its name says.
        """
        claimed = self.claim(file.path, file.size_bytes)
        if claimed == file.content or claimed is None or self.cache is None:
            return claimed == file.content
        raise SourceChanged(
            "read",
            self.cache.folder / file.path,
            f"its bytes are not {claimed}, which the cache names them by",
            f"remove {self.cache.blobs / claimed.hex} and run {self.cache.fetch} again",
        )


def origin_of(folder: Path) -> Origin:
    """Return what is known about a folder's files.

    Raises:
        SourceNotFound: A download that has not finished.
    """
    try:
        record = Snapshot.from_json((folder / RECORD).read_text())
        return Origin(record, partial(_recorded, {file.path: file for file in record.files}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    if found := cached(folder):
        return _of_cache(found, folder.resolve())
    _check_download(folder)
    return Origin(_NOTHING, partial(_downloaded, folder / _LOCAL_DIR))


def _recorded(known: dict[str, SourceFile], path: str, size_bytes: int) -> ContentId | None:
    file = known.get(path)
    return file.content if file and file.size_bytes == size_bytes else None


def _downloaded(metadata: Path, path: str, size_bytes: int) -> ContentId | None:
    """Return the ETag that ``hf download --local-dir`` notes; the repository it does not."""
    return content_id(_noted(metadata / f"{path}.metadata"))


def _noted(metadata: Path) -> str:
    """Return the ETag in a file of commit, ETag and time; empty if it is another."""
    try:
        return metadata.read_text("utf-8").split("\n")[1].strip()
    except (OSError, ValueError, IndexError):
        return ""


def _check_download(folder: Path) -> None:
    """Refuse a folder that ``hf download --local-dir`` has not filled to the end.

    Source: huggingface_hub ``_local_folder.py``: part files are ``HASH.ETAG[.ID].incomplete``.
    """
    place = folder / _LOCAL_DIR
    for part in sorted(place.rglob("*.incomplete")):
        etag = part.name.split(".")[1]
        if not any(_noted(path) == etag for path in part.parent.glob("*.metadata")):
            raise SourceNotFound(
                "read",
                folder,
                f"its download has not finished: {part.relative_to(folder)}",
                "run the same hf download again; or remove that file if it is not wanted",
            )


def _of_cache(found: Cached, folder: Path) -> Origin:
    found.check()
    inner = folder.relative_to(found.folder)
    snapshot = _NOTHING
    if folder == found.folder:
        snapshot = Snapshot(found.repo, found.commit, (), _licence(folder / "README.md"))
    return Origin(snapshot, lambda path, _: found.claim((inner / path).as_posix()), found)


def _licence(card: Path) -> str:
    """Return the licence that a model card names between its first two lines of dashes.

    Source: the hub's model cards (docs/hub/model-cards.md); the hub answers the same value.
    """
    try:
        text = card.read_bytes()[:_CARD_CAP].decode("utf-8", "replace").lstrip("\ufeff")
    except OSError:
        return ""
    import yaml  # 20 ms, which a folder without a card need not pay

    try:
        head = text.split("\n---", 1)[0].removeprefix("---") if text.startswith("---") else ""
        named = yaml.safe_load(head)["license"]
    except (yaml.YAMLError, KeyError, TypeError, ValueError, RecursionError):
        return ""
    return named if isinstance(named, str) else ""
