"""The ladder sampler: groups of latents, each with a prior that the groups above it give.

B data, K draws, D latent dimensions, L groups of D_1, ..., D_L dimensions from the one nearest to the data to the top.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from genkit import DensitySampler, Latent, Shape, normal
from genkit.activations import Activation, activation
from genkit_ladder.gaussians import Gaussian

Size = Annotated[int, Field(ge=1)]


class LadderSampler(DensitySampler):
    """p(z) = p(z_L) Π_l p(z_l|z_>l) and q(z|x) = q(z_L|x) Π_l q(z_l|x, z_>l), top-down, of Gaussians.

    p(z_L) = N(0, I), and small networks give p(z_l|z_>l) and, from the features upwards, the evidence N(m_l(x),
    s_l²(x)). q(z_l|x, z_>l) is the product of the two, whose precisions add up: it departs from the prior of its group
    only as far as the data ask for (Sønderby et al. 2016, arXiv:1602.02282, section 2). q(z_L|x) is the evidence.

    z is all groups side by side, the one nearest to the data first, and the decoder reads all of it. The KL of group l
    is KL(q(z_l|x, z_>l) || p(z_l|z_>l)), exact for the z_>l of each draw.

    Args:
        config: the sizes of the groups, and the networks between them.
        features: any shape, which is flattened; None: only the prior.

    Example:
        >>> sampler = LadderSampler(LadderSampler.Config(groups=(4, 2)), features=(128,))
        >>> latent = sampler(torch.zeros(5, 128), draws=3)
        >>> latent.z.shape, latent.kl.shape
        (torch.Size([3, 5, 6]), torch.Size([3, 5, 2]))
    """

    class Config(DensitySampler.Config):
        """Options of the ladder sampler."""

        name: Literal["ladder"] = "ladder"
        groups: Annotated[
            tuple[Size, ...],
            Field(
                min_length=2,
                max_length=100,
                description="the number of latent dimensions of each group, the one nearest to the data first",
            ),
        ] = (8, 4)
        hidden: Annotated[
            int,
            Field(ge=0, description="the width of the hidden layer of each network between two groups; 0: linear maps"),
        ] = 64
        activation: Annotated[Activation, Field(description="the function of the hidden layers")] = "leaky_relu"

    origin: Tensor

    def __init__(self, config: Config, features: Shape | None) -> None:
        super().__init__(config, features)
        self.groups = config.groups
        self.latent_shape = (sum(config.groups),)
        above = [sum(config.groups[level + 1 :]) for level in range(len(config.groups) - 1)]
        self.down = nn.ModuleList(
            _network(size, config, 2 * own) for size, own in zip(above, config.groups[:-1], strict=True)
        )
        self.up, self.evidence = nn.ModuleList(), nn.ModuleList()
        if features is not None:
            self._add_evidence(math.prod(features), config)
        self.register_buffer("origin", torch.zeros(config.groups[-1]), persistent=False)

    def _add_evidence(self, width: int, config: Config) -> None:
        for level, size in enumerate(config.groups):
            if level and config.hidden:
                self.up.append(nn.Sequential(nn.Linear(width, config.hidden), activation(config.activation)))
                width = config.hidden
            self.evidence.append(nn.Linear(width, 2 * size))

    def forward(self, features: Tensor, draws: int = 1) -> Latent:
        """Features (B, *features) -> z (K, B, D), mean (B, D), kl (K, B, L), log_ratio and log_q (K, B).

        The mean follows the means of the groups from the top. `extra` has the mean and the log-variance of the
        evidence, (B, D) each.
        """
        evidence = self._of_features(features.flatten(1))
        eps = normal(draws, *evidence.mean.shape, batch=1, like=evidence.mean)
        noise = torch.cat([torch.zeros_like(evidence.mean).unsqueeze(0), eps])  # the first draw is the mean
        z, kls, log_q, log_p = noise[..., :0], [], noise.new_zeros(()), noise.new_zeros(())
        for level, own, eps in self._downwards(evidence, noise):
            p = self._prior(level, z)
            q = self._posterior(level, own, p)
            drawn = q.at(eps)
            log_q, log_p = log_q + q.log_prob(drawn), log_p + p.log_prob(drawn)
            kls.append(q.kl(p).expand(noise.shape[:2]))
            z = torch.cat([drawn, z], -1)
        kl, extra = torch.stack(kls[::-1], -1), {"mean": evidence.mean, "log_var": evidence.log_var}
        return Latent(z[1:], z[0], kl[1:], (log_q - log_p)[1:], log_q[1:], extra)

    def prior(self, n: int) -> Tensor:
        """N draws from the hierarchy, from the top down: (n, D)."""
        noise = normal(n, *self.latent_shape, batch=0, like=self.origin)
        z = noise[:, :0]
        for level, eps in reversed(list(enumerate(noise.split(self.groups, -1)))):
            z = torch.cat([self._prior(level, z).at(eps), z], -1)
        return z

    def log_q(self, z: Tensor, mean: Tensor, extra: Mapping[str, Tensor]) -> Tensor:
        """Log q(z|x) of all groups together, (..., 1)."""
        total, above = z.new_zeros(()), z[..., :0]
        for level, own, drawn in self._downwards(Gaussian(extra["mean"], extra["log_var"]), z):
            total = total + self._posterior(level, own, self._prior(level, above)).log_prob(drawn)
            above = torch.cat([drawn, above], -1)
        return total.unsqueeze(-1)

    def _of_features(self, features: Tensor) -> Gaussian:
        """The evidence for all groups (B, D), of features (B, F)."""
        outputs = []
        for level, head in enumerate(self.evidence):
            if level and len(self.up):
                features = self.up[level - 1](features)
            outputs.append(head(features).chunk(2, -1))
        means, log_vars = zip(*outputs, strict=True)
        return Gaussian(torch.cat(means, -1), torch.cat(log_vars, -1))

    def _downwards(self, evidence: Gaussian, values: Tensor) -> Iterator[tuple[int, Gaussian, Tensor]]:
        """For each group from the top its level, its evidence and its own of the values (..., D)."""
        parts = (each.split(self.groups, -1) for each in (evidence.mean, evidence.log_var, values))
        for level, (mean, log_var, own) in reversed(list(enumerate(zip(*parts, strict=True)))):
            yield level, Gaussian(mean, log_var), own

    def _prior(self, level: int, above: Tensor) -> Gaussian:
        """p(z_l|z_>l), of the groups above (..., D_>l); of the top N(0, I)."""
        if level == len(self.down):
            return Gaussian(self.origin, self.origin)
        return Gaussian(*self.down[level](above).chunk(2, -1))

    def _posterior(self, level: int, own: Gaussian, prior: Gaussian) -> Gaussian:
        """q(z_l|x, z_>l), of the evidence and p(z_l|z_>l); of the top the evidence alone."""
        return own if level == len(self.down) else own.times(prior)


def _network(width: int, config: LadderSampler.Config, outputs: int) -> nn.Module:
    if not config.hidden:
        return nn.Linear(width, outputs)
    return nn.Sequential(
        nn.Linear(width, config.hidden), activation(config.activation), nn.Linear(config.hidden, outputs)
    )
