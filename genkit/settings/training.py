"""The options of training: its length, its steps, the weights that it starts and ends with, and its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from genkit.settings.base import Settings, nearest
from genkit.settings.optimizers import Adam, Optimizer
from genkit.settings.patience import Patience


class Stop(Patience):
    """When training ends before its last epoch: the validation data have not become better for some epochs in a row."""


class Average(Settings):
    """An exponential moving average of the weights over the steps of training (Polyak & Juditsky 1992).

    The steps are the model's own: updates of a critic alone, where its `steps` are more than one, do not count (Yazıcı
    et al. 2019, arXiv:1806.04498: the average is taken after each update of the generator).

    It is corrected for its start as Adam's moments are (Kingma & Ba 2015, arXiv:1412.6980, section 3): after t steps it
    is the sum of (1 - decay) decay^(t - i) w_i over the steps i, divided by 1 - decay^t.
    """

    decay: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            description="the factor of the average at each update of the model, which a critic's `steps` make rarer; "
            "it spans 1 / (1 - decay) updates",
        ),
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

    @field_validator("freeze")
    @classmethod
    def _frozen_parts_start_from_it(cls, freeze: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        parts = info.data.get("parts")
        for name in freeze:
            if parts is not None and name not in parts:
                raise PydanticCustomError("freeze", f"init.parts has no '{name}' to freeze; {nearest(name, parts)}")
        return freeze


def _no_number(value: Any) -> Any:
    """Refuse 0 and 1, which Python takes for False and True."""
    if isinstance(value, int) and not isinstance(value, bool):
        raise PydanticCustomError("no_number", "must be 'auto', True or False")
    return value


class TrainingConfig(Settings):
    """The options of training."""

    epochs: Annotated[
        int | None, Field(ge=1, description="how many times training passes over the training data; null: see `steps`")
    ] = 10
    steps: Annotated[
        int | None,
        Field(ge=1, description="how many steps training takes, in place of a number of epochs; null: see `epochs`"),
    ] = None
    batch_size: Annotated[int, Field(ge=1, description="how many data one step sees")] = 128
    accumulate: Annotated[
        int,
        Field(
            ge=1,
            description="over how many batches a step adds up its gradients, as of one batch that holds all their data",
        ),
    ] = 1
    optimizer: Annotated[Optimizer, Field(description="the optimizer, by its name or with its options")] = Adam()
    clip_norm: Annotated[
        float | None,
        Field(
            gt=0,
            description="the greatest norm of the gradients of a step: larger ones are scaled down to it; null: any",
        ),
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"],
        Field(description="where the model is trained; auto: on a GPU where there is one"),
    ] = "auto"
    threads: Annotated[
        Annotated[int, Field(ge=1, le=4096)] | Literal["free"] | None,
        Field(
            description="over how many threads of the processor training computes; free: as many as there are cores "
            "without other work when the run begins; null: as torch has it, one for each core. The number is "
            "recorded, and a run that goes on keeps it, because another one adds up in another order"
        ),
    ] = None
    precision: Annotated[
        Literal["float32", "tf32", "bfloat16", "float16"],
        Field(
            description="the precision that encoder and decoder are fitted in; weights and figures are float32 in "
            "any case, and float16 scales its loss"
        ),
    ] = "float32"
    compile: Annotated[
        Literal["auto", True, False],
        BeforeValidator(_no_number),
        Field(description="whether steps are compiled by torch.compile; auto: where a run is long enough to gain"),
    ] = "auto"
    on_nonfinite: Annotated[
        Literal["stop", "skip", "rollback"],
        Field(
            description="what a step does whose loss or gradient is not finite; stop: it ends training, before its "
            "update; skip: it is left out; rollback: training goes back to its last checkpoint and on with other "
            "draws, up to three times"
        ),
    ] = "stop"
    stop: Annotated[
        Stop | None, Field(description="when training ends before its last epoch; null: it goes to its end")
    ] = None
    keep: Annotated[
        Literal["last", "best"],
        Field(
            description="the weights that are evaluated, drawn and saved; last: those at the end; best: those of the "
            "epoch in which the figure that `stop` monitors, or the loss, was best on the validation data"
        ),
    ] = "last"
    ema: Annotated[
        OptionalAverage,
        Field(
            description="an exponential moving average of the weights, which is evaluated, drawn and saved in their "
            "place: its decay, or its options; null: none"
        ),
    ] = None
    checkpoint: Annotated[Checkpoints, Field(description="how often a checkpoint is written")] = Checkpoints(epochs=1)

    @model_validator(mode="before")
    @classmethod
    def _steps_in_place_of_epochs(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and value.get("steps") is not None and "epochs" not in value:
            return {**value, "epochs": None}
        return value

    @model_validator(mode="after")
    def _one_length(self) -> TrainingConfig:
        if (self.epochs is None) == (self.steps is None):
            which = "neither epochs nor steps" if self.epochs is None else "both epochs and steps"
            raise PydanticCustomError("length", f"says {which}: give one of them a number, and the other null")
        return self

    def steps_per_epoch(self, count: int) -> int:
        """The number of steps in a pass over `count` training data."""
        return math.ceil(math.ceil(count / self.batch_size) / self.accumulate)

    def epochs_over(self, count: int) -> int:
        """The number of epochs over `count` training data; where the steps are given, the last may be cut."""
        if self.epochs is not None:
            return self.epochs
        assert self.steps is not None
        return math.ceil(self.steps / self.steps_per_epoch(count))

    def steps_over(self, count: int) -> int:
        """The number of steps over `count` training data in all epochs."""
        return self.epochs_over(count) * self.steps_per_epoch(count) if self.steps is None else self.steps
