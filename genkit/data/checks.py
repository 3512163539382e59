"""Checks of data for every use, training or trained: finite, within a likelihood's support, near the recorded range."""

from __future__ import annotations

import math
import warnings

import torch

from genkit.data.extent import Range, blocks, extent
from genkit.data.transforming import Chain
from genkit.errors import DataError, GenkitWarning
from genkit.interfaces import Likelihood
from genkit.interfaces.reader import Data

FAR = 10.0
"""How far data may lie outside the range of the training data, in widths of that range, before a warning says so."""
BETWEEN = 0.01
"""How far from a level, in steps, a value may lie: float32 cannot hold all levels exactly."""


def check_values(x: Data, where: str) -> None:
    """Refuse data (N, *shape) with values that are not finite; raises DataError with the first, after `where`."""
    if not x.dtype.is_floating_point or x.numel() == 0 or all(map(math.isfinite, extent(x))):
        return
    count, place, first, value = 0, 0, -1, 0.0
    for block in blocks(x):
        finite = torch.isfinite(block)
        bad = (~finite).flatten(1).any(1).nonzero().flatten()
        if first < 0 and len(bad):
            first, value = place + int(bad[0]), block[bad[0]][~finite[bad[0]]].flatten()[0].item()
        count, place = count + len(bad), place + len(block)
    raise DataError(
        f"{where}: {count} of {len(x)} data hold NaN or infinite values "
        f"(the first: datum {first}, {value}); remove or replace them"
    )


def check_range(x: Data, low: float, high: float, who: str, transforms: Chain | None = None) -> None:
    """Refuse values outside [low, high]; raises DataError, where `who` is the part that takes only these.

    Args:
        x: the data (N, *shape), as they are stored.
        low: the least value that is taken.
        high: the greatest one.
        who: the part, for the message.
        transforms: what the data go through before; None: nothing.
    """
    _check_within(transforms.extent(x) if transforms else extent(x), (low, high), who)


def _check_within(limits: Range, support: Range, who: str) -> None:
    (least, greatest), (low, high) = limits, support
    if least < low or greatest > high:
        raise DataError(
            f"{who} takes values from {low:g} to {high:g}, and the data go from {least:g} to {greatest:g}; "
            "bring them into that range, with data.range where the source has that option, or choose another likelihood"
        )


def check_support(x: Data, likelihood: Likelihood | type[Likelihood], who: str, transforms: Chain) -> None:
    """Refuse data without a density under a likelihood; raises DataError. Arguments as for `check_range`."""
    check_masses(x, likelihood, who, transforms)
    check_range(x, *likelihood.support, who, transforms)


def check_masses(x: Data, likelihood: Likelihood | type[Likelihood], who: str, transforms: Chain) -> None:
    """Refuse values between those that alone have a mass; raises DataError. Arguments as for `check_range`."""
    if likelihood.whole_numbers:
        check_counts(x, who, transforms)
    elif likelihood.levels is not None:
        check_levels(x, likelihood.levels, likelihood.support, who, transforms)


def check_levels(x: Data, levels: int, support: Range, who: str, transforms: Chain) -> None:
    """Refuse data between the levels of a range; raises DataError with the first. Arguments as for `check_range`."""
    low, high = support
    step = (high - low) / (levels - 1)
    for block in transforms.blocks(x):
        places = (block - low) / step
        odd = ((places - places.round()).abs() > BETWEEN) & block.isfinite()
        if bool(odd.any()):
            raise DataError(
                f"{who} takes {levels} values, in steps of {step:.6g} from {low:g} to {high:g}, and the data have "
                f"{float(block[odd][0]):.6g}: state the levels and the range that the data have (levels, range), or "
                "choose a likelihood of real numbers"
            )


def check_counts(x: Data, who: str, transforms: Chain) -> None:
    """Refuse data with fractions or below 0; raises DataError with the first. Arguments as for `check_range`."""
    for block in transforms.blocks(x):
        odd = ((block != block.round()) | (block < 0)) & block.isfinite()
        if bool(odd.any()):
            through = f", once they went through {', '.join(transforms.lasting)}" if transforms.lasting else ""
            raise DataError(
                f"{who} takes whole numbers from 0, such as counts, and the data have {float(block[odd][0]):.6g}"
                f"{through}: {_remedy(x, transforms)}, or choose another likelihood"
            )


def _remedy(x: Data, transforms: Chain) -> str:
    """What makes counts of data that are none."""
    if x.dtype == torch.uint8:
        return "bytes are read as x / 255, and data.range=[0,1] leaves them as they are"
    if transforms.lasting:
        return "leave data.transform out; encoder_transform=log1p lets the encoder alone see logarithms"
    return "read the raw counts, which AnnData files often hold in a layer (data.layer)"


def check_fit(x: Data, support: Range, recorded: Range | None, who: str, transforms: Chain | None = None) -> None:
    """Refuse data that a trained model cannot take, and warn (GenkitWarning) of data far from those it was trained on.

    Args:
        x: the data (N, *shape), as they are stored.
        support: the least and the greatest value with a density.
        recorded: the least and the greatest value of the training data; None: not recorded.
        who: the likelihood, for the message.
        transforms: what the data go through before they reach the likelihood; None: nothing.

    Raises:
        DataError: values are not finite, or outside the support or the domain of a transform.
    """
    if x.numel() == 0:
        return
    if x.dtype.is_complex:
        raise DataError(f"the data are {x.dtype}; the model takes real numbers")
    least, greatest = extent(x)
    if not (math.isfinite(least) and math.isfinite(greatest)):
        check_values(x, "the data")
    _check_within(transforms.extent(x) if transforms else (least, greatest), support, who)
    if recorded is None:
        return
    low, high = recorded
    room = FAR * ((high - low) or max(1.0, abs(high)))
    if least < low - room or greatest > high + room:
        warnings.warn(
            f"the data go from {least:g} to {greatest:g}, far beyond those that the model was trained on, {low:g} to "
            f"{high:g}: bring them to the same scale, with data.range where the source has that option",
            GenkitWarning,
            stacklevel=3,
        )
