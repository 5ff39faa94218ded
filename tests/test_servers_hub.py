"""The real huggingface_hub client accepts the test hub."""

from __future__ import annotations

import hashlib
import http.client
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile, RepoFolder
from servers.content import Declared, Synthetic
from servers.hub import VISITOR, Hub, Reply

GRANTED = "hf_" + "granted" * 4
FILES = {
    "README.md": b"# A model\n",
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": b"\x08\0\0\0\0\0\0\0{}      " + b"w" * 5000,
    "1_Pooling/config.json": b"{}",
}


def get(url: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Ask once, without following anything."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request(method, f"{parts.path}?{parts.query}", headers=headers)
    with connection.getresponse() as response:
        answer = response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
    connection.close()
    return answer


def test_model_info_names_commit_licence_and_files(hub: Hub) -> None:
    repo = hub.add("org/tiny", FILES, card={"license": "apache-2.0"})
    info = HfApi(endpoint=hub.endpoint).model_info("org/tiny", files_metadata=True)
    assert info.sha == repo.branches["main"]
    assert info.card_data is not None
    assert info.card_data.license == "apache-2.0"
    assert info.siblings is not None
    assert [(s.rfilename, s.size, s.lfs is not None) for s in info.siblings] == [
        (path, len(FILES[path]), path.endswith(".safetensors")) for path in sorted(FILES)
    ]


def test_tree_lists_files_and_folders_over_many_pages() -> None:
    with Hub(page_size=2) as hub:
        hub.add("org/tiny", FILES)
        entries = list(HfApi(endpoint=hub.endpoint).list_repo_tree("org/tiny", recursive=True))
        pages = [exchange for exchange in hub.log if "/tree/" in exchange.path]
    assert {e.path: e.size for e in entries if isinstance(e, RepoFile)} == {
        path: len(body) for path, body in FILES.items()
    }
    assert [e.path for e in entries if isinstance(e, RepoFolder)] == ["1_Pooling"]
    assert len(pages) == 3


def test_tree_tells_lfs_files_from_git_files(hub: Hub) -> None:
    hub.add("org/tiny", {"hello.txt": b"hello\n", "model.safetensors": b"hello\n"})
    files = {f.path: f for f in HfApi(endpoint=hub.endpoint).list_repo_tree("org/tiny")}
    plain, large = files["hello.txt"], files["model.safetensors"]
    assert isinstance(plain, RepoFile)
    assert isinstance(large, RepoFile)
    assert plain.blob_id == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
    assert plain.lfs is None
    assert large.lfs is not None
    assert large.lfs.sha256 == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert large.lfs.pointer_size == 126


@pytest.mark.parametrize("redirects", [True, False])
def test_snapshot_download_brings_every_byte(tmp_path: Path, redirects: bool) -> None:
    with Hub(redirects=redirects) as hub:
        hub.add("org/tiny", FILES)
        snapshot_download("org/tiny", endpoint=hub.endpoint, local_dir=tmp_path)
    assert {path: (tmp_path / path).read_bytes() for path in FILES} == FILES


def test_download_of_an_lfs_file_goes_to_another_origin_without_credentials(hub: Hub) -> None:
    hub.add("org/tiny", FILES, token=GRANTED)
    path = hf_hub_download("org/tiny", "model.safetensors", endpoint=hub.endpoint, token=GRANTED)
    assert Path(path).read_bytes() == FILES["model.safetensors"]
    assert [exchange.sent for exchange in hub.cdn_log] == [len(FILES["model.safetensors"])]
    assert "authorization" not in hub.cdn_log[0].headers


def test_a_second_download_moves_no_body_bytes(hub: Hub) -> None:
    hub.add("org/tiny", FILES)
    snapshot_download("org/tiny", endpoint=hub.endpoint)
    hub.clear_log()
    snapshot_download("org/tiny", endpoint=hub.endpoint)
    assert hub.body_bytes() == 0


def test_gated_files_need_a_granted_token(hub: Hub) -> None:
    hub.add("org/gated", FILES, gated=True, token=GRANTED)
    api = HfApi(endpoint=hub.endpoint)
    assert api.model_info("org/gated").gated == "manual"
    for token in (False, VISITOR):
        with pytest.raises(GatedRepoError):
            api.hf_hub_download("org/gated", "config.json", token=token)
    assert Path(api.hf_hub_download("org/gated", "config.json", token=GRANTED)).is_file()


def test_gated_errors_carry_the_status_of_the_real_hub(hub: Hub) -> None:
    hub.add("org/gated", FILES, gated=True)
    url = f"{hub.endpoint}/org/gated/resolve/main/config.json"
    anonymous, visitor = get(url), get(url, Authorization=f"Bearer {VISITOR}")
    assert (anonymous[0], anonymous[1]["x-error-code"]) == (401, "GatedRepo")
    assert (visitor[0], visitor[1]["x-error-code"]) == (403, "GatedRepo")


def test_private_and_unknown_repositories_look_the_same(hub: Hub) -> None:
    hub.add("org/private", FILES, private=True, token=GRANTED)
    api = HfApi(endpoint=hub.endpoint)
    for repo_id in ("org/private", "org/unknown"):
        for token, status in ((False, 401), (VISITOR, 404)):
            with pytest.raises(RepositoryNotFoundError) as caught:
                api.model_info(repo_id, token=token)
            assert caught.value.response.status_code == status
    assert api.model_info("org/private", token=GRANTED).private is True


def test_unknown_revision_entry_and_token_have_their_own_errors(hub: Hub) -> None:
    hub.add("org/tiny", FILES)
    api = HfApi(endpoint=hub.endpoint)
    with pytest.raises(RevisionNotFoundError):
        api.model_info("org/tiny", revision="nowhere")
    with pytest.raises(EntryNotFoundError):
        api.hf_hub_download("org/tiny", "nothing.json")
    with pytest.raises(HfHubHTTPError, match="Invalid credentials"):
        api.model_info("org/tiny", token="hf_wrong")


def test_refs_move_and_old_commits_stay_readable(hub: Hub) -> None:
    repo = hub.add("org/tiny", FILES)
    first = repo.branches["main"]
    repo.tags["v1"] = first
    second = repo.change({"config.json": b'{"model_type": "gpt2"}', "README.md": None})
    api = HfApi(endpoint=hub.endpoint)
    assert api.model_info("org/tiny").sha == second
    assert api.model_info("org/tiny", revision="v1").sha == first
    assert "README.md" not in api.list_repo_files("org/tiny")
    assert "README.md" in api.list_repo_files("org/tiny", revision=first)
    assert [ref.target_commit for ref in api.list_repo_refs("org/tiny").branches] == [second]


def test_the_same_content_has_the_same_commit_on_every_hub(hub: Hub) -> None:
    with Hub() as other:
        assert hub.add("a/b", FILES).branches == other.add("a/b", dict(FILES)).branches


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-0", 206, (0, 1)),
        ("bytes=10-", 206, (10, 9000000)),
        ("bytes=-5", 206, (8999995, 9000000)),
        ("bytes=4194300-4194310", 206, (4194300, 4194311)),
        ("bytes=0-99999999", 206, (0, 9000000)),
        ("bytes=1-2,4-5", 200, (0, 9000000)),
    ],
)
def test_ranges_of_a_synthetic_file(
    hub: Hub, asked: str, status: int, span: tuple[int, int]
) -> None:
    model = Synthetic(9_000_000, seed=3)
    whole = b"".join(model.pieces())
    repo = hub.add("org/big", {"model.safetensors": model})
    held = repo.commits[repo.branches["main"]].files["model.safetensors"]
    got, headers, body = get(hub.link(held), Range=asked)
    assert (got, body == whole[slice(*span)]) == (status, True)
    assert headers.get("content-range", f"bytes {span[0]}-{span[1] - 1}/9000000") == (
        f"bytes {span[0]}-{span[1] - 1}/9000000"
    )


def test_a_range_beyond_the_end_is_416(hub: Hub) -> None:
    hub.redirects = False
    hub.add("org/tiny", FILES)
    url = f"{hub.endpoint}/org/tiny/resolve/main/config.json"
    status, headers, _ = get(url, Range="bytes=22-")
    assert (status, headers["content-range"]) == (416, "bytes */22")


def test_head_of_an_lfs_file_carries_its_names(hub: Hub) -> None:
    repo = hub.add("org/tiny", FILES)
    held = repo.commits[repo.branches["main"]].files["model.safetensors"]
    status, headers, body = get(
        f"{hub.endpoint}/org/tiny/resolve/main/model.safetensors", method="HEAD"
    )
    assert (status, body) == (302, b"")
    assert headers["x-linked-etag"] == f'"{held.sha256}"'
    assert headers["x-linked-size"] == str(held.size)
    assert headers["x-repo-commit"] == repo.branches["main"]
    assert urlsplit(headers["location"]).port != urlsplit(hub.endpoint).port


def test_a_small_file_is_redirected_to_the_resolve_cache_of_the_same_host(hub: Hub) -> None:
    repo = hub.add("org/tiny", FILES)
    status, headers, _ = get(f"{hub.endpoint}/org/tiny/resolve/main/config.json")
    assert (status, headers["x-repo-commit"]) == (307, repo.branches["main"])
    assert headers["location"].startswith("/api/resolve-cache/models/org/tiny/")
    assert get(hub.endpoint + headers["location"])[2] == FILES["config.json"]


def test_a_range_of_a_file_that_changed_is_the_whole_file(hub: Hub) -> None:
    hub.redirects = False
    hub.add("org/tiny", FILES)
    url = f"{hub.endpoint}/org/tiny/resolve/main/config.json"
    etag = get(url, "HEAD")[1]["etag"]
    same = get(url, **{"Range": "bytes=1-3", "If-Range": etag})
    other = get(url, **{"Range": "bytes=1-3", "If-Range": '"old"'})
    assert (same[0], same[2]) == (206, FILES["config.json"][1:4])
    assert (other[0], other[2]) == (200, FILES["config.json"])


def test_a_renamed_repository_is_found_under_its_new_name(hub: Hub) -> None:
    hub.add("org/new", FILES)
    hub.renamed["org/old"] = "org/new"
    api = HfApi(endpoint=hub.endpoint)
    assert api.model_info("org/old").id == "org/new"
    assert Path(api.hf_hub_download("org/old", "config.json")).read_bytes() == FILES["config.json"]


def test_a_repository_may_have_a_name_without_an_owner(hub: Hub) -> None:
    hub.add("gpt2", FILES)
    api = HfApi(endpoint=hub.endpoint)
    assert api.list_repo_refs("gpt2").branches[0].target_commit == api.model_info("gpt2").sha
    assert Path(api.hf_hub_download("gpt2", "config.json")).read_bytes() == FILES["config.json"]


def test_access_can_be_asked_before_a_byte_moves(hub: Hub) -> None:
    hub.add("org/gated", FILES, gated=True, token=GRANTED)
    api = HfApi(endpoint=hub.endpoint)
    api.auth_check("org/gated", token=GRANTED)
    with pytest.raises(GatedRepoError):
        api.auth_check("org/gated", token=VISITOR)
    assert api.whoami(token=GRANTED)["name"] == "tester"
    paths = api.get_paths_info("org/gated", ["config.json", "nothing"], token=GRANTED)
    assert [entry.path for entry in paths] == ["config.json"]


def test_many_clients_are_served_at_once(hub: Hub) -> None:
    model = Synthetic(5_000_000, seed=1)
    repo = hub.add("org/big", {"model.safetensors": model})
    held = repo.commits[repo.branches["main"]].files["model.safetensors"]
    with ThreadPoolExecutor(8) as pool:
        bodies = pool.map(lambda _: get(hub.link(held))[2], range(8))
        digests = {hashlib.sha256(body).hexdigest() for body in bodies}
    assert digests == {held.sha256}


def test_cdn_links_expire_and_refuse_credentials(hub: Hub) -> None:
    repo = hub.add("org/tiny", FILES)
    link = hub.link(repo.commits[repo.branches["main"]].files["model.safetensors"])
    assert get(link)[0] == 200
    assert get(link, Authorization="Bearer x")[0] == 400
    hub.expire_links()
    assert get(link)[0] == 403


def test_a_405b_repository_can_be_listed_and_not_downloaded(hub: Hub) -> None:
    shards = {
        f"model-{n:05}-of-00191.safetensors": Declared(4_250_000_000, f"{n:064x}")
        for n in range(1, 192)
    }
    small = {f"original/notes/{n}.txt": b"%d" % n for n in range(2000)}
    hub.add("org/huge", {**shards, **small})
    entries = HfApi(endpoint=hub.endpoint).list_repo_tree("org/huge", recursive=True)
    files = [entry for entry in entries if isinstance(entry, RepoFile)]
    assert len(files) == 2191
    assert sum(f.size for f in files if f.lfs) == 191 * 4_250_000_000
    url = f"{hub.endpoint}/org/huge/resolve/main/model-00001-of-00191.safetensors"
    assert get(get(url)[1]["location"])[0] == 501


def test_a_file_on_disk_is_sent_at_the_rate_asked(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_bytes(b"x" * 40_000)
    with Hub(bytes_per_s=200_000, redirects=False) as hub:
        hub.add("org/slow", {"notes.txt": tmp_path / "notes.txt"})
        started = time.monotonic()
        body = get(f"{hub.endpoint}/org/slow/resolve/main/notes.txt")[2]
        took = time.monotonic() - started
    assert body == b"x" * 40_000
    assert 0.15 < took < 10


def test_a_hook_answers_in_the_place_of_the_hub(hub: Hub) -> None:
    hub.add("org/tiny", FILES)
    hub.before = lambda exchange: Reply(503, b"busy", {"Retry-After": "7"})
    status, headers, body = get(f"{hub.endpoint}/api/models/org/tiny")
    assert (status, headers["retry-after"], body) == (503, "7", b"busy")
