"""The Prometheus rules and the Grafana dashboard: checked by promtool, and held against the code."""
