"""What the pages on networks, registries and large models find there already."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import TYPE_CHECKING

from servers.buckets import ACCESS, SECRET, make_bucket, s3_server
from servers.hub import Hub
from servers.mirror import Mirror
from servers.models import tiny
from servers.python_base import python_base
from servers.registry import LOGIN
from servers.runtimes import fetch_wheels

from docs.models import SMOL, TOKEN, files
from docs.scenes import scene

if TYPE_CHECKING:
    from docs.world import World

HARBOR = "harbor.example.com"
ROUTE = "default-route-openshift-image-registry.example.com"


@scene("how-to/private-models.md", "how-to/very-large-models.md")
def a_token(world: World) -> None:
    """Put the token where its owner would keep it."""
    world.write("token.txt", f"{TOKEN}\n")


@scene("how-to/behind-a-proxy.md")
def behind_a_proxy(world: World) -> None:
    """Set up the company's mirrors; then trust the company's certificates no more."""
    _mirror(world, "artifactory.example.com", Mirror(prefix="/artifactory/api/huggingfaceml/hf"))
    login = "Basic " + base64.b64encode(b"reader:secret").decode()
    nexus = Mirror(prefix="/repository/hf", refuses={"tree": 400}, login=login)
    _mirror(world, "nexus.example.com", nexus)
    world.lead(HARBOR, lambda: world.registry(HARBOR).host)
    world.log_in("registry.example.com", HARBOR)
    world.run(
        "carferry push -q docker://registry.access.redhat.com/ubi9/ubi-micro:latest"
        f" docker://{HARBOR}/redhat/ubi9/ubi-micro:latest"
    )
    world.private_authority()


def _mirror(world: World, name: str, mirror: Mirror) -> None:
    hub = world.stack.enter_context(Hub(redirects=False))
    hub.mirror = mirror
    hub.add(SMOL, files(SMOL), card={"license": "apache-2.0"})
    world.lead(name, hub.endpoint.removeprefix("http://"))


@scene("how-to/openshift-registry.md")
def openshift(world: World) -> None:
    """Open the route to a registry; the login to it is in the file that ``oc`` wrote, alone."""
    world.lead(ROUTE, lambda: world.registry(ROUTE).host)
    world.log_in()
    world.log_in(ROUTE, to="auth.json")
    world.private_authority()


@scene("how-to/log-in-to-a-registry.md")
def logins(world: World) -> None:
    """Take every login away, and keep what goes into Secrets."""
    world.log_in()
    world.write("password.txt", LOGIN.password)
    world.write("proxy.txt", "http://me:secret@proxy.example.com:3128")


@scene("how-to/runtime-image.md")
def a_base_with_python(world: World) -> None:
    """Mirror a base of this machine's Python, and the packages for it."""
    base = python_base(world.folder / "python-base")
    wheels = fetch_wheels(base, world.folder / "wheels")
    world.env |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    world.run(f"carferry push -q {base} docker://registry.example.com/ubi9/python-312:latest")


@scene("how-to/leave-s3-behind.md")
def a_bucket(world: World) -> Iterator[None]:
    """Attach a connection to a bucket with a model."""
    with s3_server() as endpoint:
        bucket = make_bucket(endpoint)
        bucket.fill(tiny(), "models/smollm2")
        world.env |= {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_S3_ENDPOINT": endpoint,
            "AWS_S3_BUCKET": bucket.name,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        yield
