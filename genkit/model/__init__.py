"""The model: one class for every system, built from a config, tried part by part, and described layer by layer."""
