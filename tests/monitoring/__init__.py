"""What `python -m scaffold deploy monitoring` writes, held by promtool, kubectl and a real Prometheus."""
