"""Planes: latent space seen from above. A place in a plane stands for a point in latent space.

N data, D latent dimensions, k neighbours.
"""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import DataError
from genkit.text import printable
from genkit_explore.latents import Latents

NEIGHBOURS = 8
"""k, for maps without a formula."""
PRINCIPAL, MAP = "principal", "umap"


class Plane(Protocol):
    """A way to see latent space in two dimensions."""

    @property
    def axes(self) -> tuple[str, str]:
        """The names of the axes, across and up."""

    @property
    def points(self) -> Tensor:
        """The places of the data, (N, 2)."""

    def project(self, z: Tensor) -> Tensor:
        """The places (..., 2) of points z (..., D)."""

    def lift(self, place: Tensor, z: Tensor) -> Tensor:
        """The points (..., D) at places (..., 2); what the plane does not show of them is as in z (..., D)."""


class LinearPlane(NamedTuple):
    """A plane along two orthogonal directions of length 1; the rest of z stays when a point moves in it."""

    axes: tuple[str, str]
    points: Tensor
    origin: Tensor
    """(D,): the point at the place (0, 0)."""
    directions: Tensor
    """(D, 2)."""

    def project(self, z: Tensor) -> Tensor:
        """(z − origin) · directions."""
        return (z - self.origin) @ self.directions

    def lift(self, place: Tensor, z: Tensor) -> Tensor:
        """Z moved along the directions until it is at the place."""
        return z + (place - self.project(z)) @ self.directions.T


class NeighbourPlane(NamedTuple):
    """A map that only places data: a point lies between its k nearest data, by inverse squared distances.

    Shepard 1968, doi:10.1145/800186.810616.
    """

    axes: tuple[str, str]
    points: Tensor
    z: Tensor
    """The points of the data, (N, D)."""

    def project(self, z: Tensor) -> Tensor:
        """The mean place of the nearest data in latent space."""
        return between_neighbours(z, self.z, self.points)

    def lift(self, place: Tensor, z: Tensor) -> Tensor:
        """The mean point of the nearest data in the map."""
        return between_neighbours(place, self.points, self.z)


def between_neighbours(at: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """The values (..., V) at points (..., P), between those (N, V) of the nearest of some places (N, P)."""
    exact = "donot_use_mm_for_euclid_dist"  # the faster form rounds small distances off
    distances = torch.cdist(at.reshape(-1, at.shape[-1]), places, compute_mode=exact)
    distance, nearest = distances.topk(min(NEIGHBOURS, len(places)), largest=False)
    weight = 1 / distance.square().clamp_min(1e-12)
    mean = (weight.unsqueeze(-1) * values[nearest]).sum(1) / weight.sum(1, keepdim=True)
    return mean.view(*at.shape[:-1], -1)


def kinds(dimensions: int) -> list[str]:
    """The planes that there are beside those of two latents."""
    if dimensions < 3:
        return []
    return [PRINCIPAL, *([MAP] if find_spec("umap") else [])]


def main_latents(latents: Latents) -> tuple[int, int]:
    """The two latents that say most, in their order; of one latent that one, twice."""
    first = sorted(latents.order[:2])
    return first[0], first[-1]


def plane_of(name: str, z: Tensor, latents: Latents) -> Plane:
    """A plane by its name: `principal`, `umap`, or two latents such as `0:1`; raises DataError where there is none."""
    if name == PRINCIPAL and z.shape[1] > 1:
        return principal_plane(z)
    if name == MAP and MAP in kinds(z.shape[1]):
        return map_plane(z)
    first, _, second = name.partition(":")
    if not (first.isdecimal() and second.isdecimal()) or max(int(first), int(second)) >= z.shape[1]:
        choices = ", ".join(["two latents, such as 0:1", *kinds(z.shape[1])])
        raise DataError(f"there is no plane '{printable(name, 40)}'; choose from {choices}")
    return latent_plane(z, int(first), int(second), latents)


def latent_plane(z: Tensor, across: int, up: int, latents: Latents) -> LinearPlane:
    """The plane of two latents; of a single latent the data are spread upwards for the eye."""
    directions = torch.zeros(z.shape[1], 2)
    directions[across, 0] = 1
    if across != up:
        directions[up, 1] = 1
    names = [_name(latents, each) for each in (across, up)]
    plane = LinearPlane((names[0], names[1]), z @ directions, torch.zeros(z.shape[1]), directions)
    if across != up:
        return plane
    spread = torch.rand(len(z), generator=torch.Generator().manual_seed(0)) - 0.5
    return plane._replace(axes=(names[0], "(spread for the eye)"), points=torch.stack([plane.points[:, 0], spread], 1))


def _name(latents: Latents, index: int) -> str:
    amount = float(latents.amounts[index])
    return f"z{index + 1} ({f'KL {amount:.2f} nats' if latents.is_kl else f'variance {amount:.2g}'})"


def principal_plane(z: Tensor) -> LinearPlane:
    """The plane of the first two principal components, each with its greatest weight positive."""
    mean = z.double().mean(0)
    centred = z.double() - mean
    covariance = centred.T @ centred if z.shape[1] <= len(z) else centred @ centred.T
    values, vectors = torch.linalg.eigh(covariance)
    directions = vectors.flip(1)[:, :2] if z.shape[1] <= len(z) else centred.T @ vectors.flip(1)[:, :2]
    directions = F.pad(directions, (0, 2 - directions.shape[1]))  # of a single datum there is one alone
    directions = directions / directions.norm(dim=0).clamp_min(1e-12)
    directions = directions * directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    shares = (values.flip(0).clamp_min(0) / values.clamp_min(0).sum().clamp_min(1e-12))[:2].tolist()
    names = [f"principal component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares)]
    places = (centred @ directions).float()
    return LinearPlane((names[0], names[-1]), places, mean.float(), directions.float())


def map_plane(z: Tensor) -> NeighbourPlane:
    """The data by UMAP (McInnes et al. 2018, arXiv:1802.03426); always the same one."""
    umap = importlib.import_module("umap")
    places = torch.from_numpy(umap.UMAP(random_state=0, n_jobs=1).fit_transform(z.numpy())).float()
    return NeighbourPlane(("UMAP 1", "UMAP 2"), places, z)
