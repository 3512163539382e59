"""A codebook: the vectors of codes, learned by gradients or as running means of the vectors that they stand for.

K codes, D numbers of a vector, M vectors.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit import gather
from genkit_codes.quantizer import Quantizer

SMOOTHING = 1e-5
"""The ε of the Laplace smoothing of counts."""


class LearnedConfig(Quantizer.Config):
    """Options of samplers whose codebook is learned."""

    size: Annotated[int, Field(ge=2, description="the number K of codes in the codebook")] = 64
    latent: Annotated[int, Field(ge=1, description="the number D of dimensions of a code")] = 16
    update: Annotated[
        Literal["ema", "gradient"],
        Field(
            description="how the codes are learned; ema: as running means of the vectors that they stand for; "
            "gradient: by the term `commitment`"
        ),
    ] = "ema"
    decay: Annotated[
        float, Field(ge=0, lt=1, description="the share of the running means that stays as it is at each step")
    ] = 0.99
    revive: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="the share of the uses of an average code below which a code is dead, and becomes a vector of "
            "the batch; 0: none is",
        ),
    ] = 0.1


class Codebook(nn.Module):
    """K codes, each near the vectors that it stands for.

    Running means (van den Oord et al. 2017, arXiv:1711.00937, appendix A.1): N_k and m_k, the number and the sum of
    the vectors of a batch whose nearest code is k, are followed with the decay γ; N_k is smoothed as
    N (N_k + ε) / (N + K ε) with N = Σ N_k; and code k is m_k / N_k. With γ = 0 a step is one of k-means. The codes
    start as vectors of the first batch, drawn at random, and so does a dead one anew (Dhariwal et al. 2020,
    arXiv:2005.00341, section 3.1). All counts are of the whole batch, whatever the number of processes.

    Args:
        config: the number of codes and how they are learned.
    """

    counts: Tensor
    sums: Tensor
    candidates: Tensor
    usage: Tensor
    totals: Tensor
    is_started: Tensor
    codes: Tensor

    def __init__(self, config: LearnedConfig) -> None:
        super().__init__()
        size, width = config.size, config.latent
        self.decay, self.revive, self.follows = config.decay, config.revive, config.update == "ema"
        codes = torch.randn(size, width)
        if self.follows:
            self.register_buffer("codes", codes)
        else:
            self.codes = nn.Parameter(codes)
        self.register_buffer("usage", torch.ones(size))
        self.register_buffer("totals", codes.detach().clone())
        self.register_buffer("is_started", torch.zeros(()))
        # of the batches since the last step
        self.register_buffer("counts", torch.zeros(size), persistent=False)
        self.register_buffer("sums", torch.zeros(size, width), persistent=False)
        self.register_buffer("candidates", torch.zeros(size, width), persistent=False)

    def scores(self, vectors: Tensor) -> Tensor:
        """Half of |v|² - |v - code|²: vectors (..., D) -> (..., K), the largest for the nearest code."""
        return vectors @ self.codes.T - self.codes.square().sum(1) / 2

    def nearest(self, vectors: Tensor) -> Tensor:
        """The index of the nearest code: vectors (..., D) -> (...)."""
        return self.scores(vectors).argmax(-1)

    @torch.no_grad()
    def observe(self, vectors: Tensor, indices: Tensor) -> None:
        """Count the vectors (B, n, D) of a batch under their codes (B, n), for the next `update`."""
        every, of = gather(vectors).flatten(0, 1), gather(indices).flatten()
        members = F.one_hot(of, self.counts.shape[0]).to(every)
        self.counts += members.sum(0)
        self.sums += members.T @ every
        chance = torch.rand_like(self.counts)  # the same in all processes, as their seeds are
        self.candidates.copy_(every[(chance * every.shape[0]).long().clamp_max(every.shape[0] - 1)])

    @torch.no_grad()
    def update(self) -> None:
        """Follow the vectors that were counted since the last step; without any, nothing changes."""
        seen = self.counts.sum() > 0
        decay = torch.where(seen, self.decay, 1.0)
        usage = torch.lerp(self.counts, self.usage, decay)
        totals = torch.lerp(self.sums, self.totals, decay)
        number, size = usage.sum(), len(usage)
        codes = self.codes
        if self.follows:
            smoothed = (usage + SMOOTHING) / (number + size * SMOOTHING) * number
            codes = torch.where(seen, totals / smoothed.unsqueeze(1), codes)
        start = seen & (self.is_started == 0)
        average = torch.where(start, self.counts.sum(), number) / size
        anew = (seen & (usage < self.revive * average)) | start
        self.usage.copy_(torch.where(anew, average, usage))
        self.totals.copy_(torch.where(anew.unsqueeze(1), self.candidates * average, totals))
        self.codes.copy_(torch.where(anew.unsqueeze(1), self.candidates, codes))
        self.is_started.copy_(self.is_started.maximum(seen.to(self.is_started)))
        self.counts.zero_()
        self.sums.zero_()


def handed_on(book: Codebook, vectors: Tensor, codes: Tensor) -> dict[str, Tensor]:
    """What loss terms read: vectors and their codes, which are learned_codes too where gradients teach them."""
    both = {"vectors": vectors, "codes": codes}
    return both if book.follows else {**both, "learned_codes": codes}
