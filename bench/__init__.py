"""Benchmarks for anyone to run: `make bench`, `python -m bench NAME`. docs/performance.md quotes them."""
