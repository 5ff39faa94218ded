"""The compiled pipelines, run as the backend's driver and launcher would, against real parts.

Kubeflow's backend itself is in no package registry, so a small walk stands in for it: what it
does and refuses was read in kubeflow/pipelines 2.16, backend/src/v2 (driver, component, compiler/
argocompiler). Everything that the steps touch is real.

graph      a compiled YAML: tasks, components, their order
driver     a task's inputs, conditions and loops resolved, and its pod
kubelet    volumes: what Kubernetes would refuse, and what a pod finds mounted
rootfs     a container image's files: this machine's Python, and the packages a step installs
container  one command in a container of podman's: random user, no capability, nothing writable
launcher   executor input, the container, outputs to the store
metadata   ML Metadata, over gRPC
objects    the S3 store
cluster    a project: Secrets, ConfigMaps, claims as folders, an API server
jobs       the Jobs that a step asks the API server for
steps      one container's tries
walk       all tasks in order, conditions, loops, exit tasks
servers    the metadata and S3 servers as processes
"""
