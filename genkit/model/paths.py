"""Points and paths in latent space, on the set in which latents lie.

D latent dimensions.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit.interfaces import Support

SMALL = 1e-3
"""The angle in radians below which a path on the sphere is straight, to float32's rounding."""


def onto(z: Tensor, support: Support) -> Tensor:
    """Points (..., D) brought onto the support: on the sphere their directions; elsewhere they stay as they are."""
    return F.normalize(z, dim=-1) if support == "sphere" else z


def between(start: Tensor, stop: Tensor, fraction: Tensor, support: Support) -> Tensor:
    """The points that lie at fractions of the way from start to stop (*latent_shape), by the shortest path.

    On the sphere that is a great circle (Shoemake 1985, doi:10.1145/325165.325242), elsewhere a straight line.

    Args:
        start: the first point.
        stop: the last point.
        fraction: from 0 to 1, of a shape that broadcasts with theirs.
        support: the set in which the points lie.
    """
    straight = torch.lerp(start, stop, fraction)
    if support != "sphere":
        return straight
    apart, together = ((start - stop).norm(dim=-1, keepdim=True), (start + stop).norm(dim=-1, keepdim=True))
    angle = 2 * torch.atan2(apart, together)
    shares = torch.sin((1 - fraction) * angle), torch.sin(fraction * angle)
    arc = (shares[0] * start + shares[1] * stop) / torch.sin(angle)
    return torch.where(angle < SMALL, straight, arc)
