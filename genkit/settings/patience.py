"""Patience: options of whatever follows a figure of the validation data from epoch to epoch."""

from __future__ import annotations

from abc import ABC
from typing import Annotated, Literal

from pydantic import Field

from genkit.settings.base import Settings

Figure = Literal["loss", "elbo", "reconstruction"]
"""A figure of the validation data; `loss` has each weight at the end of its schedule, and no term with a critic."""


class Patience(Settings, ABC):
    """Options of whatever waits for a figure of the validation data to become better."""

    patience: Annotated[
        int, Field(ge=1, description="for how many epochs in a row the figure may not become better")
    ] = 5
    monitor: Annotated[
        Figure,
        Field(
            description="the figure of the validation data; loss: the objective with each weight at the end of its "
            "schedule, without terms that have a critic; elbo: whatever the weights"
        ),
    ] = "loss"
    min_delta: Annotated[
        float, Field(ge=0, description="by how many nats per datum a figure has to change in order to be better")
    ] = 0.0
