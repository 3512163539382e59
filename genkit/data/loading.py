"""Loading a run's data: a source reads them; they are checked and split, in a way that can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.data.checks import check_range, check_values
from genkit.data.classes import as_trained
from genkit.data.dataset import Dataset, as_float
from genkit.data.scaling import Scaling
from genkit.data.splitting import divided, of_kept_classes
from genkit.data.steps import those_there
from genkit.data.transforming import Chain
from genkit.errors import DataError, GenkitError, in_a_line, place
from genkit.interfaces import DataSource, RawData, Schema, Shape, Side, Split
from genkit.interfaces.columns import fits
from genkit.interfaces.data import RESERVED
from genkit.interfaces.reader import Reader
from genkit.interfaces.signatures import check_signatures


def load(
    config: DataSource.Config,
    scaling: Scaling | None = None,
    transforms: Chain | None = None,
    schema: Schema | None = None,
) -> Dataset:
    """Read, check and split the data that a config names, and standardize or transform them if it asks for that.

    Args:
        config: the options of the source.
        scaling: the scaling of the model that takes the data; None: the one of their own training split.
        transforms: the transforms of the model that takes the data; None: those of the config, fitted to their own
            training split.
        schema: what the model that takes the data was trained for; None: it is yet to be trained.

    Raises:
        DataError: the data are unreadable, empty, not finite, or fewer than the splits take; with source and remedy.
    """
    where = f"data '{config.name}'"
    raw = _read(config, schema)
    _check_splits(raw, where)
    raw = raw if schema is None else as_trained(raw, schema)
    _check_columns(raw, config, where)
    raw = of_kept_classes(raw, config, where)
    dataset = _dataset(raw, config, where)
    if config.standardize:
        dataset = _standardized(dataset, scaling, where)
    return _transformed(dataset, config, transforms, where)


def _dataset(raw: RawData, config: DataSource.Config, where: str) -> Dataset:
    """The data in their splits, as the source gives them; raises DataError where they leave none to train on."""
    train, validation, test, rows = divided(raw, config, where)
    for name, split in (("training", train), ("validation", validation), ("test", test)):
        if split is not None and isinstance(split.x, Reader):
            check_values(split.x, f"{where}, {name} split")
    binarize = config.binarize == "dynamic"
    if binarize:
        for split in filter(None, (train, validation, test)):
            check_range(split.x, 0.0, 1.0, f"{where}: binarize: dynamic")
    return Dataset(
        train,
        validation,
        test,
        raw.classes,
        binarize,
        raw.notes,
        raw.doubts,
        rows=rows,
        side=_sides(raw, where),
        columns=raw.columns,
        ids=_ids(raw, rows, where),
        channels=_channels(raw, where),
        window=config.shuffle_window,
    )


def _check_splits(raw: RawData, where: str) -> None:
    own = {"test": raw.test, "validation": raw.validation}
    _check(raw.train, f"{where}, training split" if any(own.values()) else where, raw.classes)
    for name, split in own.items():
        if split is None:
            continue
        _check(split, f"{where}, {name} split", raw.classes)
        if split.x.shape[1:] != raw.train.x.shape[1:]:
            shapes = f"{tuple(raw.train.x.shape[1:])} for training and {tuple(split.x.shape[1:])} for {name}"
            raise DataError(f"{where}: the splits differ in shape: {shapes}")


def _ids(raw: RawData, rows: Mapping[str, Tensor], where: str) -> dict[str, tuple[str, ...]]:
    """The names of the data of each split; raises DataError where there are not as many names as data."""
    for name, split in (("train", raw.train), ("validation", raw.validation), ("test", raw.test)):
        count = 0 if split is None else len(split.x)
        if len(raw.ids.get(name, ())) not in (0, count):
            raise DataError(f"{where}: {len(raw.ids[name])} ids for {count} data of {name}; one id per datum")
    if "train" not in raw.ids:
        return dict(raw.ids)
    drawn = {name: tuple(raw.ids["train"][row] for row in index.tolist()) for name, index in rows.items()}
    return {**raw.ids, **drawn}


def _channels(raw: RawData, where: str) -> tuple[str, ...]:
    """The names of the channels; raises DataError where there are not as many as channels."""
    shape = raw.train.x.shape[1:]
    if raw.channels and (len(shape) != 2 or len(raw.channels) != shape[1]):
        raise DataError(f"{where}: {len(raw.channels)} names of channels for data of shape {tuple(shape)}")
    return raw.channels


def _check_columns(raw: RawData, config: DataSource.Config, where: str) -> None:
    """Refuse columns that do not fill a datum, and options that know nothing of columns; raises DataError."""
    if not raw.columns:
        return
    if not fits(raw.columns, raw.train.x.shape[1:]):
        shape = tuple(raw.train.x.shape[1:])
        raise DataError(f"{where}: its columns do not fill a datum of shape {shape}: each place is that of one column")
    if config.standardize or config.binarize:
        option = "standardize: true" if config.standardize else "binarize: dynamic"
        raise DataError(f"{where}: {option} knows no columns, and changes categories too; take transform: standardize")


def _transformed(data: Dataset, config: DataSource.Config, transforms: Chain | None, where: str) -> Dataset:
    """The data with transforms, which are fitted to the training split where they are the config's; DataError."""
    chain = Chain.of(config.transform, data.schema) if transforms is None else transforms
    if len(chain) and (data.binarize or data.scaling is not None):
        one = "binarize: dynamic" if data.binarize else "standardize: true"
        raise DataError(f"{where}: {one} and data.transform exclude each other; choose one of them")
    if transforms is None:
        chain.fit(those_there(data.train))
    return data._replace(transforms=chain)


def _standardized(data: Dataset, scaling: Scaling | None, where: str) -> Dataset:
    """The data standardized, by the scaling of their training split where there is none yet; raises DataError."""
    if data.binarize:
        raise DataError(f"{where}: binarize takes probabilities, which standardized data are not; choose one of them")
    fitted = scaling or Scaling.of(as_float(_in_memory(data.train._replace(x=those_there(data.train)), where)))
    train, validation, test = (
        split and split._replace(x=fitted.apply(as_float(_in_memory(split, where))))
        for split in (data.train, data.validation, data.test)
    )
    assert train is not None
    return data._replace(train=train, validation=validation, test=test, scaling=fitted)


def _in_memory(split: Split, where: str) -> Tensor:
    """The data of a split, which are in memory; raises DataError where they are read from where they are."""
    if isinstance(split.x, Reader):
        raise DataError(
            f"{where}: standardize: true keeps a copy of all data in memory, and these stay where they are; take "
            "transform: standardize, which goes batch by batch"
        )
    return split.x


def shape_of(config: DataSource.Config) -> Shape | None:
    """The shape of one datum, even of data with other faults; None where they cannot be read."""
    try:
        x = _read(config).train.x
    except GenkitError:
        return None
    return tuple(x.shape[1:]) if isinstance(x, Tensor | Reader) and x.ndim > 1 and x.numel() else None


def _read(config: DataSource.Config, schema: Schema | None = None) -> RawData:
    """The source's data, with labels as int64; the source gets what it asks of the schema of a trained model."""
    source: Any = config.component
    check_signatures(config)
    try:
        raw = source(config, **({} if schema is None else schema.answers(source))).load()
    except GenkitError:
        raise
    except Exception as error:
        raise DataError(f"data '{config.name}' cannot be loaded: {in_a_line(error)}{place(error)}") from error
    if not isinstance(raw, RawData):
        raise DataError(f"data '{config.name}': load() gives {type(raw).__name__}, and must give a genkit.RawData")
    splits = (raw.train, raw.test, raw.validation)
    train, test, validation = (split and _with_long_labels(split) for split in splits)
    assert train is not None
    return raw._replace(train=train, test=test, validation=validation)


def _with_long_labels(split: Split) -> Split:
    """The split with its whole-number labels as int64."""
    labels = split.labels
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.is_complex():
        return split
    return split._replace(labels=labels.long())


def _check(split: Split, where: str, classes: tuple[str, ...] | None) -> None:
    x, labels, side = split
    if not isinstance(x, Tensor | Reader) or not isinstance(labels, Tensor | None):
        types = f"{type(x).__name__} and {type(labels).__name__}"
        raise DataError(f"{where}: the source must give tensors or a genkit.interfaces.Reader, and gives {types}")
    if x.ndim < 2 or x.numel() == 0:
        raise DataError(f"{where}: needs at least one datum with at least one value, has shape {tuple(x.shape)}")
    if isinstance(x, Tensor):  # a reader is gone through once, split by split
        check_values(x, where)
    for name, values in side.items():
        _check_side(name, values, len(x), where)
    if labels is None:
        return
    if labels.shape != x.shape[:1]:
        raise DataError(f"{where}: {len(x)} data, but labels of shape {tuple(labels.shape)}; one label per datum")
    if labels.is_floating_point() or labels.is_complex():
        raise DataError(f"{where}: labels are whole numbers, not {labels.dtype}")
    low, high = int(labels.min()), int(labels.max())
    if classes is not None and (low < 0 or high >= len(classes)):
        raise DataError(f"{where}: labels go from {low} to {high}; classes: {len(classes)}")
    if low < 0:
        raise DataError(f"{where}: the least label is {low}; labels are whole numbers from 0 on, one per datum")


def _check_side(name: str, values: Tensor, count: int, where: str) -> None:
    if name in RESERVED:
        raise DataError(f"{where}: no side data can be called '{name}'; give them another name")
    if not isinstance(values, Tensor) or values.shape[:1] != (count,) or not name.isidentifier():
        raise DataError(f"{where}: the side data '{name}' must be a tensor ({count}, ...) under a name of Python's own")
    if values.dtype not in (torch.float32, torch.int64):
        raise DataError(
            f"{where}: the side data '{name}' are {values.dtype}; they must be float32, or int64 for classes"
        )
    if values.dtype == torch.float32:
        check_values(values.flatten(1) if values.ndim > 1 else values.unsqueeze(1), f"{where}, side data '{name}'")


def _sides(raw: RawData, where: str) -> dict[str, Side]:
    """What the side data hold, labels among them; raises DataError where a split's do not fit that."""
    splits = [split for split in (raw.train, raw.test, raw.validation) if split is not None]
    sides = {name: raw.side.get(name, Side(tuple(values.shape[1:]))) for name, values in raw.train.side.items()}
    for name, side in sides.items():
        for split in splits:
            _check_fits(split.side.get(name), side, f"{where}: the side data '{name}'")
    labels = [split.labels for split in splits if split.labels is not None]
    if raw.train.labels is not None:
        classes = len(raw.classes) if raw.classes is not None else 1 + max(int(each.max()) for each in labels)
        sides["labels"] = Side((), classes, raw.classes)
    return sides


def _check_fits(values: Tensor | None, side: Side, where: str) -> None:
    if values is None or tuple(values.shape[1:]) != side.shape:
        raise DataError(f"{where} must have shape (N, *{side.shape}) in every split")
    if side.classes is not None and not 0 <= int(values.min()) <= int(values.max()) < side.classes:
        raise DataError(f"{where} are no indices of {side.classes} classes in every split")
