"""Metric definitions, one module per process. Knows the domain and Prometheus; others hand in plain
values."""
