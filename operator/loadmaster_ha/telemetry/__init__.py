"""Metric definitions, one module per process; others hand in plain values."""
