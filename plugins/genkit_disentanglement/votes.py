"""The score of the FactorVAE: which latent varies least where a factor is fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from genkit import Description, MetricData, TrainedModel
from genkit_disentanglement.factors import Array, Codes, FactorMetric

Group = tuple[int, Array]
"""The place of a factor, and the places (n,) of data that have the same value of it."""


class FactorScore(FactorMetric):
    """The disentanglement score of Kim & Mnih 2018 (arXiv:1802.05983), section 4.

    A vote fixes a factor at the value of a random datum, takes some data of that value, and names the latent whose
    variance among them is least, relative to its variance over all training data. The score is the accuracy of the
    majority vote, which predicts the factor from the named latent, fitted to votes of the training split and tested on
    votes of the split that is measured. Collapsed latents are left out, as Locatello et al. 2019 (arXiv:1811.12359) do;
    where all vary so little, as those of an autoencoder may, all that vary count.

    Args:
        config: the number of votes, the data of each, and the factors.
    """

    figures: Mapping[str, Description] = {
        "accuracy": Description(
            "FactorVAE score",
            "",
            "higher",
            "How often the latent that varies least tells which factor was fixed; by chance 1 in as many factors "
            "(Kim & Mnih 2018, section 4).",
            ".3f",
        ),
    }

    class Config(FactorMetric.Config):
        """Options of the votes."""

        name: Literal["factor_score"] = "factor_score"
        votes: Annotated[int, Field(ge=1, le=1_000_000, description="the number of votes, in each of the splits")] = 800
        data: Annotated[int, Field(ge=2, description="the number of data of a vote, drawn with replacement")] = 64
        least: Annotated[
            float,
            Field(
                ge=0,
                description="the variance of a latent's points from which on it is no collapsed one, where the prior's "
                "is 1",
            ),
        ] = 0.05

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The score of the split, by votes that the seed draws; none where no value of a factor has two data."""
        train, held_out = self.both(model, data)
        names, rng = [name for name in train.factors if name in held_out.factors], np.random.default_rng(seed)
        groups = [_groups(codes, names) for codes in (train, held_out)]
        variances = train.z.var(0)
        active = variances > (self.config.least if variances.max() > self.config.least else 0.0)
        if not all(groups) or not active.any():
            return {}
        ballots = []
        for codes, of_codes in zip((train, held_out), groups, strict=True):
            votes = np.zeros((int(active.sum()), len(names)), int)
            for _ in range(self.config.votes):
                place, rows = of_codes[rng.integers(len(of_codes))]
                drawn = codes.z[rng.choice(rows, self.config.data)][:, active]
                votes[(drawn.var(0) / variances[active]).argmin(), place] += 1
            ballots.append(votes)
        predicted = ballots[0].argmax(1)
        return {"accuracy": float(ballots[1][np.arange(len(predicted)), predicted].sum() / self.config.votes)}


def _groups(codes: Codes, names: Sequence[str]) -> list[Group]:
    """A group of each datum and factor, so that factors are equally likely, where other data have its value."""
    groups: list[Group] = []
    for place, name in enumerate(names):
        factor = codes.factors[name]
        same = {value: np.flatnonzero(factor == value) for value in np.unique(factor)}
        groups += [(place, same[value]) for value in factor if len(same[value]) > 1]
    return groups
