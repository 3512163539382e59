"""The data of a command: a split of those that a model was trained on, or all of a file that it has not seen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from genkit.data.dataset import Dataset
from genkit.data.paths import anchored
from genkit.errors import DataError
from genkit.interfaces import DataSource
from genkit.interfaces.data import FILE
from genkit.model.model import Model
from genkit.runs.asking import check_asked
from genkit.runs.changes import check_data
from genkit.runs.opening import folder_of, load_for, model_and_data_config, reopen, warn_of
from genkit.sharing import weights

USUAL = "test"
"""The split of a run's own data that is taken where nobody says another."""
SPLITTING = ("validation", "test", "split_seed", "keep")
"""The options that say how data are split: who types one wants it to be done."""


class Reopened(NamedTuple):
    """A trained model and the data of a command."""

    model: Model
    data: Dataset
    split: str
    """The split to take."""
    are_new: bool
    """Whether all of the data are taken, as they are others than those of the training."""


def reopen_split(
    path: str | Path, overrides: Iterable[str] = (), split: str | None = None, accept_changes: bool = False
) -> Reopened:
    """A trained model, the data of its config with overrides, and the split to take; other arguments as for `reopen`.

    Where overrides name another file, all of its data are taken, in its order, and none are held out. Data of the
    training that lie elsewhere now are found by their fingerprint, and give the split that they would give there.

    Args:
        path: the model.
        overrides: options of the data that replace the config's.
        split: the name of the split; None: `test`, or `all` of a file that the model has not seen.
        accept_changes: whether data that changed since training are accepted.
    """
    overrides = list(overrides)
    if split is None and overrides:
        model, data_config = model_and_data_config(path, overrides)
        if _names_file(data_config, overrides) and not _is_of_training(model, data_config):
            data = load_for(model, data_config.model_copy(update={"validation": 0, "test": 0, "keep": ()}))
            warn_of(data.doubts)
            return Reopened(model, data, "all", True)
    return Reopened(*reopen(path, overrides, accept_changes), split or USUAL, False)


def _names_file(data_config: DataSource.Config, overrides: Iterable[str]) -> bool:
    """Whether overrides name another source or file, and not how it is split."""
    keys = {re.split(r"[=\[]", assignment)[0].strip() for assignment in overrides}
    fields = type(data_config).model_fields.items()
    files = {f"data.{field.alias or name}" for name, field in fields if FILE in field.metadata}
    return bool(keys & {"data", *files}) and not keys & {f"data.{name}" for name in SPLITTING}


def _is_of_training(model: Model, data_config: DataSource.Config) -> bool:
    """Whether the data, split as the options say, are those that the model was trained on."""
    assert model.data is not None
    if model.data.fingerprint is None:
        return False
    try:
        data = load_for(model, data_config)
        return data.counts() == model.data.counts and data.fingerprint() == model.data.fingerprint
    except DataError:  # they cannot be split as those of the training, or cannot be read, which is said later
        return False


def data_of(model: Model) -> Dataset:
    """The data that a model was trained on, which the path that it was loaded from leads to.

    Raises:
        DataError: the model has no such path.
        GenkitError: as `reopen` does.
    """
    if model.path is None or model.config is None or model.data is None:
        raise DataError(
            "the model was loaded from no run and no file, so its data are not known: give data in place of a split's "
            "name, or the run"
        )
    if not weights.is_of_run(model.path):
        check_asked(model.path, model.config.data, ())
    data = load_for(model, anchored(model.config.data, folder_of(model.path)))
    check_data(model.data, data.signature(model.config.data.name), model.path, accept=False)
    return data


def own_data(path: str | Path, reopened: Reopened, accept_changes: bool = False) -> Dataset:
    """The data that a model was trained on: those that are open, where they are these, else those of its config.

    Raises:
        GenkitError: they cannot be read, or have changed since.
    """
    signature, data = reopened.model.data, reopened.data
    assert signature is not None
    if data.counts() == signature.counts and data.fingerprint() == signature.fingerprint:
        return data
    return reopen(path, (), accept_changes)[1]
