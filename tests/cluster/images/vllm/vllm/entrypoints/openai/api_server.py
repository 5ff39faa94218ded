"""Stands in for vLLM: same command line, same routes; opens the model's files for real."""

from __future__ import annotations

import argparse
import http.server
import json
import struct
from pathlib import Path
from typing import Any

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, default=8080)
parser.add_argument("--model", type=Path, required=True)
parser.add_argument("--served-model-name", required=True)
parser.add_argument("--max-model-len", type=int)
parser.add_argument("--tensor-parallel-size", type=int, default=1)
options = parser.parse_args()
config = json.loads((options.model / "config.json").read_text())
for path in options.model.glob("*.safetensors"):
    with path.open("rb") as stream:
        (size,) = struct.unpack("<Q", stream.read(8))
        print(path.name, len(json.loads(stream.read(size))), "tensors", flush=True)
MODEL = {"id": options.served_model_name, "object": "model"}
KNOWN = {"/health": {}, "/v1/models": {"object": "list", "data": [MODEL]}}


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers as the API does."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer(KNOWN.get(self.path, {}), 200 if self.path in KNOWN else 404)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        choice = {"index": 0, "text": config.get("model_type", ""), "finish_reason": "length"}
        self.answer({"object": "text_completion", "choices": [choice]})

    def answer(self, value: Any, code: int = 200) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


http.server.ThreadingHTTPServer(("", options.port), Handler).serve_forever()
