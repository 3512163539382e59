"""Captions of the pictures of a run: a title, and a sentence on what it shows, for those too who do not see it."""

from __future__ import annotations

from typing import NamedTuple


class Caption(NamedTuple):
    """What is said of a picture."""

    title: str
    sentence: str


CAPTIONS = {
    "samples": Caption("Samples", "Data that the model generates: the mean of p(x|z) for z drawn from the prior."),
    "reconstructions": Caption("Reconstructions", "Held-out data, and what the model decodes from their latents."),
    "manifold": Caption("Manifold", "Decoded points of the two latents, in even steps of their quantiles."),
    "latents": Caption("Latents", "Held-out data in latent space: a dot for the posterior mean of each."),
    "traversals": Caption("Traversals", "Decoded points: in each row one latent moves, and the others stay."),
    "interpolations": Caption("Interpolations", "Decoded points on the ways between the latents of two data."),
    "series": Caption("Real and generated series", "Each channel of the data, beside as many draws from the model."),
    "marginals": Caption("Columns", "How often each value of a column occurs in the data, and in what is generated."),
    "pairs": Caption("Pairs of columns", "Pairs of values in the data, and in what is generated."),
    "genes": Caption("Counts", "Mean and spread of each count in the data, and in what is generated."),
    "neighbours": Caption("Neighbours", "The data as a graph of nearest latents."),
    "filters": Caption("First layer", "What each unit of the first layer looks for: its weights, as a picture."),
    "activations": Caption("Activations", "How many units of the code have which mean activation over held-out data."),
    "loss": Caption("Losses", "The objective and its terms over the epochs, of training and held-out data."),
}
"""The captions by the names of the pictures, the most telling pictures first."""


def caption(name: str) -> Caption:
    """The caption of a picture; one of another plugin has its name as title, and no sentence."""
    words = name.replace("_", " ").replace("-", " ").strip()
    return CAPTIONS.get(name, Caption(words[:1].upper() + words[1:], ""))


def place(name: str) -> tuple[int, str]:
    """The place of a picture among others, as a key to sort by."""
    names = list(CAPTIONS)
    return (names.index(name) if name in names else len(names), name)
