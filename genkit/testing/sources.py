"""Checks of data sources: the same data at each load, of the right types."""

from __future__ import annotations

import torch
from torch import Tensor

from genkit.errors import DataError
from genkit.interfaces import DataSource, RawData, Reader, Split
from genkit.testing.check import promise
from genkit.testing.subject import ContractError, NotApplicable, Subject, close, generators, require

ALIKE = 0.8
"""The least share of distinct data: with fewer, data may be in both splits by chance."""
KEPT = (torch.float32, torch.uint8)


@promise(DataSource, after=("signatures",))
def shapes(subject: Subject) -> None:
    """x (N, *shape) of float32 or uint8, finite, of one shape in all splits."""
    for name, split in splits_of(subject):
        who = f"x of the {name} split is {type(split.x).__name__}"
        require(isinstance(split.x, Tensor | Reader), f"{who}: it must be a tensor, or a genkit.interfaces.Reader")
    loaded = _loaded(subject)
    for name, split in _splits(loaded):
        assert isinstance(split.x, Tensor)
        require(
            split.x.ndim >= 2 and split.x.numel() > 0,
            f"x of the {name} split is {tuple(split.x.shape)}, and must be (N, *shape), at least one value per datum: "
            "a table of one column is (N, 1)",
        )
        require(
            split.x.dtype in KEPT,
            f"x of the {name} split is {split.x.dtype}, and must be float32, or uint8, which stands for x / 255",
        )
        require(not split.x.requires_grad, f"x of the {name} split asks for gradients: detach it")
        require(split.x.isfinite().all(), f"x of the {name} split holds NaN or infinite values: remove or replace them")
        one, other = tuple(split.x.shape[1:]), tuple(loaded.train.x.shape[1:])
        require(one == other, f"data of the {name} split are {one}, and those of the training split {other}")


@promise(DataSource, after=("shapes",))
def labels(subject: Subject) -> None:
    """Labels (N,) of int64, from 0, each with a name where there are names."""
    loaded = _loaded(subject)
    for name, (x, values, _) in _splits(loaded):
        if values is None:
            continue
        require(
            isinstance(values, Tensor), f"labels of the {name} split are {type(values).__name__}: they must be a tensor"
        )
        shape = tuple(values.shape)
        require(shape == (len(x),), f"labels of the {name} split are {shape}, and must be ({len(x)},), one per datum")
        require(
            values.dtype == torch.int64,
            f"labels of the {name} split are {values.dtype}, and must be int64: labels.long()",
        )
        least, greatest = int(values.min()), int(values.max())
        require(least >= 0, f"labels of the {name} split go down to {least}: they are indices into the classes, from 0")
        names = loaded.classes
        right = names is None or (isinstance(names, tuple) and all(type(each) is str for each in names))
        require(right, f"classes is {names!r:.80}, and must be a tuple of text, tuple(map(str, names)), or None")
        require(names is None or len(set(names)) == len(names), f"classes has a name twice: {names!r:.80}")
        require(
            names is None or greatest < len(names),
            f"labels of the {name} split go up to {greatest}, and there are {len(names or ())} names in `classes`",
        )


@promise(DataSource, after=("shapes",))
def repetition(subject: Subject) -> None:
    """Two loads give the same data, whatever was drawn before, and leave the random generators as they were."""
    torch.rand(1)  # so that a load that seeds the generator shows
    states = generators()
    one = [(name, split._replace(x=split.x[:].clone())) for name, split in _splits(_loaded(subject))]
    other = _splits(_loaded(subject))
    after = generators()
    for (name, split), (_, again) in zip(one, other, strict=True):
        same = close(split.x[:].float(), again.x[:].float(), 0.0)
        require(same, f"a second load gives other {name} data: draw them from a seed that is an option, and sort files")
        if split.labels is not None:
            kept = again.labels is not None and torch.equal(split.labels, again.labels)
            require(kept, f"a second load gives other labels of the {name} split: sort files and classes")
    require(
        states == after,
        "load() changes the global random generators, on which a run depends: use one of its own "
        "(numpy.random.default_rng(seed), torch.Generator)",
    )


@promise(DataSource, after=("shapes",))
def splits(subject: Subject) -> None:
    """The test split, if there is one, holds other data than the training split."""
    loaded = _loaded(subject)
    if loaded.test is None:
        raise NotApplicable("it has no test split of its own")
    train, test = ([datum.tobytes() for datum in split.x[:].numpy()] for split in (loaded.train, loaded.test))
    distinct = set(train)
    if len(distinct) < ALIKE * len(train):
        raise NotApplicable("many of its data are alike, so that others may well be so by chance")
    repeated = sum(map(distinct.__contains__, test))
    require(
        repeated <= len(test) / 2,
        f"{repeated:,} of {len(test):,} test data are training data too, so that its figures are of data that the "
        "model has seen: keep them apart, or give all as `train` and leave the split to the core",
    )


def splits_of(subject: Subject) -> list[tuple[str, Split]]:
    """The splits of a source with their names, as it gives them."""
    return _splits(_as_given(subject))


def _loaded(subject: Subject) -> RawData:
    """The data of a source, in memory."""
    loaded = _as_given(subject)
    train, test, validation = (
        split and split._replace(x=split.x[:]) for split in (loaded.train, loaded.test, loaded.validation)
    )
    assert train is not None
    return loaded._replace(train=train, test=test, validation=validation)


def _as_given(subject: Subject) -> RawData:
    try:
        loaded = subject.component(subject.config).load()
    except DataError as error:
        raise ContractError(f"it cannot load its data: {error}; check it with options with which it can") from error
    require(isinstance(loaded, RawData), f"load() gives {type(loaded).__name__}: it must give a genkit.RawData")
    assert isinstance(loaded, RawData)
    return loaded


def _splits(loaded: RawData) -> list[tuple[str, Split]]:
    splits = (("training", loaded.train), ("validation", loaded.validation), ("test", loaded.test))
    return [(name, split) for name, split in splits if split is not None]
