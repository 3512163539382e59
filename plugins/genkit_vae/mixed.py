"""The likelihood of a table: each column has the density of its kind.

B data, K draws, D places of a datum, C categorical columns, W the largest number of categories.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from genkit.errors import ComponentError
from genkit.interfaces import Column, Likelihood, Shape
from genkit.interfaces.columns import laid_out, marks_tensor, observed


class MixedLikelihood(Likelihood):
    """p(x|z) = Π over the columns: normal for numbers and dates, Bernoulli for truths, categorical for categories.

    A column with missing values has a Bernoulli for its mark, and its own density where its value is there:
    log p(x|z) = Σ_c log Bernoulli(m_c; z) + (1 − m_c) log p(x_c|z), as for values that are missing at random given z
    (Nazábal et al. 2020, arXiv:1807.03653, equations 3 and 4, with the mark added). The scale of a normal is learned,
    one per column. A drawn row has a value for each column, marked as missing or not: the value would be there if the
    row were complete.

    Args:
        config: the least scale.
        shape: (D,)
        columns: the columns of the table; (): each value is a number.
    """

    asks = ("columns",)

    class Config(Likelihood.Config):
        """Options of the mixed likelihood."""

        name: Literal["mixed"] = "mixed"
        least_scale: Annotated[
            float,
            Field(
                gt=0,
                lt=1,
                description="the least standard deviation of a column of numbers, in the model's units: the density of "
                "numbers of few different values, such as counts, would grow without bound",
            ),
        ] = 0.05

    numbers: Tensor
    truths: Tensor
    categories: Tensor
    is_category: Tensor
    places: Tensor
    order: Tensor
    marks: Tensor | None

    def __init__(self, config: Config, shape: Shape, columns: tuple[Column, ...] = ()) -> None:
        super().__init__(config, shape)
        if len(shape) != 1:
            raise ComponentError(f"it takes rows of a table, (D,), such as data 'table' gives; not {tuple(shape)}")
        columns = columns or laid_out(Column(name=str(place), kind="numeric") for place in range(shape[0]))
        self.params_shape, self.least = shape, config.least_scale
        numbers = [column.start for column in columns if column.is_number]
        truths = [column.start for column in columns if column.kind == "boolean"]
        truths += [column.mark for column in columns if column.mark is not None]
        groups = [range(c.start, c.start + c.width) for c in columns if c.kind == "categorical"]
        width = max(map(len, groups), default=1)
        categories = [[*group, *[group[0]] * (width - len(group))] for group in groups]
        is_category = [[place < len(group) for place in range(width)] for group in groups]
        self._keep("numbers", torch.tensor(numbers, dtype=torch.long))
        self._keep("truths", torch.tensor(truths, dtype=torch.long))
        self._keep("categories", torch.tensor(categories, dtype=torch.long).reshape(len(groups), width))
        self._keep("is_category", torch.tensor(is_category, dtype=torch.bool).reshape(len(groups), width))
        self._keep("places", self.is_category.flatten().nonzero().flatten())
        order = torch.cat([self.numbers, self.truths, self.categories.flatten()[self.places]])
        self._keep("order", order.argsort())
        self._keep("marks", marks_tensor(columns, shape[0]))
        self.log_scale = nn.Parameter(torch.full((len(numbers),), math.log(1 - self.least)))

    def _keep(self, name: str, values: Tensor | None) -> None:
        self.register_buffer(name, values, persistent=False)

    @property
    def scale(self) -> Tensor:
        """The standard deviations of the numbers, in the order of their columns."""
        return self.least + self.log_scale.exp()

    def log_prob(self, x: Tensor, params: Tensor) -> Tensor:
        """x (B, D), params (K, B, D): means, logits of truths and marks, logits of categories -> (K, B) nats."""
        value, scale = x[:, self.numbers], self.scale
        squares = ((value - params[..., self.numbers]) / scale).square()
        normal = -(squares / 2 + scale.log() + math.log(2 * math.pi) / 2)
        logits = params[..., self.truths]
        bernoulli = x[:, self.truths] * logits - F.softplus(logits)
        log_softmax = self._logits(params).log_softmax(-1)
        chosen = (x[:, self.categories] * log_softmax.masked_fill(~self.is_category, 0)).sum(-1)
        if self.marks is not None:
            there = observed(x, self.marks)
            normal, bernoulli = normal * there[:, self.numbers], bernoulli * there[:, self.truths]
            chosen = chosen * there[:, self.categories[:, 0]]
        return normal.sum(-1) + bernoulli.sum(-1) + chosen.sum(-1)

    def _logits(self, params: Tensor) -> Tensor:
        """The logits of the categories: (..., D) -> (..., C, W), −∞ beyond those of a column."""
        return params[..., self.categories].masked_fill(~self.is_category, -math.inf)

    def _joined(self, numbers: Tensor, truths: Tensor, categories: Tensor) -> Tensor:
        """Values by kind, those of the categories (..., C, W), as data (..., D)."""
        return torch.cat([numbers, truths, categories.flatten(-2)[..., self.places]], -1)[..., self.order]

    def mean(self, params: Tensor) -> Tensor:
        """Means of numbers, and probabilities: (..., D) -> (..., D)."""
        truths = torch.sigmoid(params[..., self.truths])
        return self._joined(params[..., self.numbers], truths, self._logits(params).softmax(-1))

    def sample(self, params: Tensor) -> Tensor:
        """A draw, in which each column has one category: (..., D) -> (..., D)."""
        means, logits = params[..., self.numbers], self._logits(params)
        uniform = torch.rand_like(logits).clamp_min(torch.finfo(logits.dtype).tiny)
        gumbel = -(-uniform.log()).log()  # the largest logit with Gumbel noise is a draw (Gumbel 1954)
        drawn = F.one_hot((logits + gumbel).argmax(-1), logits.shape[-1])
        truths = torch.bernoulli(torch.sigmoid(params[..., self.truths]))
        return self._joined(means + self.scale * torch.randn_like(means), truths, drawn.to(params.dtype))
