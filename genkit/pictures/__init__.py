"""Pictures of a model: its reconstructions, its samples, and the data in its latent space."""
