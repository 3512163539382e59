"""A metric of how well codes survive the decoder.

N draws, D latent dimensions.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from genkit import Description, Metric, MetricData, TrainedModel, hookimpl
from pydantic import Field


class SketchMetric(Metric):
    """The mean of ‖encode(decode(z)) − z‖² / D over draws z from the prior: 0 where the encoder inverts the decoder.

    Args:
        config: the number of draws.
    """

    needs = ("encoder", "prior")
    figures: Mapping[str, Description] = {
        "error": Description(
            "cycle error of the latents", better="lower", sentence="Mean of (encode(decode(z)) - z)², z from the prior."
        ),
    }

    class Config(Metric.Config):
        """Options of the metric."""

        name: Literal["sketch"] = "sketch"
        count: Annotated[int, Field(ge=1, description="the number N of draws from the prior")] = 1000

    config: Config

    def measure(self, model: TrainedModel, data: MetricData, seed: int) -> Mapping[str, float]:
        """The mean over the draws and the dimensions; torch is seeded already."""
        z = model.draw(self.config.count)
        again = model.encode(model.decode(z))
        return {"error": float((again - z).square().mean())}


@hookimpl
def components() -> list[type[Metric]]:
    """One metric."""
    return [SketchMetric]
