"""Pictures of a model: what it rebuilds, what it generates, and how it arranges data in latent space."""
