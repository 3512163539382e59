"""Terms over codes.

B data, K codes, n places of a datum, D numbers of a vector.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from genkit import Forward, Loss, Shape
from genkit.errors import ComponentError


class Commitment(Loss):
    """|v - sg(e)|² of the vectors v of a datum and their codes e, summed over its places; sg stops gradients.

    It is the third term of van den Oord et al. 2017 (arXiv:1711.00937, equation 3), with β as the weight. Where codes
    are learned by gradients, `codebook` · |sg(v) - e|² is added, the second term: weight 0.25 and codebook 4 are those
    of the paper. In nats per datum beside −log p(x|z), as −log N(v; e, I/2) without its constant.

    Args:
        config: the weight, and the factor of the second term.
        shape: any shape.
    """

    checked_with = {"partners": {"sampler": {"name": "vq", "size": 8, "latent": 4}}}  # noqa: RUF012
    expected_failures = {"gradients": "it stops gradients by design"}  # noqa: RUF012

    class Config(Loss.Config):
        """Options of the commitment term."""

        name: Literal["commitment"] = "commitment"
        codebook: Annotated[
            float,
            Field(ge=0, description="the factor of the term that brings codes near their vectors, beside the weight"),
        ] = 4.0

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        self.codebook = config.codebook

    def forward(self, forward: Forward) -> Tensor:
        """(B,) nats."""
        assert forward.latent is not None
        vectors, codes = handed_on(forward, "commitment", "vectors"), handed_on(forward, "commitment", "codes")
        term = (vectors - codes.detach()).square().flatten(1).sum(1)
        if (learned := forward.latent.extra.get("learned_codes")) is not None:
            term = term + self.codebook * (vectors.detach() - learned).square().flatten(1).sum(1)
        return term


def handed_on(forward: Forward, term: str, name: str) -> Tensor:
    """A tensor that the sampler hands on; raises ComponentError where it does not."""
    assert forward.latent is not None
    if name not in forward.latent.extra:
        raise ComponentError(
            f"loss '{term}' reads the {name} of codes, and the sampler gives none; it goes with samplers whose "
            "`Latent.extra` has them, as that of a learned codebook does"
        )
    return forward.latent.extra[name]
