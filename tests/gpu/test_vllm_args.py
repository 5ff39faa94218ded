from __future__ import annotations

from carferry.gpu.vllm_args import VllmArgs


def test_arguments_are_rendered_in_one_order_and_the_users_own_come_last() -> None:
    args = VllmArgs(
        more=("--seed", "1"), max_model_len=8192, dtype="bfloat16", tensor_parallel_size=2
    )

    assert args.render() == (
        "--tensor-parallel-size=2",
        "--dtype=bfloat16",
        "--max-model-len=8192",
        "--seed",
        "1",
    )


def test_switches_are_written_without_a_value_and_turned_off_by_name() -> None:
    args = VllmArgs(enable_expert_parallel=True, enable_lora=False, max_model_len="auto")

    assert args.render() == ("--enable-expert-parallel", "--max-model-len=auto", "--no-enable-lora")


def test_what_is_left_to_vllm_is_not_written() -> None:
    assert VllmArgs().render() == ()
