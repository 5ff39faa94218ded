"""The GPU plan: whether and how a model runs on the GPUs of a cluster, before it is moved.

model/      config.json, headers -> ModelShape, tensors
inventory/  nodes, pods, --gpu   -> Inventory
memory/     what one choice needs of each GPU
search/     all of these, and a Goal -> GpuPlan
report/     GpuPlan -> text, Markdown, HTML
log/        vLLM's start-up log beside its prediction -> Calibration
vllm_args   vLLM's arguments, typed -> command line
"""
