"""From a model to a served ModelCar: the pipelines and their command line.

python pipelines/modelcar.py --compile
python pipelines/modelcar.py --local  model=org/name image=oci:out:1 base=embedded
python pipelines/modelcar.py --submit --host URL model=org/name image=docker://host/repo:1
"""

import sys
from typing import Any, NamedTuple

from carferry.components import (
    build_image,
    deploy_model,
    download_model,
    fit_model,
    on,
    plan_model,
    push_image,
    seal_image,
    stream_layers,
)
from carferry.pipelines import pods
from carferry.pipelines.pods import Site
from kfp import dsl
from kfp.dsl import PipelineTask
from kfp.dsl.graph_component import GraphComponent


class Shipped(NamedTuple):  # kfp reads annotations as objects: no __future__ import here
    """What a run leaves: the image by digest, and its digest."""

    reference: str
    digest: str


def sized(fitted: PipelineTask) -> dict[str, Any]:
    """Return what fit_model decided, by the names deploy_model takes it."""
    names = ("gpu_resource", "gpu_count", "tolerations", "max_model_len", "vllm_args")
    return {name: fitted.outputs[name] for name in names}


def spread(site: Site) -> GraphComponent:
    """Return the part that moves layers, one pod per share.

    A pipeline of its own, because a task can wait for a whole pipeline but not for a loop, and
    collecting a loop's outputs is not known to every backend. The workers hand over nothing:
    their shard manifests are in the registry.
    """
    move = on(site.runtime, stream_layers)

    @dsl.pipeline(name="stream-shares")  # type: ignore[untyped-decorator]
    def stream_shares(
        model: str,
        target: str,
        shares: list,  # type: ignore[type-arg]  # kfp knows no list[str]
        commit: str,
        image_format: str,
        base: str,
        include: str,
        exclude: str,
        mount_from: str,
        plain_http: str,
        parallel: int,
        hub_secret: str,
        registry_secret: str,
    ) -> None:
        """Move every share's layers from the hub into the registry."""
        with dsl.ParallelFor(shares, name="shares") as share:
            moved = move(
                model=model,
                target=target,
                share=share,
                commit=commit,
                image_format=image_format,
                base=base,
                include=include,
                exclude=exclude,
                mount_from=mount_from,
                plain_http=plain_http,
                parallel=parallel,
            )
            secrets: dict[str, pods.Text] = {"hub": hub_secret, "registry": registry_secret}
            pods.settle(moved, pods.MOVER, site, retries=5, **secrets)

    return stream_shares


def stream(site: Site) -> GraphComponent:
    """Return the pipeline that needs no volume: source straight to registry, then KServe."""
    fit, plan = on(site.runtime, fit_model), on(site.runtime, plan_model)
    seal = on(site.runtime, seal_image)
    fan_out, serve = spread(site), on(site.runtime, deploy_model)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name="modelcar", display_name="Model to ModelCar to KServe"
    )
    def modelcar(
        model: str,
        image: str,
        revision: str = "main",
        base: str = "registry.access.redhat.com/ubi9/ubi-micro",
        include: str = "",
        exclude: str = "",
        image_format: str = "modelcar",
        mount_from: str = "",
        workers: int = 8,
        parallel: int = 2,
        plain_http: str = "",
        hub_secret: str = "carferry-hf",  # noqa: S107 - the name of a Secret
        registry_secret: str = "carferry-registry",  # noqa: S107
        deploy: bool = True,
        apply: bool = True,
        name: str = "",
        namespace: str = "",
        display_name: str = "",
        gpu: str = "",
        vllm: str = "0.24.0",
        family: str = "",
        gpu_resource: str = "nvidia.com/gpu",
        gpu_count: int = 0,
        cpu: str = "4",
        memory: str = "16Gi",
        max_model_len: int = 0,
        tolerations: str = "",
        vllm_args: str = "",
        serving_image: str = "docker.io/vllm/vllm-openai:v0.24.0",
        pull_secret: str = "",
        hardware_profile: str = "",
        deployment_mode: str = "RawDeployment",
        auth: bool = False,
        external_route: bool = False,
        wait_s: str = "",
    ) -> Shipped:
        """Package a model as a ModelCar image, push it and serve it with KServe and vLLM.

        Args:
            model: Model on the hub: org/name
            image: Where the image goes: docker://host/repository:tag
            revision: Branch, tag or commit of the model.
            base: Base image; embedded: needs no registry; scratch: image volumes only.
            include: File patterns by comma or line. Empty: safetensors, tokenizer, texts, licence.
            exclude: File patterns left out, by comma or line.
            image_format: modelcar, or modelpack for native image volumes.
            mount_from: Images of the same registry whose layers may be mounted, by comma or line.
            workers: Pods to divide the work among, at most; small models take fewer.
            parallel: Layers each pod moves at the same time, about 20 MiB of memory each.
            plain_http: Registry hosts spoken to without TLS, by comma or line.
            hub_secret: Secret with key HF_TOKEN. Leave as it is where there is none.
            registry_secret: Another Secret, of type kubernetes.io/dockerconfigjson.
            deploy: False: stop when the image is pushed.
            apply: False: only write the Kubernetes objects, for clusters that GitOps changes.
            name: InferenceService name. Empty: made from the display name or the image.
            namespace: Project to deploy into. Empty: the project of this run.
            display_name: Name shown in the dashboard. Empty: the name.
            gpu: GPUs to plan for, as in L40S x2. Empty: read the cluster; none: do not check.
            vllm: Version of vLLM in the serving image.
            family: gqa: plan an unknown architecture as a plain decoder. Empty: refuse it.
            gpu_resource: Resource to ask for where the fit is not checked.
            gpu_count: GPUs per replica. 0: the plan's choice.
            cpu: CPUs per replica (Kubernetes quantity).
            memory: Memory per replica (Kubernetes quantity).
            max_model_len: Longest sequence in tokens. 0: the plan's choice.
            tolerations: JSON list. Empty: the plan's choice, or the GPU's own taint.
            vllm_args: More vLLM arguments, quoted as in a shell; they win over the plan's.
            serving_image: vLLM image, pinned to a release tag or a digest.
            pull_secret: Secret the cluster pulls the image with. Empty: none.
            hardware_profile: OpenShift AI hardware profile: [namespace/]name
            deployment_mode: RawDeployment or Serverless.
            auth: Ask for a token at the endpoint.
            external_route: Make the endpoint reachable from outside the cluster.
            wait_s: Seconds to wait until the model answers. Empty: by the image's size; 0: none.

        Returns:
            reference: The image by digest: host/repository@sha256:...
            digest: The manifest's digest.
        """
        fitted = fit(
            model=model,
            revision=revision,
            serve=deploy,
            gpu=gpu,
            namespace=namespace,
            vllm=vllm,
            family=family,
            gpu_resource=gpu_resource,
            gpu_count=gpu_count,
            tolerations=tolerations,
            max_model_len=max_model_len,
            vllm_args=vllm_args,
        )
        pods.settle(fitted, pods.PLANNER, site, retries=2, hub=hub_secret)
        what = {"model": model, "target": image, "include": include, "exclude": exclude}
        how = {"base": base, "image_format": image_format, "plain_http": plain_http}
        near = {"mount_from": mount_from}
        planned = plan(revision=revision, workers=workers, **what, **how, **near).after(fitted)
        commit = planned.outputs["commit"]
        moved = fan_out(
            shares=planned.outputs["shares"],
            commit=commit,
            parallel=parallel,
            hub_secret=hub_secret,
            registry_secret=registry_secret,
            **what,
            **how,
            **near,
        )
        built = seal(commit=commit, **what, **how).after(moved)
        secrets: dict[str, pods.Text] = {"hub": hub_secret, "registry": registry_secret}
        pods.settle(planned, pods.PLANNER, site, retries=2, **secrets)
        pods.settle(built, pods.PLANNER, site, retries=3, **secrets)
        with dsl.If(deploy == True, name="deploy"):  # noqa: E712 - a channel, not a bool
            form = {"apply": apply, "name": name, "namespace": namespace, "wait_s": wait_s}
            form |= {"display_name": display_name, "cpu": cpu, "memory": memory}
            form |= {"runtime_image": serving_image, **sized(fitted)}
            form |= {"pull_secret": pull_secret, "hardware_profile": hardware_profile}
            form |= {"deployment_mode": deployment_mode}
            form |= {"auth": auth, "external_route": external_route}
            image_of = built.outputs
            size = image_of["size_bytes"]
            served = serve(image=image_of["reference"], model_size_bytes=size, **form)
            pods.settle(served, pods.CALLER, site)
        return Shipped(built.outputs["reference"], built.outputs["digest"])

    return modelcar


def buildah(site: Site) -> GraphComponent:
    """Return the staged pipeline: download, build with Buildah, push, serve, over a volume."""
    fit, download = on(site.runtime, fit_model), on(site.runtime, download_model)
    build = on(site.runtime, build_image)
    push, serve = on(site.runtime, push_image), on(site.runtime, deploy_model)

    @dsl.pipeline(  # type: ignore[untyped-decorator]
        name="modelcar-buildah", display_name="Model to ModelCar to KServe (Buildah)"
    )
    def modelcar_buildah(
        model: str,
        image: str,
        storage_class: str,
        volume_size: str = "100Gi",
        revision: str = "main",
        base: str = "registry.access.redhat.com/ubi9/ubi-micro",
        include: str = "",
        exclude: str = "",
        plain_http: str = "",
        hub_secret: str = "carferry-hf",  # noqa: S107 - the name of a Secret
        registry_secret: str = "carferry-registry",  # noqa: S107
        builder_account: str = "modelcar-builder",
        builder_security: str = "userns",
        builder_image: str = "quay.io/buildah/stable:v1.43.1",
        deploy: bool = True,
        apply: bool = True,
        name: str = "",
        namespace: str = "",
        display_name: str = "",
        gpu: str = "",
        vllm: str = "0.24.0",
        family: str = "",
        gpu_resource: str = "nvidia.com/gpu",
        gpu_count: int = 0,
        cpu: str = "4",
        memory: str = "16Gi",
        max_model_len: int = 0,
        tolerations: str = "",
        vllm_args: str = "",
        serving_image: str = "docker.io/vllm/vllm-openai:v0.24.0",
        pull_secret: str = "",
        hardware_profile: str = "",
        deployment_mode: str = "RawDeployment",
        auth: bool = False,
        external_route: bool = False,
        wait_s: str = "",
    ) -> None:
        """Package a model as a ModelCar image with Buildah, push it, serve it with KServe and vLLM.

        Args:
            model: Model on the hub: org/name
            image: Where the image goes: docker://host/repository:tag
            storage_class: StorageClass of the volume between the steps, see: oc get storageclass
            volume_size: Size of that volume: three times the model.
            revision: Branch, tag or commit of the model.
            base: Base image; embedded: needs no registry; scratch: image volumes only.
            include: File patterns by comma or line. Empty: safetensors, tokenizer, texts, licence.
            exclude: File patterns left out, by comma or line.
            plain_http: Registry hosts spoken to without TLS, by comma or line.
            hub_secret: Secret with key HF_TOKEN. Leave as it is where there is none.
            registry_secret: Another Secret, of type kubernetes.io/dockerconfigjson.
            builder_account: ServiceAccount that may run Buildah, made from cluster/buildah.
            builder_security: userns (OpenShift 4.20 or newer) or setfcap (with an SCC of its own).
            builder_image: Image with Buildah, pinned to a release tag or a digest.
            deploy: False: stop when the image is pushed.
            apply: False: only write the Kubernetes objects, for clusters that GitOps changes.
            name: InferenceService name. Empty: made from the display name or the image.
            namespace: Project to deploy into. Empty: the project of this run.
            display_name: Name shown in the dashboard. Empty: the name.
            gpu: GPUs to plan for, as in L40S x2. Empty: read the cluster; none: do not check.
            vllm: Version of vLLM in the serving image.
            family: gqa: plan an unknown architecture as a plain decoder. Empty: refuse it.
            gpu_resource: Resource to ask for where the fit is not checked.
            gpu_count: GPUs per replica. 0: the plan's choice.
            cpu: CPUs per replica (Kubernetes quantity).
            memory: Memory per replica (Kubernetes quantity).
            max_model_len: Longest sequence in tokens. 0: the plan's choice.
            tolerations: JSON list. Empty: the plan's choice, or the GPU's own taint.
            vllm_args: More vLLM arguments, quoted as in a shell; they win over the plan's.
            serving_image: vLLM image, pinned to a release tag or a digest.
            pull_secret: Secret the cluster pulls the image with. Empty: none.
            hardware_profile: OpenShift AI hardware profile: [namespace/]name
            deployment_mode: RawDeployment or Serverless.
            auth: Ask for a token at the endpoint.
            external_route: Make the endpoint reachable from outside the cluster.
            wait_s: Seconds to wait until the model answers. Empty: by the image's size; 0: none.
        """
        with pods.shared_volume(site, volume_size, storage_class) as volume:
            fitted = fit(
                model=model,
                revision=revision,
                serve=deploy,
                gpu=gpu,
                namespace=namespace,
                vllm=vllm,
                family=family,
                gpu_resource=gpu_resource,
                gpu_count=gpu_count,
                tolerations=tolerations,
                max_model_len=max_model_len,
                vllm_args=vllm_args,
            )
            pods.settle(fitted, pods.PLANNER, site, retries=2, hub=hub_secret)
            got = download(
                model=model,
                folder=f"{volume.path}/model",
                **{"revision": revision, "include": include, "exclude": exclude},
            ).after(fitted)
            pods.settle(got, pods.MOVER, site, retries=2, hub=hub_secret, volume=volume)
            built = build(
                model=got.outputs["path"],
                target=f"oci:{volume.path}/image:built",
                engine="buildah",
                base=base,
                **pods.delegated(volume, builder_account, builder_security, builder_image),
            )
            login = registry_secret
            pods.settle(built, pods.BUILDER, site, retries=2, registry=login, volume=volume)
            pushed = push(layout=built.outputs["reference"], target=image, plain_http=plain_http)
            pods.settle(pushed, pods.MOVER, site, retries=2, registry=login, volume=volume)
            with dsl.If(deploy == True, name="deploy"):  # noqa: E712 - a channel, not a bool
                form = {"apply": apply, "name": name, "namespace": namespace, "wait_s": wait_s}
                form |= {"display_name": display_name, "cpu": cpu, "memory": memory}
                form |= {"runtime_image": serving_image, **sized(fitted)}
                form |= {"pull_secret": pull_secret, "hardware_profile": hardware_profile}
                form |= {"deployment_mode": deployment_mode}
                form |= {"auth": auth, "external_route": external_route}
                image_of = pushed.outputs
                size = image_of["size_bytes"]
                served = serve(image=image_of["reference"], model_size_bytes=size, **form)
                pods.settle(served, pods.CALLER, site)

    return modelcar_buildah


if __name__ == "__main__":
    from carferry.pipelines.command import main

    sys.exit(main())
