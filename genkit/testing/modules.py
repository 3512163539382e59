"""Checks of all parts made of layers: independent data, no chance in eval mode, a state that is saved, one graph."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from genkit.errors import place
from genkit.interfaces import Decoder, Encoder, Likelihood, Loss, Prior, Sampler
from genkit.speed.pieces import NotTraceableError, traced_whole
from genkit.testing.cases import Case, LossCase, Tensors
from genkit.testing.check import promise
from genkit.testing.subject import ContractError, NotApplicable, Subject, close, require, seeded

NETWORKS = (Encoder, Decoder)
MANY = 20
"""More data than a part may process in one piece."""
BACKEND = "aot_eager"
"""The backend of torch.compile: it traces forward and backward, and generates no code."""
CAUSES = {
    "RNN, GRU, or LSTM": "it does not trace torch's recurrent layers, and a run does without: mark it, "
    'expected_failures = {"compiled": "torch.compile does not trace recurrent layers"}',
    "making fake tensor call": "an operation in it needs values where shapes should do: give torch.distributions "
    "validate_args=False, and leave comparisons of values out of forward",
    "": "leave .item(), print and decisions by values of tensors out of forward",
}
"""The remedy for each error of torch, by a text that it contains."""
MODULES = (Encoder, Decoder, Sampler, Prior, Likelihood, Loss)


def _settled(case: Case, inputs: Tensors, part: Any = None) -> Tensors:
    """The outputs of a part in eval mode, without random ones; a loss term draws the same numbers at each call."""
    with torch.no_grad(), seeded() if isinstance(case, LossCase) else contextlib.nullcontext():
        return case.settled((part or case.part).eval(), *inputs)


def _same(one: Tensors, other: Tensors, tolerance: float = 1e-4) -> bool:
    return len(one) == len(other) and all(close(a, b, tolerance) for a, b in zip(one, other, strict=True))


@promise(*MODULES, after=("shapes", "input is kept"))
def eval_determinism(subject: Subject) -> None:
    """In eval mode two calls give the same, draw no random numbers and leave the state as it is.

    A sampler is called for 0 draws: its mean is the point that stands for a datum. A loss term may draw, for example
    from the prior; with the same random numbers it is the same.
    """
    sampler = issubclass(subject.component, Sampler)
    for case in subject.cases():
        inputs = case.inputs(3)
        before = {name: value.clone() for name, value in case.part.eval().state_dict().items()}
        first, state = _settled(case, inputs), torch.get_rng_state()
        again = _settled(case, inputs)
        require(
            _same(first, again, 0.0),
            "its mean or KL is another at each call: `mean` is the point that stands for the datum, never a draw"
            if sampler
            else "in eval mode two calls give different values: leave noise and dropout to training (nn.Dropout, or "
            "F.dropout(x, p, self.training))",
        )
        require(
            torch.equal(torch.get_rng_state(), state),
            f"{'for 0 draws' if sampler else 'in eval mode'} it draws random numbers, which changes all draws that "
            "follow: draw none there",
        )
        changed = [name for name, value in case.part.state_dict().items() if not torch.equal(value, before[name])]
        require(not changed, f"in eval mode it changes its state ({', '.join(changed)}): update it only in training")


@promise(*NETWORKS, Sampler, Prior, Likelihood, after=("shapes", "eval determinism"))
def batch_independence(subject: Subject) -> None:
    """In eval mode the output for a datum depends neither on the other data of its batch nor on its place in it."""
    for case in subject.cases():
        one, other = case.inputs(4), case.inputs(MANY, seed=1)
        last = tuple(value[3:] for value in one)
        whole = [value[3:] for value in _settled(case, one)]
        for others in (3, MANY, 0):
            inputs = tuple(torch.cat([b[:others], a]) for a, b in zip(last, other, strict=True))
            outputs = tuple(value[-1:] for value in _settled(case, inputs))
            require(
                _same(tuple(whole), outputs),
                "in eval mode what comes of a datum changes with the rest of its batch: something is computed over the "
                "batch (a mean, a normalization without running statistics, a reshape that mixes data)",
            )


@promise(*NETWORKS, after=("shapes", "batch independence"))
def order_in_training(subject: Subject) -> None:
    """In training mode the output for a datum may depend on the batch as a whole, never on its place in it."""
    for case in subject.cases():
        inputs, turned = case.inputs(6), torch.tensor([1, 2, 0, 3, 5, 4])
        with torch.no_grad():
            part = case.part.train()
            (once,), (again,) = case.read(part, *inputs), case.read(part, *inputs)
            (moved,) = case.read(part, *(value[turned] for value in inputs))
        if close(once, again):  # else it drops or adds noise, by place
            require(
                close(once[turned], moved),
                "in training mode what comes of a datum changes with its place in the batch: a reshape, roll or sort "
                "mixes data",
            )


@promise(*MODULES, after=("shapes",))
def input_is_kept(subject: Subject) -> None:
    """Inputs are not changed in place."""
    for case in subject.cases():
        inputs = case.inputs(3)
        before = [value.clone() for value in inputs]
        with seeded():
            case.read(case.part.train(), *inputs)
        kept = all(torch.equal(value, old) for value, old in zip(inputs, before, strict=True))
        require(
            kept, "it changes its input in place, which other parts read too: use x = x + 1, not x += 1 or x.add_(1)"
        )


@promise(*MODULES, after=("shapes", "eval determinism"))
def state(subject: Subject) -> None:
    """The saved state is complete: another instance with that state, from a safetensors file, gives the same."""
    for case, other in zip(subject.cases(), subject.cases(seed=1), strict=True):
        case.part.train()
        for seed in range(2):  # running statistics, where there are some
            with seeded(seed):
                case.read(case.part, *case.inputs(8, seed))
        hidden = list(_hidden(case.part))
        require(
            not hidden,
            f"{', '.join(hidden)}: a tensor or a layer in a plain attribute is not saved, not trained and not moved to "
            "a GPU; use nn.Parameter, self.register_buffer, nn.ModuleList or nn.ModuleDict",
        )
        saved = {name: value.contiguous().clone() for name, value in case.part.state_dict().items()}
        other.part.load_state_dict(safetensors.torch.load(safetensors.torch.save(saved)))
        inputs = case.inputs(3)
        require(
            _same(_settled(case, inputs), _settled(case, inputs, other.part)),
            "another one with the saved state gives other values: part of what it computes with is not in its "
            "state_dict (a plain attribute, a buffer with persistent=False that is drawn at random)",
        )


def _hidden(part: nn.Module) -> Iterator[str]:
    """The paths of tensors and layers that are not registered in their modules."""
    registered = {id(each) for each in (*part.parameters(), *part.buffers(), *part.modules())}
    for name, module in part.named_modules():
        for key, value in vars(module).items():
            if key in ("_parameters", "_buffers", "_modules"):
                continue
            inside = (
                value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
            )
            if any(isinstance(each, Tensor | nn.Module) and id(each) not in registered for each in inside):
                yield f"{name}.{key}".lstrip(".")


@promise(*MODULES, after=("shapes", "eval determinism"))
def compiled(subject: Subject) -> None:
    """It compiles to one graph, which gives the same as eager."""
    case = subject.cases()[0]
    inputs = case.inputs(4)
    part = case.part.eval()
    whole = traced_whole(lambda *values: case.read(part, *values), BACKEND)  # as in training
    try:
        with whole as traced, seeded(), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's own while it traces
            outputs = traced(*inputs)
    except NotTraceableError as error:
        raise ContractError(no_graph(error, "it")) from error
    with seeded(), torch.no_grad():
        require(_same(outputs, case.read(part, *inputs)), "compiled, it gives other values than eager")


@promise(*MODULES, after=("shapes",))
def seeds(subject: Subject) -> None:
    """The first weights follow the run's seed, and so do all later draws."""
    for arguments in [case.arguments for case in subject.cases()]:
        states = []
        for seed in (1, 2):
            with seeded(seed):
                subject.built(*arguments)
                states.append(torch.get_rng_state())
        require(
            not torch.equal(*states),
            "its __init__ seeds torch's global generator, so that its weights, and all that is drawn after it, are the "
            "same in every run: leave the seed to the run",
        )


def no_graph(error: NotTraceableError, what: str) -> str:
    """Why there is no single graph of something, with the remedy."""
    reason = str(error).splitlines()[0]
    return f"torch.compile cannot make one graph of {what}: {reason}; " + next(
        f for w, f in CAUSES.items() if w in reason
    )


def _draws(case: Case, params: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Random outputs of a part on a device, with their names for messages."""
    with torch.no_grad():
        if isinstance(case.part, Sampler) and case.part.has_prior:
            yield "what prior() draws", case.part.prior(3)
        if isinstance(case.part, Likelihood):
            yield "what sample() draws", case.part.sample(params)


@promise(*MODULES, after=("shapes", "eval determinism"))
def second_device(subject: Subject) -> None:
    """It gives the same on a GPU; where there is none, all its tensors lie on the device of its input."""
    case = subject.cases()[0]
    inputs = case.inputs(3)
    device = next((name for name in ("cuda", "mps") if getattr(torch, name).is_available()), "meta")
    wanted = _settled(case, inputs)
    try:
        case.move(device)
        outputs = _settled(case, tuple(value.to(device) for value in inputs))
        draws = list(_draws(case, inputs[0].to(device)))
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        if device == "meta" and "device" not in text:
            raise NotApplicable("there is no second device here, and its operations need values") from error
        raise ContractError(
            f"on another device it fails: {text}{place(error)}; give what it makes the device of its input "
            "(device=x.device), and keep tensors as parameters or buffers"
        ) from error
    for what, value in draws:
        on = value.device.type == device
        require(
            on,
            f"{what} stays on the CPU when the model is elsewhere: make it on the device of its parameters, "
            "buffers or input (device=...)",
        )
    if device == "meta":
        require(
            all(value.is_meta for value in outputs), "part of what it gives is left on the CPU; make it on x.device"
        )
        return
    require(
        _same(tuple(value.cpu() for value in outputs), wanted, 1e-2), f"on {device} it gives other values than on a CPU"
    )
