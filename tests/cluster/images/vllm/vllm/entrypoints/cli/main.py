"""The command ``vllm serve``, as ``python3 -m vllm.entrypoints.cli.main serve`` runs it."""

from __future__ import annotations

import os
import sys

from vllm.standin import nodes
from vllm.standin.arguments import VERSION, parser


def main() -> None:
    """Read the arguments and join the head; only a node without a server is stood in for."""
    if sys.argv[1:2] != ["serve"]:
        sys.exit("usage: vllm serve")
    options = parser(os.environ.get("STANDIN_VLLM", VERSION)).parse_args(sys.argv[2:])
    if not options.headless:
        sys.exit("the stand-in serves as vllm.entrypoints.openai.api_server alone")
    nodes.join(options)


if __name__ == "__main__":
    main()
