"""A pod with its Kubernetes configuration: volumes, environment, placement.

The name of a Secret or ConfigMap becomes the name of its volume: that is why it may hold no dot,
and why the same one twice makes an invalid pod.
Source: extendPodSpecPatch in backend/src/v2/driver/k8s.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Resolve = Callable[[Json], str]

VOLUMES = (("secretAsVolume", "secret"), ("configMapAsVolume", "configMap"))
ENVIRONMENT = (("secretAsEnv", "secret"), ("configMapAsEnv", "configMap"))
_COPIED = ("nodeSelector", "tolerations", "nodeAffinity", "podAffinity", "securityContext")


def extend(pod: Json, config: Json, resolve: Resolve) -> Json:
    """Return a pod with what a step's Kubernetes configuration adds."""
    mounted = [*_mounted(config, resolve), *_claims(config, resolve), *_scratch(config)]
    main: Json = dict(pod["containers"][0])
    main["env"] = [*main["env"], *_environment(config, resolve)]
    if mounted:
        main["volumeMounts"] = [
            {"name": volume["name"], "mountPath": path} for volume, path in mounted
        ]
        pod = pod | {"volumes": [volume for volume, _ in mounted]}
    if config.get("imagePullPolicy"):
        main["imagePullPolicy"] = config["imagePullPolicy"]
    copied = {name: config[name] for name in _COPIED if config.get(name)}
    return pod | copied | {"containers": [{k: v for k, v in main.items() if v}]}


def name_of(kind: str, given: Json, resolve: Resolve) -> str:
    """Return the name of the Secret or ConfigMap that a volume or variable comes from."""
    if f"{kind}NameParameter" in given:
        return resolve(given[f"{kind}NameParameter"])
    return str(given.get(f"{kind}Name", ""))


def _mounted(config: Json, resolve: Resolve) -> Iterator[tuple[Json, str]]:
    for key, kind in VOLUMES:
        for given in config.get(key, ()):
            name = name_of(kind, given, resolve)
            title = "secretName" if kind == "secret" else "name"
            source = {title: name, "optional": bool(given.get("optional"))}
            yield {"name": name, kind: source}, str(given.get("mountPath", ""))


def _claims(config: Json, resolve: Resolve) -> Iterator[tuple[Json, str]]:
    for given in config.get("pvcMount", ()):
        source = given.get("pvcNameParameter", given)
        name = str(source["constant"]) if "constant" in source else resolve(source)
        volume = {"name": name, "persistentVolumeClaim": {"claimName": name}}
        yield volume, str(given.get("mountPath", ""))


def _scratch(config: Json) -> Iterator[tuple[Json, str]]:
    for given in config.get("genericEphemeralVolume", ()):
        template = {
            "spec": {
                "accessModes": given.get("accessModes", []),
                "resources": {"requests": {"storage": given.get("size", "")}},
                "storageClassName": given.get("storageClassName", ""),
            }
        }
        volume = {
            "name": given.get("volumeName", ""),
            "ephemeral": {"volumeClaimTemplate": template},
        }
        yield volume, str(given.get("mountPath", ""))
    for given in config.get("emptyDirMounts", ()):
        source = {key: given[key] for key in ("medium", "sizeLimit") if key in given}
        yield {"name": given.get("volumeName", ""), "emptyDir": source}, given.get("mountPath", "")


def _environment(config: Json, resolve: Resolve) -> Iterator[Json]:
    for key, kind in ENVIRONMENT:
        for given in config.get(key, ()):
            name = name_of(kind, given, resolve)
            for pair in given.get("keyToEnv", ()):
                reference = {"name": name, "key": pair.get(f"{kind}Key", "")}
                yield {"name": pair.get("envVar", ""), "valueFrom": {f"{kind}KeyRef": reference}}
    for given in config.get("fieldPathAsEnv", ()):
        source = {"fieldRef": {"fieldPath": given.get("fieldPath", "")}}
        yield {"name": given.get("name", ""), "valueFrom": source}
