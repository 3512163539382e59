"""The negative log-likelihood, bounded from above by importance weights.

B data, K draws, N data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from genkit import Description, Metric, MetricData, TrainedModel, estimate
from genkit.interfaces import NATS, Pass

ROWS = 1024
"""About the number of draws, over the data of a batch, that go through the decoder at once."""
FEWEST = 64
"""The least number of data in a batch: the encoder reads them anew for each chunk of draws."""


class NLL(Metric):
    """The importance-weighted bound: −log p(x) ≤ −E log (1/K) Σ_k w_k, w_k = p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q(z|x).

    With K = 1 it is −ELBO, and it falls to −log p(x) as K grows (Burda et al. 2016, arXiv:1509.00519, equation 8 and
    theorem 1). Draws are taken in chunks, so that memory does not grow with K.

    Args:
        config: the number of draws.
    """

    needs = ("encoder", "density")

    class Config(Metric.Config):
        """Options of the bound."""

        name: Literal["nll"] = "nll"
        draws: Annotated[int, Field(ge=1, description="the number K of draws from q(z|x) per datum")] = 50

    config: Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        draws = f"{config.draws:,} draw{'s' if config.draws > 1 else ''}"
        self.figures = {
            "bound": Description(
                f"bound on −log p(x), {draws}",
                NATS,
                "lower",
                "−log of the mean importance weight of the draws (Burda et al. 2016, arXiv:1509.00519, equation 8).",
                ",.2f",
                of_density=True,
            ),
            "standard_error": Description(
                f"its standard error, {draws}", NATS, None, "The deviation over the data, divided by √N.", ",.2g"
            ),
        }

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The mean over the data; one datum has no standard error."""
        size = max(FEWEST, ROWS // self.config.draws)
        bounds = torch.cat([self._bounds(passed, max(1, ROWS // size)) for passed in data.passes(size)])
        figures = {"bound": float(bounds.mean())}
        if len(bounds) > 1:
            figures["standard_error"] = float(bounds.std() / math.sqrt(len(bounds)))
        return figures

    def _bounds(self, passed: Pass, chunk: int) -> Tensor:
        """The bound of each datum of a batch, (B,) in float64, from at most `chunk` draws at a time."""
        bound = estimate(passed, self.config.draws, chunk).bound
        assert bound is not None
        return bound
