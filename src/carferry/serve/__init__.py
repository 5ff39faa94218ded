"""Deploy a ModelCar: settings, the objects made from them, their YAML, and the step."""

from carferry.cluster.quantity import Quantity
from carferry.cluster.tolerations import Toleration
from carferry.serve.form import DEFAULTS, PARAMETERS, make_deployment
from carferry.serve.objects import deadline_s, make_objects
from carferry.serve.render import render, write
from carferry.serve.settings import (
    VLLM_IMAGE,
    Deployment,
    HardwareProfileRef,
    Mode,
)
from carferry.serve.step import Deployed, deploy, endpoint

__all__ = [
    "DEFAULTS",
    "PARAMETERS",
    "VLLM_IMAGE",
    "Deployed",
    "Deployment",
    "HardwareProfileRef",
    "Mode",
    "Quantity",
    "Toleration",
    "deadline_s",
    "deploy",
    "endpoint",
    "make_deployment",
    "make_objects",
    "render",
    "write",
]
