"""Fields of the documents, by message: their types, and which releases know the later ones.

Written from ``pipeline_spec.proto`` (2.5.0 to 2.17.0) and ``kubernetes_executor_config.proto``.
``text``, ``number``, ``flag``, ``any`` and ``struct`` are values; ``[X]`` is a list and ``{X}`` a
map of X; anything else is another message here.
"""

from __future__ import annotations

from collections.abc import Mapping

_INPUT = {
    "taskOutputParameter": "TaskOutputParameter",
    "runtimeValue": "RuntimeValue",
    "componentInputParameter": "text",
    "taskFinalStatus": "TaskFinalStatus",
    "parameterExpressionSelector": "text",
}
_CLAIM = {
    "taskOutputParameter": "TaskOutputParameter",
    "constant": "text",
    "componentInputParameter": "text",
}
_PARAMETER = {"type": "text", "parameterType": "ParameterType", "description": "text"}
_AFFINITY = {"weight": "number", "anti": "flag", "topologyKey": "text", "namespaces": "[text]"}

PIPELINE: Mapping[str, Mapping[str, str]] = {
    "PipelineSpec": {
        "pipelineInfo": "PipelineInfo",
        "deploymentSpec": "Deployment",
        "sdkVersion": "text",
        "schemaVersion": "text",
        "components": "{Component}",
        "root": "Component",
        "defaultPipelineRoot": "text",
    },
    "PipelineInfo": {"name": "text", "displayName": "text", "description": "text"},
    "Component": {
        "inputDefinitions": "Inputs",
        "outputDefinitions": "Outputs",
        "dag": "Dag",
        "executorLabel": "text",
        "singlePlatformSpecs": "any",
        "taskConfigPassthroughs": "[Passthrough]",
    },
    "Passthrough": {"field": "text", "applyToTask": "flag"},
    "Inputs": {"artifacts": "{InputArtifact}", "parameters": "{InputParameter}"},
    "Outputs": {"artifacts": "{OutputArtifact}", "parameters": "{OutputParameter}"},
    "InputArtifact": {
        "artifactType": "struct",
        "isArtifactList": "flag",
        "isOptional": "flag",
        "description": "text",
    },
    "InputParameter": _PARAMETER
    | {"defaultValue": "any", "isOptional": "flag", "literals": "[any]"},
    "OutputArtifact": {
        "artifactType": "struct",
        "properties": "struct",
        "customProperties": "struct",
        "metadata": "struct",
        "isArtifactList": "flag",
        "description": "text",
    },
    "OutputParameter": _PARAMETER,
    "Dag": {"tasks": "{Task}", "outputs": "DagOutputs"},
    "DagOutputs": {"artifacts": "{DagArtifact}", "parameters": "struct"},
    "DagArtifact": {"artifactSelectors": "[struct]"},
    "Task": {
        "taskInfo": "TaskInfo",
        "inputs": "TaskInputs",
        "dependentTasks": "[text]",
        "cachingOptions": "Caching",
        "componentRef": "Reference",
        "triggerPolicy": "Trigger",
        "artifactIterator": "ArtifactIterator",
        "parameterIterator": "ParameterIterator",
        "retryPolicy": "Retry",
        "iteratorPolicy": "IteratorPolicy",
    },
    "TaskInfo": {"name": "text"},
    "TaskInputs": {"parameters": "{TaskParameter}", "artifacts": "{TaskArtifact}"},
    "TaskParameter": _INPUT,
    "TaskOutputParameter": {"producerTask": "text", "outputParameterKey": "text"},
    "RuntimeValue": {"constantValue": "any", "runtimeParameter": "text", "constant": "any"},
    "TaskFinalStatus": {"producerTask": "text"},
    "TaskArtifact": {
        "taskOutputArtifact": "TaskOutputArtifact",
        "componentInputArtifact": "text",
    },
    "TaskOutputArtifact": {"producerTask": "text", "outputArtifactKey": "text"},
    "Caching": {"enableCache": "flag", "cacheKey": "text"},
    "Reference": {"name": "text"},
    "Trigger": {"condition": "text", "strategy": "text"},
    "ArtifactIterator": {"items": "struct", "itemInput": "text"},
    "ParameterIterator": {"items": "Items", "itemInput": "text"},
    "Items": {"raw": "text", "inputParameter": "text"},
    "Retry": {
        "maxRetryCount": "number",
        "backoffDuration": "text",
        "backoffFactor": "number",
        "backoffMaxDuration": "text",
    },
    "IteratorPolicy": {"parallelismLimit": "number"},
    "Deployment": {"executors": "{Executor}"},
    "Executor": {
        "container": "Container",
        "importer": "Importer",
        "resolver": "any",
        "customJob": "any",
    },
    "Container": {
        "image": "text",
        "command": "[text]",
        "args": "[text]",
        "lifecycle": "any",
        "resources": "Resources",
        "env": "[Variable]",
    },
    "Variable": {"name": "text", "value": "text"},
    "Resources": {
        **{
            f"{unit}{kind}": "number" for unit in ("cpu", "memory") for kind in ("Limit", "Request")
        },
        **{
            f"resource{unit}{kind}": "text"
            for unit in ("Cpu", "Memory")
            for kind in ("Limit", "Request")
        },
        "accelerator": "Accelerator",
    },
    "Accelerator": {
        "type": "text",
        "count": "number",
        "resourceType": "text",
        "resourceCount": "text",
    },
    "Importer": {
        "artifactUri": "RuntimeValue",
        "typeSchema": "struct",
        "properties": "struct",
        "customProperties": "struct",
        "metadata": "struct",
        "reimport": "flag",
        "downloadToWorkspace": "flag",
    },
}
PLATFORM: Mapping[str, Mapping[str, str]] = {
    "PlatformSpec": {"platforms": "{Platform}"},
    "Platform": {
        "deploymentSpec": "PlatformDeployment",
        "platform": "text",
        "config": "struct",
        "pipelineConfig": "PipelineConfig",
    },
    "PlatformDeployment": {"executors": "{Kubernetes}"},
    "PipelineConfig": {
        "semaphoreKey": "text",
        "mutexName": "text",
        "resourceTtl": "number",
        "workspace": "Workspace",
        "resourceTtlOnCompletion": "number",
        "resourceTtlOnSuccess": "number",
        "resourceTtlOnFailure": "number",
        "activeDeadlineSeconds": "number",
    },
    "Workspace": {"size": "text", "kubernetes": "WorkspaceClaim"},
    "WorkspaceClaim": {"pvcSpecPatch": "struct"},
    "Kubernetes": {
        "secretAsVolume": "[SecretVolume]",
        "secretAsEnv": "[SecretEnv]",
        "pvcMount": "[Claim]",
        "nodeSelector": "NodeSelector",
        "podMetadata": "PodMetadata",
        "imagePullSecret": "[PullSecret]",
        "imagePullPolicy": "text",
        "configMapAsVolume": "[ConfigMapVolume]",
        "configMapAsEnv": "[ConfigMapEnv]",
        "activeDeadlineSeconds": "number",
        "fieldPathAsEnv": "[FieldPath]",
        "tolerations": "[Toleration]",
        "genericEphemeralVolume": "[Ephemeral]",
        "nodeAffinity": "[NodeAffinity]",
        "podAffinity": "[PodAffinity]",
        "enabledSharedMemory": "SharedMemory",
        "emptyDirMounts": "[EmptyDir]",
        "securityContext": "SecurityContext",
    },
    "SecretVolume": {
        "secretName": "text",
        "mountPath": "text",
        "optional": "flag",
        "secretNameParameter": "TaskParameter",
    },
    "SecretEnv": {
        "secretName": "text",
        "keyToEnv": "[SecretKey]",
        "secretNameParameter": "TaskParameter",
        "optional": "flag",
    },
    "SecretKey": {"secretKey": "text", "envVar": "text"},
    "ConfigMapVolume": {
        "configMapName": "text",
        "mountPath": "text",
        "optional": "flag",
        "configMapNameParameter": "TaskParameter",
    },
    "ConfigMapEnv": {
        "configMapName": "text",
        "keyToEnv": "[ConfigMapKey]",
        "configMapNameParameter": "TaskParameter",
        "optional": "flag",
    },
    "ConfigMapKey": {"configMapKey": "text", "envVar": "text"},
    "Claim": _CLAIM | {"mountPath": "text", "pvcNameParameter": "TaskParameter", "subPath": "text"},
    "NodeSelector": {"labels": "{text}", "nodeSelectorJson": "TaskParameter"},
    "PodMetadata": {"labels": "{text}", "annotations": "{text}"},
    "PullSecret": {"secretName": "text", "secretNameParameter": "TaskParameter"},
    "FieldPath": {"name": "text", "fieldPath": "text"},
    "Toleration": {
        **dict.fromkeys(("key", "operator", "value", "effect"), "text"),
        "tolerationSeconds": "number",
        "tolerationJson": "TaskParameter",
    },
    "Ephemeral": {
        **dict.fromkeys(("volumeName", "mountPath", "size", "storageClassName"), "text"),
        "accessModes": "[text]",
        "defaultStorageClass": "flag",
        "metadata": "PodMetadata",
    },
    "Requirement": {"key": "text", "operator": "text", "values": "[text]"},
    "NodeAffinity": {
        "matchExpressions": "[Requirement]",
        "matchFields": "[Requirement]",
        "weight": "number",
        "nodeAffinityJson": "TaskParameter",
    },
    "PodAffinity": _AFFINITY
    | {
        "matchPodExpressions": "[Requirement]",
        "matchPodLabels": "{text}",
        "matchNamespaceExpressions": "[Requirement]",
        "matchNamespaceLabels": "{text}",
    },
    "SharedMemory": {"volumeName": "text", "size": "text"},
    "EmptyDir": dict.fromkeys(("volumeName", "mountPath", "medium", "sizeLimit"), "text"),
    "SecurityContext": {"runAsUser": "number", "runAsGroup": "number", "runAsNonRoot": "flag"},
}
MESSAGES: Mapping[str, Mapping[str, str]] = {**PIPELINE, **PLATFORM}

LATER: Mapping[tuple[str, str], str] = {
    ("Component", "taskConfigPassthroughs"): "task-config",
    ("ParameterType", "TASK_CONFIG"): "task-config",
    ("InputParameter", "literals"): "literals",
    ("Importer", "downloadToWorkspace"): "workspace-import",
    ("PipelineConfig", "semaphoreKey"): "locks",
    ("PipelineConfig", "mutexName"): "locks",
    ("PipelineConfig", "resourceTtl"): "ttl",
    ("PipelineConfig", "workspace"): "workspace",
    ("PipelineConfig", "resourceTtlOnCompletion"): "run-ttl",
    ("PipelineConfig", "resourceTtlOnSuccess"): "run-ttl",
    ("PipelineConfig", "resourceTtlOnFailure"): "run-ttl",
    ("PipelineConfig", "activeDeadlineSeconds"): "run-ttl",
    ("SecretEnv", "optional"): "optional-env",
    ("ConfigMapEnv", "optional"): "optional-env",
    ("NodeAffinity", "nodeAffinityJson"): "node-affinity-json",
    ("Kubernetes", "securityContext"): "security-context",
    ("Claim", "subPath"): "sub-path",
}
"""Fields and enumeration values that some target does not know: the feature they belong to."""

PARAMETER_TYPES = (
    "PARAMETER_TYPE_ENUM_UNSPECIFIED",
    *("NUMBER_DOUBLE", "NUMBER_INTEGER", "STRING", "BOOLEAN", "LIST", "STRUCT"),
    *("TASK_FINAL_STATUS", "TASK_CONFIG"),
)
