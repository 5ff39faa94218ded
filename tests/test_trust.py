"""Whose word is believed, by whom, and what it costs not to believe it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
from ferrying import access, carferry, ferry, from_folder, manifest, model_files, to_registry
from poison import claim
from servers.chaos import Answer, ResetDownload, Rule
from servers.models import filled, tiny, write
from servers.proxy import Proxy
from servers.registry import Registry

from carferry import BuildSettings, InputError
from carferry.assembly.build import build, seal_shares, stream_share
from carferry.assembly.options import Options
from carferry.assembly.plan import How, Plan
from carferry.assembly.planning import plan_build
from carferry.assembly.results import BuildResult
from carferry.assembly.shards import plan_prefix
from carferry.assembly.trust import MAC, Reuse, is_signed, signed
from carferry.image.ids import pack_ids, unpack_ids
from carferry.image.layers import Format
from carferry.io.show.progress import Silent
from carferry.oci.documents import MANIFEST, Document, canonical
from carferry.refs import ImageRef
from carferry.registry.target import Target
from carferry.source.snapshot import ContentId

LARGE_BYTES = 4096
FILES = {
    "config.json": b"{}",
    "generation_config.json": b'{"temperature": 0.6}',
    **{f"model-{n}.safetensors": filled(50_000 + n, n) for n in range(5)},
}
RUN = "6a1f0c7de92b4853"
OTHER = "0000000000000000"


@dataclass
class Yard:
    """A model and a registry.

    Attributes:
        registry: The real thing.
        folder: The model.
        host: Where the registry is spoken to.
    """

    registry: Registry
    folder: Path
    host: str

    def target(self, tag: str = "v1", repository: str = "org/tiny") -> Target:
        return to_registry(self.registry, repository, tag, host=self.host)

    def options(self, **changes: object) -> Options:
        given = {"base": "scratch", "large_bytes": LARGE_BYTES} | changes
        return Options(**given)  # type: ignore[arg-type]

    def plan(self, **changes: object) -> Plan:
        return plan_build(
            from_folder(self.folder), self.target(), self.options(**changes), access(self.host)
        )

    def build(self, tag: str = "v1", repository: str = "org/tiny", **more: object) -> BuildResult:
        source, target = from_folder(self.folder), self.target(tag, repository)
        return build(source, target, self.options(**more), access=access(self.host))

    def stream(self, workers: int, **changes: object) -> None:
        for worker in range(1, workers + 1):
            stream_share(
                from_folder(self.folder), self.target(), self.options(**changes), worker, workers,
                access=access(self.host),
            )  # fmt: skip

    def seal(self, **changes: object) -> BuildResult:
        source, target = from_folder(self.folder), self.target()
        return seal_shares(source, target, self.options(**changes), access=access(self.host))

    def read_back(self, result: BuildResult) -> set[str]:
        """Return names of the layers whose bytes the registry has sent."""
        read = " ".join(e.path for e in self.registry.log if e.method == "GET")
        return {each.layer.name for each in result.results if str(each.descriptor.digest) in read}


@pytest.fixture
def yard(registry: Registry, tmp_path: Path) -> Yard:
    """A registry and a tiny model."""
    return Yard(registry, write(FILES, tmp_path / "model"), registry.host)


def hows(plan: Plan) -> set[How]:
    """Return what becomes of a plan's layers."""
    return {each.how for each in plan.layers}


@pytest.mark.parametrize(
    ("claimed", "reuse", "believed"),
    [
        ("v1", Reuse.NONE, False),
        ("v1", Reuse.TAG, True),
        ("v1", Reuse.REPOSITORY, True),
        ("older", Reuse.NONE, False),
        ("older", Reuse.TAG, False),
        ("older", Reuse.REPOSITORY, True),
        ("shard", Reuse.NONE, False),
        ("shard", Reuse.TAG, False),
        ("shard", Reuse.REPOSITORY, True),
    ],
)
def test_a_claim_is_believed_only_where_the_caller_says_so(
    yard: Yard, claimed: str, reuse: Reuse, believed: bool
) -> None:
    plan = yard.plan()
    tag = f"{plan_prefix(plan)}7of9" if claimed == "shard" else claimed
    evil = claim(yard.target(), [each.layer for each in plan.layers], tag)
    assert hows(yard.plan(reuse=reuse)) == {How.REUSE if believed else How.CHECK}
    done = yard.build(reuse=reuse)
    assert ({each.descriptor.digest for each in done.results} == {*evil}) is believed


@pytest.mark.parametrize(
    ("named", "reuse", "how"),
    [
        ("v1", Reuse.NONE, How.CHECK),
        ("v1", Reuse.TAG, How.CHECK),
        ("v1", Reuse.REPOSITORY, How.MOUNT),
        ("other", Reuse.REPOSITORY, How.CHECK),
    ],
)
def test_of_a_neighbour_only_the_image_that_was_named_is_believed(
    yard: Yard, named: str, reuse: Reuse, how: How
) -> None:
    yard.build("v1", "org/neighbour")
    origin = ImageRef(yard.host, "org/neighbour", named)
    assert hows(yard.plan(reuse=reuse, mount_from=(origin,))) == {how}


def test_a_neighbour_that_was_named_by_digest_is_asked_for_that_image(yard: Yard) -> None:
    first = yard.build("v1", "org/neighbour").document
    claim(yard.target("v1", "org/neighbour"), [each.layer for each in yard.plan().layers], "v1")
    origin = ImageRef(yard.host, "org/neighbour", None, first.digest)
    done = yard.build(reuse=Reuse.REPOSITORY, mount_from=(origin,))
    assert {each.how for each in done.results} == {How.MOUNT}
    assert done.document == first


def test_nothing_moves_for_what_proves_to_be_there_and_the_plan_says_what_is_read(
    yard: Yard,
) -> None:
    first = yard.build()
    plan = yard.plan()
    assert (plan.bytes_to_move, plan.bytes_to_check) == (0, plan.size_bytes)
    second = yard.build()
    assert second.document == first.document
    assert (second.moved_bytes, second.checked_bytes) == (0, plan.size_bytes)
    assert yard.read_back(second) == {each.layer.name for each in second.results}


@pytest.mark.parametrize("format", list(Format))
def test_what_a_files_own_digest_proves_is_not_read(yard: Yard, format: Format) -> None:
    yard.build(format=format)
    checked = {each.layer for each in yard.plan(format=format).layers if each.how is How.CHECK}
    assert all(layer.known_digest is None for layer in checked)


def test_a_sealer_reads_nothing_of_what_its_own_workers_moved(yard: Yard) -> None:
    yard.stream(4, run=RUN)
    sealed = yard.seal(run=RUN)
    assert {each.how for each in sealed.results} == {How.REUSE}
    assert yard.read_back(sealed) == set()
    assert list(yard.registry.tags("org/tiny")) == ["v1"]


@pytest.mark.parametrize("run", ["", OTHER])
def test_shards_of_another_run_are_read_back_and_not_moved_again(yard: Yard, run: str) -> None:
    yard.stream(2, run=RUN)
    sealed = yard.seal(run=run)
    assert (sealed.moved_bytes, sealed.checked_bytes) == (0, sum(map(size, sealed.results)))


def size(result: object) -> int:
    """Return a layer's length."""
    return int(result.layer.size_bytes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("secret", ["", OTHER])
def test_a_shard_that_the_runs_secret_did_not_sign_is_not_believed(yard: Yard, secret: str) -> None:
    """Not even beside those that it did sign: his tag comes first."""
    plan = yard.plan()
    layers, tag = [each.layer for each in plan.layers], f"{plan_prefix(plan)}0of9"
    evil = claim(yard.target(), layers, tag)
    if secret:
        forged = signed(manifest(yard.target(), tag).json, secret)
        yard.target().put_manifest(Document(MANIFEST, canonical(forged)), tag)
    yard.stream(2, run=RUN)
    sealed = yard.seal(run=RUN)
    assert not {each.descriptor.digest for each in sealed.results} & {*evil}
    assert yard.read_back(sealed) == set()


def test_a_signed_shard_counts_under_its_own_name_only(yard: Yard) -> None:
    """Who copies one to another plan's name gains nothing: it is that plan's to sign."""
    yard.stream(1, run=RUN)
    (tag,) = yard.target().tags(plan_prefix(yard.plan()))
    shard = manifest(yard.target(), tag)
    yard.target().put_manifest(shard, tag.replace("1of1", "2of2"))
    yard.target().delete_manifest(tag)
    assert hows(yard.plan(run=RUN)) <= {How.CHECK, How.MOVE}


def test_the_registry_never_gets_to_know_the_secret(yard: Yard) -> None:
    yard.stream(2, run=RUN)
    shards = [manifest(yard.target(), tag) for tag in yard.target().tags()]
    assert all(is_signed(shard, RUN) and not is_signed(shard, OTHER) for shard in shards)
    assert all(len(shard.annotations[MAC]) == 64 for shard in shards)
    assert not any(RUN.encode() in file.read_bytes() for file in yard.registry.blobs().values())
    assert RUN not in repr(BuildSettings(run=RUN)) + repr(yard.options(run=RUN))


def test_any_change_of_a_signed_shard_is_seen(yard: Yard) -> None:
    yard.stream(1, run=RUN)
    (tag,) = yard.target().tags()
    shard = manifest(yard.target(), tag).json
    shard["layers"][0]["digest"] = shard["layers"][1]["digest"]
    assert not is_signed(Document(MANIFEST, canonical(shard)), RUN)


def test_a_secret_that_could_be_guessed_is_refused_and_not_repeated(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    seen = carferry(
        capsys, "stream", yard.folder, f"docker://{yard.host}/org/tiny:v1", "--worker", "1/1",
        "--base", "scratch", "--plain-http", yard.host, "--run", "hunter2",
    )  # fmt: skip
    assert seen.code == 2
    assert "7 characters and could be guessed; write 16 or more" in seen.err
    assert "hunter2" not in seen.err


def test_an_unknown_way_to_reuse_is_refused() -> None:
    with pytest.raises(InputError, match="use reuse 'always': choose none, tag, repository"):
        BuildSettings(reuse="always").options()


def test_plan_and_build_say_what_is_read_back(
    yard: Yard, capsys: pytest.CaptureFixture[str]
) -> None:
    image = f"docker://{yard.host}/org/tiny:v1"
    how = ["--base", "scratch", "--plain-http", yard.host]
    first = carferry(capsys, "build", yard.folder, image, *how)
    assert "read back" not in first.out
    shown = carferry(capsys, "plan", yard.folder, image, *how).out
    assert "\ncheck " in shown
    assert "0 B of" in shown and "--reuse tag believes the image's own tag" in shown
    believed = carferry(capsys, "plan", yard.folder, image, *how, "--reuse", "tag").out
    assert "check" not in believed and "read back" not in believed
    again = carferry(capsys, "build", yard.folder, image, *how).out
    assert "moved   nothing, " in again and "read back)" in again
    told = json.loads(carferry(capsys, "build", yard.folder, image, *how, "--json").out)
    assert told["checked_bytes"] == told["reused_bytes"] > told["moved_bytes"] == 0


def test_reading_back_goes_on_where_the_connection_broke(yard: Yard) -> None:
    (yard.folder / "model-5.safetensors").write_bytes(filled(4 << 20, 5))
    first = yard.build()
    reset = Rule(ResetDownload(3 << 20), method="GET", path="/blobs/", times=None)
    with Proxy(yard.registry.url, [reset]) as proxy:
        yard.host = proxy.host
        again = yard.build()
    assert (again.document, again.moved_bytes) == (first.document, 0)
    partly = [e for e in yard.registry.log if e.method == "GET" and e.status == 206]
    assert partly


def test_what_cannot_be_read_back_moves_again_and_a_note_says_why(yard: Yard) -> None:
    class Heard(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    first, heard = yard.build(), Heard()
    denied = Rule(Answer(403, {}, b"not from here"), method="GET", path="/blobs/", times=None)
    with Proxy(yard.registry.url, [denied]) as proxy:
        yard.host = proxy.host
        again = build(
            from_folder(yard.folder), yard.target(), yard.options(), access=access(proxy.host),
            progress=heard,
        )  # fmt: skip
    assert (again.document, again.moved_bytes) == (first.document, sum(map(size, again.results)))
    assert all("cannot be read back" in note for note in heard.notes) and heard.notes


def test_a_sealer_names_the_layer_that_is_not_what_was_said(yard: Yard) -> None:
    """And seals nothing, for it has no source's bytes of its own to put in."""
    claim(yard.target(), [each.layer for each in yard.plan().layers], "older")
    with pytest.raises(Exception, match=r"layers have not arrived, first model-0\.safetensors"):
        yard.seal()
    assert "v1" not in yard.registry.tags("org/tiny")


@pytest.mark.parametrize("place", ["the first header", "the last byte"])
def test_a_layer_that_is_damaged_where_it_lies_is_moved_again(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(tiny(), tmp_path / "model")
    words = ["build", folder, f"oci:{tmp_path / 'out'}:1", "--base", "scratch"]
    assert carferry(capsys, *words).code == 0
    blobs = (tmp_path / "out/blobs/sha256").iterdir()
    (blob,) = [path for path in blobs if not path.read_bytes().startswith(b"{")]
    whole = blob.read_bytes()
    at = 100 if place == "the first header" else -1
    blob.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 or len(whole) :])
    assert carferry(capsys, *words).code == 0
    assert blob.read_bytes() == whole


def test_ids_of_many_files_are_one_short_text() -> None:
    git = [ContentId("git", f"{n:040x}") for n in range(5000)]
    lfs = [ContentId("sha256", f"{n:064x}") for n in range(10)]
    text = pack_ids([*git, *lfs])
    assert unpack_ids(text) == (*git, *lfs)
    assert len(text) < 150_000


@pytest.mark.parametrize("text", ["x", "!!!!", "FA==", "BQAAAAAA", "é"])
def test_a_text_that_holds_no_ids_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="read file ids"):
        unpack_ids(text)


@pytest.mark.parametrize(("files", "format"), [(96_000, "modelcar"), (9_000, "modelpack")])
def test_a_manifest_that_registries_refuse_is_refused_before_a_byte_moves(
    tmp_path: Path, files: int, format: str
) -> None:
    from ferrying import to_layout

    from carferry.assembly.foresee import check_seal
    from carferry.assembly.plan import make_plan
    from carferry.image.base import Base
    from carferry.image.layers import arrange
    from carferry.oci.documents import Platform
    from carferry.refs import LayoutRef
    from carferry.source.snapshot import Snapshot, SourceFile

    every = tuple(
        SourceFile(f"files/{n:06}.json", 10, ContentId("sha256", f"{n:064x}")) for n in range(files)
    )
    kind, ref = Format(format), LayoutRef(tmp_path)
    for count, fits in ((files, False), (5000, True)):
        some = every[:count]
        layers = arrange(some, base_layers=0, format=kind)
        snapshot = Snapshot("org/many", "0" * 40, some)
        plan = make_plan(snapshot, [Base("", None, Platform())], layers, {}, ref, kind)
        if fits:
            check_seal(plan, "stream", to_layout(tmp_path))
            continue
        with pytest.raises(
            InputError, match=f"manifest would be .* for {files} files, registries take 4; leave"
        ):
            check_seal(plan, "stream", to_layout(tmp_path))


def test_a_bundle_of_thousands_of_files_is_built_and_found_again(tmp_path: Path) -> None:
    from ferrying import to_layout

    files = {f"parts/{n:04}.json": b"%d" % n for n in range(5000)}
    folder = write(files | {"model.safetensors": filled(9000)}, tmp_path / "model")
    first = ferry(from_folder(folder), to_layout(tmp_path / "layout"))
    assert len(first.document.data) < 300_000
    again = ferry(from_folder(folder), to_layout(tmp_path / "layout"))
    assert (again.document, again.moved_bytes) == (first.document, 0)
    assert len(model_files(to_layout(tmp_path / "layout"))) == 5001
