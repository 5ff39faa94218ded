"""Real servers for the tests: every one listens on a free port of 127.0.0.1.

hub        a hub with a CDN for huggingface_hub     (hub_http, hub_api, repos, content, files)
process    the same hub in a process of its own     (tests/serve_hub.py)
registry   Debian's docker-registry                 (certs, tokens)
proxy      breaks what passes through it            (chaos: actions and rules; wire, sockets)
denying    a registry that refuses every push
serving    the thread, the log and the end of every server of ours
models     tiny models and hostile file names
images     a smallest OCI layout
tools      programs, found or named with their package
"""
