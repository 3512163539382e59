"""Schedules: numbers that may change during training, such as the weight of a loss term or a learning rate."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from genkit.settings.base import Settings


class Ramp(Settings):
    """A straight line `from` -> `to` over some epochs, then `to`; with a `period` it starts again after each period.

    Without a period it is the warm-up of Sønderby et al. 2016 (arXiv:1602.02282); with one, the cyclical annealing of
    Fu et al. 2019 (arXiv:1903.10145) with the proportion R = `epochs / period`.
    """

    start: Annotated[float, Field(alias="from", description="the value at the start")]
    end: Annotated[float, Field(alias="to", description="the value at the end of the ramp, and after it")]
    epochs: Annotated[float, Field(gt=0, description="how many epochs the ramp takes")]
    period: Annotated[
        float | None, Field(gt=0, description="the number of epochs after which the ramp starts again; null: never")
    ] = None

    def at(self, epoch: float) -> float:
        """The value after `epoch` epochs; a fraction means some of the steps of an epoch."""
        if self.period is not None:
            epoch = math.fmod(epoch, self.period)
        return self.start + (self.end - self.start) * min(epoch / self.epochs, 1.0)


class _NumberOrRamp:
    def validate(self, value: Any) -> float | Ramp:
        if isinstance(value, Ramp):
            return value
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        if isinstance(value, Mapping):
            return Ramp.model_validate(value)
        raise PydanticCustomError("schedule_type", "must be a number, or a mapping {from: , to: , epochs: }")

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.model_dump(mode="json", by_alias=True) if isinstance(value, Ramp) else value
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, handler(Ramp.__pydantic_core_schema__)]}


Schedule = Annotated[float | Ramp, _NumberOrRamp()]
"""A number, or a ramp `{from: 0, to: 1, epochs: 5}`."""


def value_at(schedule: float | Ramp, epoch: float) -> float:
    """The value of a schedule after `epoch` epochs."""
    return schedule.at(epoch) if isinstance(schedule, Ramp) else schedule
