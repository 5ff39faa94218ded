"""vLLM's server, as ``python3 -m vllm.entrypoints.openai.api_server`` runs it."""

from __future__ import annotations

import os

from vllm.standin import failures, log, nodes, server
from vllm.standin.arguments import VERSION, parser
from vllm.standin.model import Unusable, load


def main() -> None:
    """Read the arguments, open the model, serve; or fail as vLLM does."""
    options = parser(os.environ.get("STANDIN_VLLM", VERSION)).parse_args()
    log.api("vLLM API server version %s", options.version)
    failures.before_loading()
    try:
        model = load(options)
    except Unusable as why:
        failures.refuse(why)
    failures.while_loading(model)
    nodes.gather(options)
    server.serve(model)


if __name__ == "__main__":
    main()
