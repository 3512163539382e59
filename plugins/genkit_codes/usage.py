"""The use of codes, as a metric.

N data, K codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from genkit import CodeSampler, Description, Metric, MetricData, TrainedModel

ROWS = 1024
"""The most data whose codes are looked up at once."""


class CodeUsage(Metric):
    """exp(H) of the shares with which the codes stand for the data, and the share of the codes that do at all.

    van den Oord et al. 2017 (arXiv:1711.00937) and those after them call exp(H) the perplexity of the codebook: it is K
    where all codes are used alike, and 1 where one is used alone. The shares are over all data and positions; where
    there are several codebooks, the figures are means over them.

    Args:
        config: the name alone; there are no options.
    """

    needs = ("encoder", "codes")
    in_evaluate = True
    figures: Mapping[str, Description] = {
        "perplexity": Description(
            "perplexity of the codes",
            "codes",
            "higher",
            "exp of the entropy of the codes' shares over all data and positions (arXiv:1711.00937).",
        ),
        "used": Description("codes used", "", "higher", "The share of the codes that stand for any datum.", ".1%"),
    }

    class Config(Metric.Config):
        """The use of codes has no options."""

        name: Literal["code_usage"] = "code_usage"

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The figures of the codes of the split."""
        sampler = model.sampler
        assert isinstance(sampler, CodeSampler)
        shares = self._shares(sampler, model.encode(data.split))
        perplexity = torch.special.entr(shares).sum(-1).exp().mean()
        return {"perplexity": float(perplexity), "used": float((shares > 0).double().mean())}

    def _shares(self, sampler: CodeSampler, z: Tensor) -> Tensor:
        """The share of each code: z (N, *latent_shape) -> (codebooks, K)."""
        indices = torch.cat([sampler.indices(part).cpu() for part in z.split(ROWS)])
        books = indices.reshape(-1, sampler.codebooks).T
        counts = torch.stack([torch.bincount(book, minlength=sampler.codebook_size) for book in books]).double()
        return counts / counts.sum(-1, keepdim=True)
