"""The explorer: a trained model and its points, and the answers to what the page asks.

N data, D latent dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit import ComponentError, DataError, Model, Split
from genkit.interfaces import Side
from genkit.interfaces.component import MASK
from genkit.model.paths import between
from genkit.model.side import LENGTHS
from genkit.text import printable
from genkit_explore import planes
from genkit_explore.latents import latents_of, on_support
from genkit_explore.planes import Plane, plane_of
from genkit_explore.points import points_of
from genkit_explore.requests import MapRequest, MoveRequest, PathRequest, point
from genkit_explore.views import base64_of, floats, view_of

NUMBERS = 2**17
"""The largest number of numbers of a table that the page gets at once."""
NEAR = 6
"""The number of nearest data that are shown."""


class Explorer:
    """A trained model, seen from its latent space.

    Args:
        model: the model, in eval mode.
        split: its data.
        count: the number of data in the picture.
        name: what the page calls the model.
        split_name: what it calls the data.
        code: what `genkit.load` takes for it.

    Raises:
        ComponentError: the model gives no data, as a transform cannot be inverted.
    """

    def __init__(self, model: Model, split: Split, count: int, name: str, split_name: str, code: str) -> None:
        if not model.decodes:
            model.transforms.inverse(torch.zeros(0))
        if model.encoder is None and not model.has_prior:
            raise ComponentError("the model has neither an encoder nor a prior: there is no latent space to show")
        self.model, self.name, self.split_name, self.code = model, name, split_name, code
        self.points = points_of(model, split, count)
        self.latents = latents_of(model, self.points.z, None if self.points.are_drawn else split)
        self.view = view_of(model, self.points.x)
        self.inputs = {**self._choices()}
        self._maps: dict[str, Plane] = {}

    @property
    def dimensions(self) -> int:
        """D."""
        return self.points.z.shape[1]

    def plane(self, name: str) -> Plane:
        """A plane by its name; one that takes long to compute is kept."""
        if name not in self._maps:
            plane = plane_of(name, self.points.z, self.latents)
            if name not in (planes.MAP, planes.PRINCIPAL):
                return plane
            self._maps[name] = plane
        return self._maps[name]

    def _choices(self) -> dict[str, dict[str, Any]]:
        """What the page lets choose beside z: classes, single numbers, and the number of steps of a series."""
        choices: dict[str, dict[str, Any]] = {}
        for name in self.model.decoder_inputs:
            side = self.model.schema.side[name]
            if name == MASK and self.model.schema.is_padded:
                choices[LENGTHS] = {"kind": "steps", "low": 1, "high": self.model.shape[0]}
            elif side.shape == () and side.classes is not None:
                choices[name] = {"kind": "class", "names": _names(side)}
            elif side.shape == ():
                values = self.points.side[name].float()
                choices[name] = {"kind": "number", "low": float(values.min()), "high": float(values.max())}
        return choices

    def side_of(self, row: int) -> dict[str, Any]:
        """The values of a datum for what the page lets choose."""
        own: dict[str, Any] = {}
        for name, choice in self.inputs.items():
            if choice["kind"] == "steps":
                own[name] = max(1, int(self.points.side[MASK][row].sum()))
            else:
                own[name] = self.points.side[name][row].item()
        return own

    def beside(self, row: int, side: Mapping[str, Any]) -> dict[str, Any]:
        """The side data of a decoding: those that the page chooses, and the others of a datum."""
        if unknown := sorted(side.keys() - self.inputs.keys()):
            raise DataError(f"the model takes no '{printable(unknown[0], 40)}'")
        chosen = {**self.side_of(self._row(row)), **side}
        covered = {MASK} if LENGTHS in chosen else set()
        rest = [name for name in self.model.decoder_inputs if name not in {*chosen, *covered}]
        return chosen | {name: self.points.side[name][row] for name in rest}

    def _row(self, row: int) -> int:
        if row >= len(self.points.z):
            raise DataError(f"there is no datum {row}: there are {len(self.points.z)}")
        return row

    def decode(self, z: Tensor, side: dict[str, Any], noise: bool = False) -> Tensor:
        """The data of points (N, D), on the CPU."""
        shaped = z.view(-1, *self.model.sampler.latent_shape)
        return self.model.decode(shaped.to(self.model.device), noise, **side).cpu()

    def move(self, request: MoveRequest) -> dict[str, Any]:
        """The point that is asked for, its place in the plane, its datum, and the nearest data."""
        plane, answer = self.plane(request.plane), {}
        if request.datum is not None:
            row = self._row(request.datum)
            request = request.model_copy(update={"row": row, "side": self.side_of(row)})
            z = self.points.z[row]
            answer = {"row": row, "side": request.side}
            if not self.points.are_drawn:
                answer["original"] = base64_of(self.view.packed(self.points.x[row : row + 1]))
        else:
            z = self.latents.mean if request.z is None else point(request.z, self.dimensions)
            z = z if request.to is None else plane.lift(torch.tensor(request.to), z)
            z = on_support(self.model, z[None])[0]
        x = self.decode(z[None], self.beside(request.row, request.side), request.noise)
        at = plane.project(z).tolist()
        seen = {"z": base64_of(floats(z)), "at": at, "x": base64_of(self.view.packed(x)), "near": self.near(z)}
        return {**answer, **seen}

    def near(self, z: Tensor) -> list[tuple[int, float]]:
        """The nearest data in latent space, with their Euclidean distances."""
        distances = (self.points.z - z).norm(dim=1)
        distance, rows = distances.topk(min(NEAR, len(distances)), largest=False)
        return list(zip(rows.tolist(), distance.tolist(), strict=True))

    def path(self, request: PathRequest) -> dict[str, Any]:
        """Points at equal steps along the shortest path, their places, and their data."""
        start, stop = (
            point(each, self.dimensions).view(self.model.sampler.latent_shape) for each in (request.start, request.stop)
        )
        fraction = torch.linspace(0, 1, request.steps).view(-1, *[1] * start.ndim)
        z = on_support(self.model, between(start, stop, fraction, self.model.sampler.support).flatten(1))
        x = self.decode(z, self.beside(request.row, request.side))
        return {
            "z": base64_of(floats(z)),
            "at": self.plane(request.plane).project(z).tolist(),
            "x": base64_of(self.view.packed(x)),
        }

    def decoded_map(self, request: MapRequest) -> dict[str, Any]:
        """Thumbnails of what is decoded at places of the plane, row by row from the lowest."""
        sides = [torch.linspace(low, high, request.count) for low, high in zip(request.low, request.high, strict=True)]
        places = torch.stack([sides[0].repeat(request.count), sides[1].repeat_interleave(request.count)], 1)
        z = self.plane(request.plane).lift(places, point(request.z, self.dimensions).expand(len(places), -1))
        x = self.decode(on_support(self.model, z), self.beside(request.row, request.side))
        return {"thumbnails": base64_of(self.view.thumbnails(x)[0])}

    def seen_in(self, request: MoveRequest) -> dict[str, Any]:
        """A plane: its axes, the places of the data, and the place of a point in it."""
        plane = self.plane(request.plane)
        z = self.latents.mean if request.z is None else point(request.z, self.dimensions)
        points = base64_of(floats(plane.points))
        return {"name": request.plane, "axes": plane.axes, "points": points, "at": plane.project(z).tolist()}

    def space(self) -> dict[str, Any]:
        """What the page has to know from the start."""
        _, shape = self.view.thumbnails(self.points.x[:1])
        groups = self.points.classes(self.model.schema.side)
        first, second = planes.main_latents(self.latents)
        start = self.plane_names()[0]
        return {
            "name": printable(self.name, 200),
            "split": self.split_name,
            "code": self.code,
            "count": len(self.points.z),
            "drawn": self.points.are_drawn,
            "dimensions": self.dimensions,
            "shape": list(self.model.sampler.latent_shape),
            "measure": "KL" if self.latents.is_kl else "variance",
            "sliders": self.latents.sliders(),
            "main": [first, second],
            "planes": self.plane_names(),
            "groups": [
                {"name": printable(name, 40), "names": [printable(each, 60) for each in names], "values": values}
                for name, (names, values) in groups.items()
            ],
            "inputs": self.inputs,
            "view": self.view.description(),
            "rows": self._rows(),
            "thumbnail": list(shape),
            "plane": self.seen_in(MoveRequest(plane=start)),
            "move": self.move(MoveRequest(plane=start, datum=self.middle())),
        }

    def _rows(self) -> str | None:
        """The rows of a table, which the page shows beside each other; None: there are none, or too many numbers."""
        is_small = self.model.schema.columns and self.points.x.numel() <= NUMBERS
        return base64_of(self.view.packed(self.points.x)) if is_small else None

    def plane_names(self) -> list[str]:
        """The planes to choose from, the one that is shown first before the others."""
        first, second = planes.main_latents(self.latents)
        return [*planes.kinds(self.dimensions), f"{first}:{second}"]

    def middle(self) -> int:
        """The datum that is nearest to the mean of all."""
        return self.near(self.latents.mean)[0][0]


def _names(side: Side) -> list[str]:
    assert side.classes is not None
    return [printable(each, 60) for each in side.names or map(str, range(side.classes))]
