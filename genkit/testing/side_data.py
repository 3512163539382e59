"""Checks of parts that read side data: each datum follows its own, and no other."""

from __future__ import annotations

import torch

from genkit.interfaces import Decoder, Encoder, Likelihood, Loss, Sampler
from genkit.testing.cases import Case, Tensors
from genkit.testing.check import promise
from genkit.testing.subject import Subject, close, require, seeded, stir

COUNT = 4


def _reads(subject: Subject) -> bool:
    return bool(subject.component.reads)


@promise(Encoder, Decoder, Sampler, Likelihood, Loss, after=("shapes", "eval determinism"), applies=_reads)
def side_data(subject: Subject) -> None:
    """What comes of a datum follows its own side data, each of those that it reads, and those of no other datum."""
    idle = set(subject.component.reads)
    for case in subject.cases():
        stir(case.part)
        inputs = case.inputs(COUNT)
        before = _outputs(case, inputs)
        for number, name in enumerate(case.supply.sides, len(inputs) - len(case.supply.sides)):
            other = inputs[number].clone()
            other[0] = case.supply.moved(name, other[0])
            after = _outputs(case, (*inputs[:number], other, *inputs[number + 1 :]))
            per_datum = all(value.ndim for value in (*before, *after))
            require(
                not per_datum or all(close(a[1:], b[1:]) for a, b in zip(before, after, strict=True)),
                f"what comes of a datum changes with the {name} of another: keep {name} (B, ...) beside the data, row "
                "by row (no mean over them, no first row for all, no reshape that mixes rows)",
            )
            if not all(close(a, b, 1e-7) for a, b in zip(before, after, strict=True)):
                idle.discard(name)
    names = ", ".join(sorted(idle))
    require(not idle, f"it reads {names}, and nothing that it gives follows that: use it, or leave it out of `reads`")


def _outputs(case: Case, inputs: Tensors) -> Tensors:
    with torch.no_grad(), seeded():
        return case.read(case.part.eval(), *inputs)
