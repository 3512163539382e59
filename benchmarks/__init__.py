"""Benchmarks: measurements of genkit's speed, such as `python -m benchmarks.throughput`."""
