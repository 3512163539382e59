"""Architectures of transformers: their names, their configs, and their networks with new weights.

Nothing is downloaded, and no code is run but that of the installed transformers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args

from genkit import Shape
from genkit.errors import ComponentError
from genkit.settings.base import nearest
from torch import nn
from transformers import AutoModel, PreTrainedConfig
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

DATA_OPTIONS = ("num_channels", "image_size")
"""Options that follow from the shape of the data."""


def names() -> set[str]:
    """The architectures that classify images or are backbones of other models, as transformers calls them."""
    of_images = {
        *modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES,
        *modeling_auto.MODEL_FOR_BACKBONE_MAPPING_NAMES,
    }
    return of_images & set(modeling_auto.MODEL_MAPPING_NAMES)


def settings(model: str, options: Mapping[str, Any], shape: Shape) -> Any:
    """The transformers config of an architecture, for images of a shape (C, H, W).

    Raises:
        ComponentError: an architecture or option does not exist, a value is refused, or the images do not fit.
    """
    if model not in names():
        raise ComponentError(f"model: transformers has no vision backbone '{model}'; {nearest(model, names())}")
    config_class: Any = CONFIG_MAPPING[model]
    own_options = _fields(config_class) - _fields(PreTrainedConfig)
    for key in options:
        if key in DATA_OPTIONS:
            raise ComponentError(f"options: '{key}' follows from the data; leave it out")
        if key not in own_options:
            own = {name for name in own_options.difference(DATA_OPTIONS) if not name.startswith("_")}
            raise ComponentError(f"options: {model} has no option '{key}'; {nearest(key, own)}")
    try:
        config = config_class(**_data_options(config_class, shape), **options)
    except Exception as error:
        raise ComponentError(f"options: {model} refuses them: {in_a_line(error)}") from None
    _check_patches(config, *shape[1:])
    return config


def network(config: Any) -> nn.Module:
    """The network of a config, with weights from torch's current random state.

    Raises:
        ComponentError: the network cannot be built.
    """
    try:
        built: nn.Module = AutoModel.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise ComponentError(f"{config.model_type} cannot be built: {in_a_line(error)}") from None
    return built


def _fields(kind: Any) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def _data_options(kind: Any, shape: Shape) -> dict[str, Any]:
    """The options among DATA_OPTIONS that a config has, with their values for images of a shape (C, H, W)."""
    types = {field.name: field.type for field in dataclasses.fields(kind) if field.name in DATA_OPTIONS}
    channels, height, width = shape
    one_number = int in (types.get("image_size"), *get_args(types.get("image_size")))
    values = {"num_channels": channels, "image_size": height if one_number and height == width else [height, width]}
    return {name: value for name, value in values.items() if name in types}


def _check_patches(config: Any, height: int, width: int) -> None:
    """Refuse images that patches do not tile: a plain vision transformer leaves the rest of such an image unread."""
    patch = getattr(config, "patch_size", None)
    if not isinstance(patch, int) or hasattr(config, "depths"):  # architectures in stages pad, or pool by themselves
        return
    if height % patch or width % patch:
        small = "too small for" if min(height, width) < patch else "no whole number of"
        raise ComponentError(
            f"images of {height} x {width} are {small} {config.model_type}'s patches of {patch} x {patch}; give "
            "a patch_size in `options` that divides both"
        )


def in_a_line(error: Exception) -> str:
    """The type and the text of an error in one line of at most 300 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]
