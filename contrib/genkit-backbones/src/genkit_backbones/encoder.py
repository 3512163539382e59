"""The encoder. Shapes: B data in a batch, C channels, H x W pixels, D features, h x w and T places."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from genkit import Encoder, Shape
from genkit.errors import ComponentError
from pydantic import Field, JsonValue
from torch import Tensor, nn

WHO = "encoder 'backbone'"


class BackboneEncoder(Encoder):
    """A vision backbone of Hugging Face transformers, its weights drawn afresh: x (B, C, H, W) -> (B, D).

    The features are the pooled output of the architecture, or, if it has none, the mean of its last hidden state over
    its places. Parameters that have no part in the features are frozen.

    Args:
        config: the architecture and its options.
        shape: (C, H, W); the architecture's options for channels and size follow from it.

    Raises:
        ComponentError: the data are no images, transformers has no such architecture or option, or the architecture
            does not take such images.

    Example:
        >>> sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
        >>> encoder = BackboneEncoder(BackboneEncoder.Config(model="resnet", options=sizes), shape=(1, 28, 28))
        >>> encoder(torch.zeros(5, 1, 28, 28)).shape
        torch.Size([5, 16])
    """

    class Config(Encoder.Config):
        """Options of the backbone encoder."""

        name: Literal["backbone"] = "backbone"
        model: Annotated[
            str, Field(description="the architecture by its name in transformers: resnet, convnext, vit, swin, ...")
        ] = "resnet"
        options: Annotated[
            dict[str, JsonValue],
            Field(
                default_factory=dict,
                description="options of the architecture's own config in transformers, such as hidden_sizes",
            ),
        ]
        pooled: Annotated[
            bool,
            Field(description="whether the last hidden state is pooled over its places; false: every place is kept"),
        ] = True

    def __init__(self, config: Config, shape: Shape) -> None:
        super().__init__(config, shape)
        from genkit_backbones import architectures

        if len(shape) != 3:
            raise ComponentError(f"{WHO} takes images (C, H, W), not data of shape {tuple(shape)}")
        self.pooled = config.pooled
        try:
            settings = architectures.settings(config.model, config.options, shape)
            self.network: nn.Module = architectures.network(settings)
        except ComponentError as error:
            raise ComponentError(f"{WHO}: {error}") from None
        self.out_shape = self._check_output(settings, shape)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> features (B, D)."""
        return self._features(self.network(pixel_values=x))

    def _features(self, output: Any) -> Tensor:
        hidden: Tensor = output.last_hidden_state  # maps (B, D, h, w), or tokens (B, T, D)
        if not self.pooled:
            return hidden.flatten(1)
        own: Tensor | None = getattr(output, "pooler_output", None)
        if own is not None:
            return own.flatten(1)
        return hidden.mean((2, 3)) if hidden.ndim == 4 else hidden.mean(1)

    def _check_output(self, settings: Any, shape: Shape) -> Shape:
        """The shape of a datum's features, by a pass on the meta device; freezes parameters without a part in them."""
        from genkit_backbones import architectures

        with torch.device("meta"), torch.enable_grad():
            twin = architectures.network(settings).eval()
            try:
                features = self._features(twin(pixel_values=torch.zeros(2, *shape)))
            except Exception as error:
                raise ComponentError(
                    f"{WHO}: {settings.model_type} makes no features of images {tuple(shape)} "
                    f"({architectures.in_a_line(error)}): they are too small or of a form that it does not take, which "
                    "`options` may mend, or it does not work on images alone"
                ) from None
            features.sum().backward()
        for name, parameter in twin.named_parameters():
            if parameter.grad is None:
                self.network.get_parameter(name).requires_grad_(False)
        return (features.shape[1],)
