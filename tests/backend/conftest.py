"""The backend's parts, started once; a project of its own for each test."""

from __future__ import annotations

import base64
import bz2
import io
import json
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from rights_samples import OWN_ROLES, RUNNER
from servers.hub import Hub
from servers.models import sharded
from servers.pods import podman
from servers.registry import Registry
from servers.runtimes import from_folder
from servers.tools import lacking, need

from backend.cluster import NAMESPACE, Cluster, cluster
from backend.graph import Spec
from backend.metadata import Metadata, metadata_server
from backend.objects import Objects, object_server
from backend.rootfs import Rootfs, carried, linked
from backend.servers import ROOT
from backend.walk import Backend
from carferry.io.show.progress import Silent
from carferry.pipelines import command
from carferry.steps.runtime import RuntimeSettings, runtime

Images = Callable[[Spec], Rootfs]
Object = dict[str, Any]
RUNTIME = "registry.example/team/carferry@sha256:" + "0" * 64
FUNCTION = "--function_to_execute"
TOKEN = "hf_" + "granted" * 5
FILES = sharded(3)


@pytest.fixture(scope="session")
def metadata(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Metadata]:
    with metadata_server(tmp_path_factory.mktemp("metadata")) as client:
        yield client


@pytest.fixture(scope="session")
def objects() -> Iterator[Objects]:
    with object_server() as store:
        yield store


@pytest.fixture(scope="session")
def library() -> Object:
    """The committed ConfigMap with the library."""
    return dict(yaml.safe_load((ROOT / "compiled" / "carferry-library.yaml").read_text()))


@pytest.fixture(scope="session")
def pulled() -> set[str]:
    """The images that podman has by now."""
    return set()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory, library: Object, pulled: set[str]) -> Images:
    """The image a container asks for: carferry's own, or Python's with what the step installs."""
    folder, made = tmp_path_factory.mktemp("images"), dict[str, Rootfs]()
    packed = bz2.decompress(base64.b64decode(library["binaryData"]["carferry.zip.bz2"]))
    steps = json.loads(zipfile.ZipFile(io.BytesIO(packed)).read("steps.json"))

    def image(container: Spec) -> Rootfs:
        if container["image"] in pulled:
            return Rootfs((container["image"],), {}, {})
        words = container.get("args", ())
        named = words[words.index(FUNCTION) + 1] if FUNCTION in words else ""
        wanted = steps.get(named, {}).get("requirements", [])
        key = container["image"] if container["image"] == RUNTIME else str(wanted)
        with lock:
            if key not in made:
                place = folder / str(len(made))
                made[key] = linked(place) if key == RUNTIME else carried(place, wanted)
        return made[key]

    lock = threading.Lock()
    return image


@pytest.fixture
def project(tmp_path: Path, images: Images) -> Iterator[Cluster]:
    """A project where the manifests were applied, as the documentation says, and no more."""
    need("podman")
    need("runc")
    if os.geteuid():
        lacking("the pods of these tests run as other users: run the tests as root")
    with cluster(tmp_path / "cluster", images) as made:
        made.kube.user, made.kube.roles = RUNNER, {NAMESPACE: [*OWN_ROLES["rhoai-3.4"]]}
        for document in *kustomized(ROOT / "manifests"), *kustomized(ROOT / "manifests/buildah"):
            apply(made, document)
        yield made


@pytest.fixture
def backend(project: Cluster, metadata: Metadata, objects: Objects) -> Backend:
    return Backend(project, metadata, objects)


@pytest.fixture
def quay(project: Cluster, tmp_path: Path) -> Iterator[Registry]:
    """A registry as OpenShift's own: a login, which a Secret holds, and the service CA."""
    with Registry(tmp_path / "registry", auth="basic", tls=True) as registry:
        assert registry.certificates is not None
        project.service_ca = registry.certificates.ca.read_bytes()
        login = registry.auth_file.read_bytes()
        project.secrets["carferry-registry"] = {".dockerconfigjson": login}
        yield registry


@pytest.fixture
def mirror(hub: Hub, project: Cluster) -> Hub:
    """The hub that the project's ConfigMap names, with the token that its Secret holds."""
    project.config_maps["carferry-environment"] = {"HF_ENDPOINT": hub.endpoint.encode()}
    project.secrets["carferry-hf"] = {"HF_TOKEN": TOKEN.encode()}
    return hub


@pytest.fixture(scope="session")
def runtime_image(
    tmp_path_factory: pytest.TempPathFactory, python_layout: str, wheels: Path, pulled: set[str]
) -> Iterator[str]:
    """The image that ``carferry runtime`` makes, pulled; its base is this machine's Python."""
    with (
        Registry(tmp_path_factory.mktemp("registry")) as registry,
        pytest.MonkeyPatch.context() as patch,
    ):
        from_folder(wheels, patch)
        settings = RuntimeSettings(base=python_layout, plain_http=registry.host)
        made = runtime(f"docker://{registry.host}/runtime:1", settings, progress=Silent())
        done = podman("pull", "--quiet", "--tls-verify=false", made.reference)
        assert done.returncode == 0, done.stderr
    pulled.add(made.reference)
    yield made.reference
    podman("rmi", "--force", made.reference)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipelines for an image of links: quick, and in need of no package index."""
    return compiled_for(RUNTIME, tmp_path_factory.mktemp("installed"))


@pytest.fixture(params=["mounted", "image"])
def compiled(
    request: pytest.FixtureRequest, project: Cluster, library: Object, tmp_path: Path
) -> Path:
    """The committed YAML; and the same for the runtime image, without the library applied."""
    if request.param == "mounted":
        return ROOT / "compiled"
    del project.config_maps[library["metadata"]["name"]]
    return compiled_for(request.getfixturevalue("runtime_image"), tmp_path / "compiled")


@pytest.fixture
def values(quay: Registry, mirror: Hub) -> dict[str, Any]:
    """A form filled in: a gated model, a registry with a login."""
    mirror.add("org/model", FILES, gated=True, token=TOKEN)
    return {
        "model": "org/model",
        "image": f"docker://{quay.host}/org/model:v1",
        "serve_gpu": "none",
        "settings": {"base": "embedded", "wait_s": 0},
    }


@pytest.fixture
def staged(values: dict[str, Any]) -> dict[str, Any]:
    """The form of the pipeline with a volume."""
    settings = values["settings"] | {"builder_security": "setfcap"}
    return values | {"settings": settings, "model_storage_class": "fast"}


def kustomized(folder: Path) -> list[Object]:
    """Return the objects of a folder that ``oc apply -k`` takes, without its patches."""
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    found: list[Object] = []
    for name in kustomization["resources"]:
        path = folder / name
        found += kustomized(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    return [each for each in found if each]


def apply(project: Cluster, document: Object) -> None:
    """Give a project what an object means to its pods."""
    if document["kind"] == "ConfigMap":
        project.config_maps[document["metadata"]["name"]] = files_of(document)
    if document["kind"] == "Role":
        assert project.kube.roles is not None
        project.kube.roles[NAMESPACE] += document["rules"]


def compiled_for(image: str, folder: Path) -> Path:
    """Compile the pipelines for an image with carferry in it."""
    assert command.main(["--compile", "--image", image, "--output", str(folder)]) == 0
    return folder


def files_of(config_map: Object) -> dict[str, bytes]:
    """Return a ConfigMap's files."""
    texts = {name: text.encode() for name, text in config_map.get("data", {}).items()}
    binary = config_map.get("binaryData", {})
    return texts | {name: base64.b64decode(text) for name, text in binary.items()}
