"""The model: one class for every system, made of parts.

B data, K draws; see `genkit.interfaces`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit.data.checks import check_fit, check_masses, check_values
from genkit.data.dataset import as_float
from genkit.data.steps import blank, held
from genkit.data.tables import table_of
from genkit.errors import ComponentError, DataError, TrainingError
from genkit.interfaces import Reader, Shape, Split
from genkit.interfaces.component import MASK
from genkit.interfaces.reader import Data
from genkit.model.network import Network, evaluating
from genkit.model.paths import between
from genkit.model.side import check_names, completed, own_side, rows_of, with_mask


class Model(Network):
    """A model: what a user asks of it, in data and latents of any number.

    `config` is the config that the model was built from, and `data` describes its data; both are None for a model that
    was put together in Python.
    """

    def __repr__(self) -> str:
        """The parts in the order in which data pass them, and the number of parameters; a part shows its layers."""
        parts = (self.encoder, self.sampler, self.prior, self.decoder, self.likelihood, *self.losses.values())
        names = ", ".join(type(part).__name__ for part in parts if part is not None)
        count = sum(parameter.numel() for parameter in self.parameters())
        return f"Model({names}; shape={self.shape}, latent={self.sampler.latent_shape}, {count:,} parameters)"

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value of the data, for pictures; 0 and 1 where `data` is None."""
        return self.data.range if self.data is not None else (0.0, 1.0)

    @property
    def decodes(self) -> bool:
        """Whether it gives data: each of its transforms can be inverted."""
        return self.transforms.inverts

    def encode(self, x: Data | np.ndarray[Any, Any] | Split, /, **side: Any) -> Tensor:
        """The points in latent space that represent data: x (N, *shape) -> (N, *latent_shape).

        The point is the posterior mean, never a draw: the same x always gives the same point. uint8 is read as x / 255.
        Warns (GenkitWarning) of data far outside the range of the training data.

        Args:
            x: the data; a split comes with its side data.
            side: the side data that encoding takes (`encoder_inputs`), such as `labels=7`: one value for all, or N.

        Raises:
            DataError: x has another shape, is not finite, or lies outside the likelihood's support; or side data are
                missing, or unknown.
        """
        if self.encoder is None:
            raise ComponentError("the model has no encoder: it generates, and has no latents of data to give")
        data, side = _apart(self.encoder_inputs, x, side)
        data = self._shaped(data)
        values = completed(self, self.encoder_inputs, side, len(data))
        inputs = self.fitting(self._whole(data, values))

        def means(start: int, stop: int) -> Tensor:
            rows = self.transforms(self._rows(inputs, start, stop))
            return self.posterior(rows, 0, rows_of(values, start, stop)).mean

        return self._streamed(means, len(inputs), "encode")

    def decode(self, z: Tensor | np.ndarray[Any, Any], /, noise: bool = False, **side: Any) -> Tensor:
        """The mean of p(x|z), brought back by the transforms: z (N, *latent_shape) -> (N, *shape).

        With `noise`, draws from p(x|z). Steps of series that are not there, by their mask or `lengths=20`, are NaN.
        Side data are as `encode` takes them, those of `decoder_inputs`. Raises ComponentError where a transform cannot
        be inverted.
        """
        z = as_tensor(z)
        if tuple(z.shape[1:]) != self.sampler.latent_shape:
            raise DataError(f"decode takes z of shape (N, {commas(self.sampler.latent_shape)}), not {tuple(z.shape)}")
        check_values(z, "z")
        z = z.to(torch.float32)
        values = completed(self, self.decoder_inputs, side, len(z))

        def means(start: int, stop: int) -> Tensor:
            of_rows = rows_of(values, start, stop)
            return self.transforms.inverse(self.decoded(self._rows(z, start, stop), of_rows, noise))

        return self._blank(self._streamed(means, len(z), "decode"), values)

    def reconstruct(self, x: Data | np.ndarray[Any, Any] | Split, /, noise: bool = False, **side: Any) -> Tensor:
        """`decode(encode(x), noise)`: (N, *shape) -> (N, *shape); side data as `encode` takes them."""
        data, side = _apart(self.inputs, x, side)
        return self._decoded_again(lambda of_encoder: self.encode(data, **of_encoder), side, noise)

    def sample(self, n: int, /, noise: bool = False, **side: Any) -> Tensor:
        """Generate n data (n, *shape): the means of p(x|z) for z from the prior; with `noise`, draws from p(x|z).

        Side data are as `encode` takes them; classes that are left out take turns, and series have the lengths of the
        training data, unless `lengths=20` says otherwise; the steps beyond are NaN.
        """
        parts = list(self.sampled(n, noise, **side))
        return torch.cat(parts) if parts else torch.empty(0, *self.shape, device=self.device)

    def sampled(self, n: int, /, noise: bool = False, **side: Any) -> Iterator[Tensor]:
        """The data of `sample` in batches (<= 1024, *shape): memory does not grow with n."""
        if n < 0:
            raise DataError(f"sample cannot make {n} data")
        values = completed(self, self.decoder_inputs, side, n, turns=True)

        def drawn(start: int, stop: int) -> Tensor:
            with evaluating(self):
                own = rows_of(values, start, stop)
                x = self.decoded(self.draw(stop - start), own, noise)
                return self._blank(_finite(self.transforms.inverse(x), "sample"), own)

        return self.batches["sample"].over(n, drawn, self.device)

    def table(self, x: Tensor | np.ndarray[Any, Any]) -> dict[str, list[Any]]:
        """Data x (N, D) of a table as its columns by name: N numbers, truths, texts or dates each.

        A value is None where it is missing. Raises DataError where the model was not trained on a table.
        """
        if not self.schema.columns:
            raise DataError("the model was not trained on a table, so its data have no columns")
        x = as_tensor(x)
        if tuple(x.shape[1:]) != self.shape:
            raise DataError(f"table takes data of shape (N, {commas(self.shape)}), not {tuple(x.shape)}")
        return table_of(x, self.schema.columns)

    def interpolate(self, first: Tensor, last: Tensor, /, steps: int = 11, **side: Any) -> Tensor:
        """A path between two data x (*shape), decoded from points in equal steps between their codes.

        The path is a straight line, or, where latents lie on the sphere, a great circle.
        Side data are as `encode` takes them, the same for the whole path; a mask (2, T) is that of the two series, and
        the path has the steps of either.

        Returns:
            (steps, *shape): the first and the last are the reconstructions of the two data.
        """
        if steps < 2:
            raise DataError(f"an interpolation has at least its two ends, not {steps} steps")

        masks = side.get(MASK)
        if isinstance(masks, Tensor) and masks.ndim == 2 and self.schema.is_padded:
            side = {**side, MASK: masks.amax(0)}

        def path(of_encoder: Mapping[str, Any]) -> Tensor:
            own = {**of_encoder, **({} if masks is None else {MASK: masks})}
            start, stop = self.encode(torch.stack([first, last]), **own)
            fraction = torch.linspace(0, 1, steps, device=start.device).view(-1, *[1] * start.ndim)
            return between(start, stop, fraction, self.sampler.support)

        return self._decoded_again(path, side)

    def _decoded_again(
        self, encode: Callable[[Mapping[str, Any]], Tensor], side: Mapping[str, Any], noise: bool = False
    ) -> Tensor:
        """Latents of data decoded again: each way takes its own of the side data, and those of neither are refused."""
        side = with_mask(self, self.inputs, side)
        check_names(self, self.inputs, side)
        z = encode(own_side(self.encoder_inputs, side))
        return self.decode(z, noise, **own_side(self.decoder_inputs, side))

    def fitting(self, x: Data | np.ndarray[Any, Any]) -> Data:
        """The data x (N, *shape), an array as a tensor.

        Raises DataError, and warns, where they do not fit, as `encode` says.
        """
        x = self._shaped(x)
        name = type(self.likelihood).__name__ if self.config is None else self.config.likelihood.name
        recorded = None if self.data is None else self.data.range
        if not x.dtype.is_complex:
            check_masses(x, self.likelihood, f"likelihood '{name}'", self.transforms)
        check_fit(x, self.likelihood.support, recorded, f"likelihood '{name}'", self.transforms)
        return x

    def _shaped(self, x: Data | np.ndarray[Any, Any]) -> Data:
        """The data x (N, *shape), an array as a tensor; raises DataError where they have another shape."""
        x = x if isinstance(x, Reader) else as_tensor(x)
        if tuple(x.shape[1:]) != self.shape or x.ndim == 0:
            raise DataError(f"the model takes data of shape (N, {commas(self.shape)}), not {tuple(x.shape)}")
        return x

    def _whole(self, x: Data, side: Mapping[str, Tensor]) -> Data:
        """Data with a value at each step of series, whatever they hold where a step is not there."""
        return held(x, side[MASK].to(x.device)) if self.schema.is_padded and isinstance(x, Tensor) else x

    def _blank(self, x: Tensor, side: Mapping[str, Tensor]) -> Tensor:
        """Data with NaN at the steps of series that are not there."""
        return blank(x, side[MASK]) if self.schema.is_padded else x

    def _rows(self, inputs: Data, start: int, stop: int) -> Tensor:
        """Some rows on the device of the model, as it sees them."""
        return as_float(inputs[start:stop].to(self.device))

    def _streamed(self, output: Callable[[int, int], Tensor], count: int, work: str) -> Tensor:
        """The values of `output(start, stop)` over batches of `count` data, in eval mode and without gradients."""
        whole, start = None, 0
        with evaluating(self):
            for part in self.batches[work].over(count, output, self.device):
                if whole is None:  # all at once, as parts that wait to be joined would take as much again
                    whole = part.new_empty((count, *part.shape[1:]))
                whole[start : start + len(part)] = _finite(part, work)
                start += len(part)
            return output(0, 0) if whole is None else whole


def _apart(names: Sequence[str], x: Any, side: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Data and their side data of some names, which a split brings along."""
    return (x.x, {**own_side(names, x.named()), **side}) if isinstance(x, Split) else (x, dict(side))


def as_tensor(values: Tensor | np.ndarray[Any, Any]) -> Tensor:
    """The values as a tensor; an array may have any strides and flags."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _finite(values: Tensor, work: str) -> Tensor:
    """The values themselves; raises TrainingError where some are not finite."""
    if values.isfinite().all():
        return values
    raise TrainingError(f"{work} gives values that are not finite: the weights have run away; train the model again")


def commas(shape: Shape) -> str:
    """The numbers of a shape as text that follows a batch dimension: `1, 28, 28`."""
    return ", ".join(map(str, shape))
