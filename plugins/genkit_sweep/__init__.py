"""The command `genkit sweep`: many runs of one config, over a grid of options or by a search, and their comparison."""
