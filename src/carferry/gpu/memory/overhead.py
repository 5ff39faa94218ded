"""Memory besides weights and KV cache: activations, non-torch, CUDA graphs, adapters.

vLLM profiles a step with the largest batch: the image encoder first, its output kept; then the
decoder; then the sampler, the hidden states kept. The peak of the three counts, and what the
experts' workspace has grown to stays.

Sources: vLLM 0.18 ``v1/worker/gpu_model_runner.py`` (profile_run), 0.33 ``v1/worker/gpu``;
constants measured on published logs (benchmarks/GPU.md shows how far off each row is).
"""

from __future__ import annotations

from carferry.gpu.memory.adapters import adapter_bytes
from carferry.gpu.memory.choice import Choice
from carferry.gpu.memory.forward import encoder_output, encoder_peak, expert_space, forward_peak
from carferry.gpu.memory.graphs import graphs_gib
from carferry.gpu.memory.runner import is_second, profiles_images, reserves_graphs
from carferry.gpu.memory.terms import Overhead
from carferry.gpu.memory.vendors import non_torch
from carferry.gpu.shape.shape import ModelShape
from carferry.gpu.units import BITS, GIB
from carferry.gpu.vllm.releases import COPIED_BYTES, VllmVersion

__all__ = ["Overhead", "doubted_bytes", "late_bytes", "overhead_of"]

_TUNED = 0.4
"""What tuning the experts' kernels leaves unusable, beside 1 GiB, as a share of the activations;
fitted: gpt-oss-20b of 0.19 ran out of memory on an H100 at 0.95, dense models there did not."""


def overhead_of(shape: ModelShape, choice: Choice, version: VllmVersion) -> Overhead:
    """Return the overhead of one rank, the last pipeline stage included."""
    seen = profiles_images(shape, choice, version)
    kept = encoder_output(shape, choice) if seen else 0.0
    space = expert_space(shape, choice, version)
    stays = space if version.space_kept and _is_modular(shape) else 0.0
    peaks = {
        "sampler": stays + kept + _sampler(shape, choice, version),
        "forward": kept + max(space, 0.0) + forward_peak(shape, choice, version),
        "encoder": encoder_peak(shape, choice) if seen else 0.0,
    }
    binding = max(peaks, key=lambda name: peaks[name])
    return Overhead(
        activation=int(peaks[binding]),
        non_torch=int(non_torch(shape, choice, version) * GIB),
        graphs=int(graphs_gib(shape, choice, version) * GIB),
        binding=binding,
        adapters=adapter_bytes(shape, choice),
        reserved=reserves_graphs(shape, choice, version),
    )


def doubted_bytes(shape: ModelShape, choice: Choice, version: VllmVersion) -> int:
    """Return what the sampler may take less, if the release is not known itself."""
    if not version.is_guessed or shape.pooling:
        return 0
    rows = min(choice.max_num_seqs, choice.max_num_batched_tokens)
    less = max(_sampler_bytes(shape, choice, version) - COPIED_BYTES, 0.0)
    return int(less * rows * shape.vocab)


def _is_modular(shape: ModelShape) -> bool:
    """Return whether the experts take vLLM's own workspace; MXFP4's kernels bring theirs."""
    return shape.quantization is None or shape.quantization.method != "mxfp4"


def _sampler(shape: ModelShape, choice: Choice, version: VllmVersion) -> float:
    """Return what sampling takes, the hidden states of the batch beside it."""
    if shape.pooling:
        return 0.0
    states = choice.max_num_batched_tokens * shape.hidden * BITS[choice.dtype] // 8
    rows = min(choice.max_num_seqs, choice.max_num_batched_tokens)
    return states + _sampler_bytes(shape, choice, version) * rows * shape.vocab


def late_bytes(shape: ModelShape, choice: Choice, version: VllmVersion, overhead: Overhead) -> int:
    """Return what is taken after the KV cache was sized and no profile has seen.

    Kernels of experts are tuned; model runner V2, before 0.33, first samples as requests do, and
    before 0.27 has run no image encoder.
    """
    rows = 0 if shape.pooling else min(choice.max_num_seqs, choice.max_num_batched_tokens)
    unseen = max(COPIED_BYTES - _sampler_bytes(shape, choice, version), 0.0)
    tuned = GIB + _TUNED * overhead.activation if shape.experts and not overhead.reserved else 0
    images = 0.0 if profiles_images(shape, choice, version) else encoder_peak(shape, choice)
    return int(max(unseen * rows * shape.vocab, images) + tuned)


def _sampler_bytes(shape: ModelShape, choice: Choice, version: VllmVersion) -> float:
    """Return bytes per sequence and vocabulary entry, by the model runner that runs the model."""
    if is_second(shape, choice, version):
        return version.second_sampler_bytes
    fused = choice.gpu.vendor == "nvidia" and not 0 < choice.gpu.capability < 75
    return version.sampler_bytes if fused else version.plain_sampler_bytes
