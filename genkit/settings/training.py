"""Groups of options of training: the weights that it starts and ends with, when it ends, and its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from genkit.settings.base import Settings
from genkit.settings.patience import Patience


class Stop(Patience):
    """When training ends before its last epoch: the validation data have not become better for some epochs in a row."""


class Average(Settings):
    """An exponential moving average of the weights over the steps of training (Polyak & Juditsky 1992).

    It is corrected for its start as Adam's moments are (Kingma & Ba 2015, arXiv:1412.6980, section 3): after t steps it
    is the sum of (1 - decay) decay^(t - i) w_i over the steps i, divided by 1 - decay^t.
    """

    decay: Annotated[
        float, Field(gt=0, lt=1, description="the factor of the average at each step; it spans 1 / (1 - decay) steps")
    ] = 0.999


def _decay(value: Any) -> Any:
    """The options that a number alone stands for."""
    return {"decay": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


OptionalAverage = Annotated[Average | None, BeforeValidator(_decay, json_schema_input_type=Average | float | None)]
"""The options of an average, or its decay alone, or none."""


class Checkpoints(Settings):
    """How often a checkpoint is written, beside the one where training ends or is interrupted: one of three counts."""

    epochs: Annotated[int | None, Field(ge=1, description="the number of epochs from one to the next")] = None
    steps: Annotated[
        int | None, Field(ge=1, description="the number of steps from one to the next, within an epoch too")
    ] = None
    minutes: Annotated[
        float | None, Field(gt=0, description="the minutes from one to the next, within an epoch too")
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _each_epoch(cls, value: Any) -> Any:
        counts = {"epochs", "steps", "minutes"}
        if isinstance(value, Mapping) and not any(value.get(each) is not None for each in counts):
            return {**value, "epochs": 1}
        return value

    @model_validator(mode="after")
    def _one_count(self) -> Checkpoints:
        counts = {name: getattr(self, name) for name in ("epochs", "steps", "minutes")}
        names = [name for name, count in counts.items() if count is not None]
        if len(names) > 1:
            raise PydanticCustomError("one_count", f"says {' and '.join(names)}: keep one of them")
        return self


class Init(Settings):
    """The trained model whose weights parts of this one start from."""

    source: Annotated[
        str, Field(alias="from", min_length=1, description="a finished run, a model file, or hf://USER/REPO[@REVISION]")
    ]
    parts: Annotated[
        tuple[str, ...] | None,
        Field(
            min_length=1,
            description="the parts that start from it: encoder, sampler, prior, decoder, likelihood, losses; null: "
            "all, and each has to be there in the same form",
        ),
    ] = None
    freeze: Annotated[
        tuple[str, ...],
        Field(
            description="which of these parts are not fitted: their weights stay, and they run as in evaluation, so "
            "that normalization and dropout stay as they are too"
        ),
    ] = ()

    @model_validator(mode="after")
    def _frozen_parts_start_from_it(self) -> Init:
        strange = [name for name in self.freeze if self.parts is not None and name not in self.parts]
        if strange:
            raise PydanticCustomError("freeze", f"freeze: '{strange[0]}' is not one of the parts")
        return self
