"""Schedules: numbers that may change during training, such as the weight of a loss term or a learning rate."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Protocol

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from genkit.settings.base import Settings, nearest
from genkit.settings.patience import Patience


class Curve(Settings, ABC):
    """Options of every schedule that is more than a number. A fraction of an epoch means some of its steps.

    No value lies outside the range of 0, `start` and `last`.
    """

    schedule: Annotated[str, Field(description="the name of the schedule")]
    start: Annotated[float, Field(alias="from", description="the value at the start")]

    @abstractmethod
    def at(self, epoch: float) -> float:
        """The value after `epoch` epochs."""

    @property
    @abstractmethod
    def last(self) -> float:
        """The value at the end of the schedule."""


class Directed(Curve, ABC):
    """A schedule that says where it ends."""

    end: Annotated[float, Field(alias="to", description="the value at the end")]

    @property
    def last(self) -> float:
        """The value `to`."""
        return self.end


class Ramp(Directed):
    """A straight line `from` -> `to` over some epochs, then `to`; with a `period` it starts again after each period.

    Without a period it is the warm-up of Sønderby et al. 2016 (arXiv:1602.02282); with one, the cyclical annealing of
    Fu et al. 2019 (arXiv:1903.10145) with the proportion R = `epochs / period`.
    """

    schedule: Annotated[Literal["linear"], Field(description="the name of the schedule; it may be left out")] = "linear"
    end: Annotated[float, Field(alias="to", description="the value at the end of the ramp, and after it")]
    epochs: Annotated[float, Field(gt=0, description="how many epochs the ramp takes")]
    period: Annotated[
        float | None, Field(gt=0, description="the number of epochs after which the ramp starts again; null: never")
    ] = None

    def at(self, epoch: float) -> float:
        """The value after `epoch` epochs."""
        if self.period is not None:
            epoch = math.fmod(epoch, self.period)
        return self.start + (self.end - self.start) * min(epoch / self.epochs, 1.0)


class Cosine(Directed):
    """Half a cosine `from` -> `to`, then `to`; a warm-up, a straight line 0 -> `from`, may come before it.

    The cosine is that of Loshchilov & Hutter 2017 (arXiv:1608.03983, eq. 5) without restarts, the warm-up that of Goyal
    et al. 2017 (arXiv:1706.02677, section 2.2).
    """

    schedule: Annotated[Literal["cosine"], Field(description="the name of the schedule")] = "cosine"
    start: Annotated[float, Field(alias="from", description="the value at the start of the cosine")]
    end: Annotated[float, Field(alias="to", description="the value at its end, and after it")] = 0.0
    epochs: Annotated[float, Field(gt=0, description="after how many epochs it ends, those of the warm-up included")]
    warm_up: Annotated[float, Field(ge=0, description="how many of these epochs are the warm-up")] = 0.0

    @model_validator(mode="after")
    def _ends_after_its_warm_up(self) -> Cosine:
        if self.warm_up >= self.epochs:
            raise PydanticCustomError("warm_up", "warm_up must be below epochs, which it is a part of")
        return self

    def at(self, epoch: float) -> float:
        """The value after `epoch` epochs."""
        if epoch < self.warm_up:
            return self.start * epoch / self.warm_up
        progress = min((epoch - self.warm_up) / (self.epochs - self.warm_up), 1.0)
        return self.end + (self.start - self.end) * (1 + math.cos(math.pi * progress)) / 2


class Steps(Curve):
    """A value that is multiplied by a factor after each of some numbers of epochs, and does not change in between."""

    schedule: Annotated[Literal["steps"], Field(description="the name of the schedule")] = "steps"
    factor: Annotated[float, Field(gt=0, description="the factor of each step")]
    after: Annotated[
        tuple[Annotated[float, Field(gt=0)], ...],
        Field(min_length=1, description="the numbers of epochs after which there is a step"),
    ]

    def at(self, epoch: float) -> float:
        """The value after `epoch` epochs."""
        return self.start * self.factor ** sum(epoch >= each for each in self.after)

    @property
    def last(self) -> float:
        """The value after all steps."""
        return self.at(math.inf)


class Plateau(Directed, Patience):
    """A value that is multiplied by a factor whenever validation has not become better for some epochs."""

    schedule: Annotated[Literal["plateau"], Field(description="the name of the schedule")] = "plateau"
    factor: Annotated[float, Field(gt=0, lt=1, description="the factor of each step down")] = 0.1
    end: Annotated[float, Field(alias="to", ge=0, description="the value below which no step goes")] = 0.0

    def at(self, epoch: float) -> float:
        """The value before any step; `reduced` gives the others."""
        return self.start

    def reduced(self, times: int) -> float:
        """The value after so many steps down."""
        return max(self.start * self.factor**times, min(self.start, self.end))


class _Scheduled:
    """A number, or a mapping whose `schedule` says which of some kinds of curves it is; without one, it is linear."""

    def __init__(self, *kinds: type[Curve]) -> None:
        self.kinds: dict[str, type[Curve]] = {kind.model_fields["schedule"].default: kind for kind in kinds}

    def validate(self, value: Any) -> float | Curve:
        if isinstance(value, Curve) and type(value) in self.kinds.values():
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        if isinstance(value, Mapping):
            name = str(value.get("schedule", "linear"))
            if name not in self.kinds:
                raise PydanticCustomError("schedule", f"no schedule here is '{name}'; {nearest(name, self.kinds)}")
            return self.kinds[name].model_validate(value)
        raise PydanticCustomError("schedule_type", "must be a number, or a mapping {from: , to: , epochs: }")

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.model_dump(mode="json", by_alias=True) if isinstance(value, Curve) else value
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        curves = [handler(kind.__pydantic_core_schema__) for kind in self.kinds.values()]
        return {"anyOf": [{"type": "number"}, *curves]}


Schedule = Annotated[float | Curve, _Scheduled(Ramp, Cosine, Steps)]
"""A number, or what it does by itself: a ramp `{from: 0, to: 1, epochs: 5}`, a cosine, steps."""
Rate = Annotated[float | Curve, _Scheduled(Ramp, Cosine, Steps, Plateau)]
"""A schedule of a learning rate, which may also follow validation."""


class Varying(Protocol):
    """A number that changes with the epoch."""

    def at(self, epoch: float) -> float:
        """The value after `epoch` epochs."""


def value_at(schedule: float | Varying, epoch: float) -> float:
    """The value of a schedule after `epoch` epochs."""
    return schedule if isinstance(schedule, int | float) else schedule.at(epoch)


def last_of(schedule: float | Curve) -> float:
    """The value that a schedule ends with."""
    return schedule.last if isinstance(schedule, Curve) else schedule
