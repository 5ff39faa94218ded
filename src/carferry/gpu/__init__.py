"""The GPU plan: whether and how a model runs on the GPUs of a cluster, before it is moved.

shape/      what the plan knows of a model: ModelShape
model/      config.json -> ModelShape: families, layers, heads, experts, states
packing/    quantization_config -> bits of each weight
towers/     vision_config, audio_config -> Tower
inventory/  nodes, pods, --gpu -> Inventory
vllm/       releases of vLLM, where they differ in memory
loaded/     headers or a shape -> bytes of weights on one GPU
memory/     a Choice -> KV cache, activations, graphs, other memory
sizing/     a Choice -> Estimate, or why vLLM would not start it
search/     all of these, and a Goal -> GpuPlan
report/     GpuPlan -> text, Markdown, HTML
log/        vLLM's start-up log beside its prediction -> Calibration
vllm_args   vLLM's arguments, typed -> command line
"""
