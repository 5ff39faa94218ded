"""The default pipeline's steps as pods of a restricted project, from the form to the deployment."""

from __future__ import annotations

import base64
import bz2
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import yaml
from backend.conftest import FUNCTION, RUNTIME, compiled_for, metadata, objects
from backend.graph import Pipeline, Spec
from backend.metadata import Metadata
from backend.objects import Objects
from backend.rootfs import carried, linked
from backend.servers import ROOT
from backend.walk import Backend
from rights_samples import OWN_ROLES
from servers.hub import Hub
from servers.models import sharded

from cluster import projects
from cluster.rig.expose import exposed
from cluster.rig.node import Node
from cluster.runner import RUNNER, grant
from cluster.step_images import push_step_image
from cluster.step_pods import PodProject

__all__ = ["metadata", "objects"]
LIBRARY = ROOT / "compiled/carferry-library.yaml"


@pytest.fixture(scope="module")
def images(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Spec], str]:
    """The image that a step asks for: carferry's own, or Python's with what the step installs."""
    folder, made = tmp_path_factory.mktemp("images"), dict[str, str]()
    library = yaml.safe_load(LIBRARY.read_text())
    packed = bz2.decompress(base64.b64decode(library["binaryData"]["carferry.zip.bz2"]))
    steps = json.loads(zipfile.ZipFile(io.BytesIO(packed)).read("steps.json"))

    def image(container: Spec) -> str:
        words = container.get("args", ())
        named = words[words.index(FUNCTION) + 1] if FUNCTION in words else ""
        wanted = steps.get(named, {}).get("requirements", [])
        key = container["image"] if container["image"] == RUNTIME else str(wanted)
        if key not in made:
            place = folder / str(len(made))
            linked(place) if key == RUNTIME else carried(place, wanted)
            made[key] = push_step_image(place, node.registry, f"{len(made)}:1")
        return made[key]

    return image


@pytest.fixture
def project(
    node: Node, namespace: str, tmp_path: Path, images: Callable[[Spec], str]
) -> PodProject:
    """A restricted project where the manifests were applied, and what OpenShift AI grants."""
    projects.restrict(node, namespace)
    projects.tolerate(node, namespace)
    grant(node, namespace, "rights.yaml")
    about = {"name": "of-openshift-ai", "namespace": namespace}
    subject = {"kind": "ServiceAccount", "name": RUNNER, "namespace": namespace}
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "Role", "name": about["name"]}
    node.apply(
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": about,
            "rules": [*OWN_ROLES["rhoai-3.4"]],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": about,
            "roleRef": role,
            "subjects": [subject],
        },
    )
    return PodProject(node, namespace, tmp_path / "project", images)


@pytest.fixture
def mirror(node: Node, namespace: str, hub: Hub) -> Iterator[Hub]:
    """A hub that the project's ConfigMap names, where pods find it."""
    hub.add("org/model", sharded(3))
    front, files = (int(each.rpartition(":")[2]) for each in (hub.endpoint, hub.cdn_endpoint))
    first = int((node.folder / "run/init.pid").read_text())
    with exposed(front, first) as address, exposed(files, first) as hub_files:
        hub.cdn_endpoint = f"http://{hub_files}"
        about = {"name": "carferry-environment", "namespace": namespace}
        data = {"HF_ENDPOINT": f"http://{address}"}
        node.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": about, "data": data})
        yield hub


@pytest.fixture(params=["carried", "image"])
def compiled(request: pytest.FixtureRequest, node: Node, namespace: str, tmp_path: Path) -> Path:
    """The committed YAML with the library applied; or the same for the runtime image."""
    if request.param == "image":
        return compiled_for(RUNTIME, tmp_path / "compiled")
    node.kubectl("apply", "--server-side", "-n", namespace, "-f", str(LIBRARY))
    return ROOT / "compiled"


@pytest.mark.usefixtures("mirror")
def test_a_model_goes_from_the_hub_to_an_inference_service(
    node: Node,
    namespace: str,
    project: PodProject,
    compiled: Path,
    metadata: Metadata,
    objects: Objects,
    vllm: str,
) -> None:
    """Every step is a pod: fit, plan, stream, seal, deploy; with the rights of the manifests."""
    host = node.registry_of_pods
    form: dict[str, Any] = {
        "model": "org/model",
        "image": f"docker://{host}/{namespace}/model:v1",
        "serve": "deploy",
        "serve_gpu": "none",
        "serve_image": vllm,
        "settings": {
            "base": "embedded",
            "mount": "native",
            "wait_s": 0,
            "plain_http": host,
        },
    }
    backend = Backend(project, metadata, objects)  # type: ignore[arg-type]
    run = backend.run(Pipeline.read(compiled / "modelcar.yaml"), **form)
    assert not run.failed, run.problems()
    (served,) = node.get("-n", namespace, "inferenceservices")["items"]
    uri = served["spec"]["predictor"]["model"]["storageUri"]
    assert (
        uri == f"oci+native://{host}/{namespace}/model@{_digest(node, f'{namespace}/model', 'v1')}"
    )


def _digest(node: Node, repository: str, tag: str) -> str:
    """Return what a tag of the node's registry names."""
    url = f"http://{node.registry}/v2/{repository}/manifests/{tag}"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json"}
    with urlopen(Request(url, headers=accept, method="HEAD")) as answer:
        return str(answer.headers["Docker-Content-Digest"])
