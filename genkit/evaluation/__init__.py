"""Figures of a trained model: the ELBO and its parts, probes of the latents for labels, and sample quality."""
