"""The language of configs: strict options, numbers that change over time, optimizers, and YAML with places."""
