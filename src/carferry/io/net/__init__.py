"""Connections: addresses, trust, proxies, pools, bodies within limits, tries and pauses."""
