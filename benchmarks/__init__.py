"""Measurements of genkit's speed: `python -m benchmarks.throughput`."""
