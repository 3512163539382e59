"""Figures of a trained model: the ELBO and its parts, what the latents know of labels, how good samples are."""
