"""KFP components: one adapter per step of the library, ready for any pipeline of yours."""

from carferry.bundle.component import Runtime, mount_library, on
from carferry.components.build import build_image
from carferry.components.deploy import deploy_model
from carferry.components.download import download_model
from carferry.components.endpoint import test_endpoint
from carferry.components.fit import fit_model
from carferry.components.plan import plan_model
from carferry.components.push import push_image
from carferry.components.seal import seal_image
from carferry.components.stream import stream_layers
from carferry.components.warm import warm_nodes

__all__ = [
    "Runtime",
    "build_image",
    "deploy_model",
    "download_model",
    "fit_model",
    "mount_library",
    "on",
    "plan_model",
    "push_image",
    "seal_image",
    "stream_layers",
    "test_endpoint",
    "warm_nodes",
]
