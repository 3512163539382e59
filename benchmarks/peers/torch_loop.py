"""Plain PyTorch: the loop that one writes by hand, with the data in memory, or by way of DataLoader."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from protocol import TEST, TRAIN, arguments, images, serve
from torch import Tensor, nn
from torch.nn import functional


class Dense(nn.Module):
    """784 -> 256 -> 2 -> 256 -> 784."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.mean, self.log_var = nn.Linear(784, 256), nn.Linear(256, 2), nn.Linear(256, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 784))

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = functional.relu(self.hidden(x))
        return self.mean(h), self.log_var(h)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z)


class Convolutional(nn.Module):
    """The convolutional autoencoder of examples/vae-deconv.yaml."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 2), nn.ReLU(), nn.Conv2d(1, 64, 2, 2), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
            *(nn.Flatten(), nn.Linear(12544, 128), nn.ReLU()),
        )
        self.mean, self.log_var = nn.Linear(128, 2), nn.Linear(128, 2)
        self.decoder = nn.Sequential(
            *(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 12544), nn.ReLU(), nn.Unflatten(1, (64, 14, 14))),
            *(nn.ConvTranspose2d(64, 64, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(64, 64, 3, padding=1), nn.ReLU()),
            *(nn.ConvTranspose2d(64, 64, 3, 2), nn.ReLU(), nn.Conv2d(64, 1, 2)),
        )

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(x.view(-1, 1, 28, 28))
        return self.mean(h), self.log_var(h)

    def decode(self, z: Tensor) -> Tensor:
        return self.decoder(z).flatten(1)


def objective(model: nn.Module, x: Tensor) -> Tensor:
    mean, log_var = model.encode(x)
    logits = model.decode(mean + torch.randn_like(mean) * (log_var / 2).exp())
    cross_entropy = (functional.softplus(logits) - x * logits).sum()
    return (cross_entropy + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum()) / len(x)


class Loop:
    """Fused Adam on data in memory; eager, or the step as one compiled graph."""

    def __init__(self, options: Any) -> None:
        self.options, self.size, self.variant = options, options.batch, options.variant
        self.train = torch.from_numpy(images(options.data, TRAIN).copy())
        self.test = torch.from_numpy(images(options.data, TEST).copy())
        self.fresh()

    def fresh(self) -> None:
        torch.manual_seed(0)
        model = Dense() if self.options.model == "dense" else Convolutional()
        self.model = model.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-3, fused=True)
        if self.variant == "compiled":
            libc = ctypes.CDLL(None)
            libc.mallopt(-4, 0), libc.mallopt(-1, 2**31 - 1), libc.mallopt(-2, 2**26)  # keep what is freed
            self.moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in self.model.parameters()]
            self.time, self.calls = torch.zeros(()), 0
            self.step = torch.compile(self.graph, fullgraph=True, dynamic=False)

    def graph(self, x: Tensor) -> Tensor:
        names, values = zip(*self.model.named_parameters(), strict=True)

        def loss(values: tuple[Tensor, ...], x: Tensor) -> Tensor:
            return torch.func.functional_call(
                _Objective(self.model), {f"model.{n}": v for n, v in zip(names, values, strict=True)}, x
            )

        gradients, value = torch.func.grad_and_value(loss)(values, x.float() / 255)
        self.time += 1
        scale, bias = 1e-3 / (1 - 0.9**self.time), (1 - 0.999**self.time).sqrt()
        with torch.no_grad():
            for parameter, gradient, (first, second) in zip(values, gradients, self.moments, strict=True):
                first.lerp_(gradient, 0.1)
                second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
                parameter.sub_(scale * first / (second.sqrt() / bias + 1e-8))
        return value

    def eager(self, x: Tensor) -> Tensor:
        loss = objective(self.model, x.float() / 255)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def batches(self) -> Any:
        if self.variant == "loader":
            data = torch.utils.data.TensorDataset(self.train.float() / 255)
            while True:
                yield from (x for (x,) in torch.utils.data.DataLoader(data, self.size, shuffle=True))
        while True:
            order = torch.randperm(len(self.train))
            yield from (self.train[rows] for rows in order.split(self.size)[: len(order) // self.size])

    def take(self, x: Tensor) -> Tensor:
        if self.variant == "compiled":
            self.calls += 1
            if self.calls == 4:
                torch.compiler.set_stance(skip_guard_eval_unsafe=True)
            return self.step(x)
        if self.variant == "loader":
            x = x * 255
        return self.eager(x)

    def steps(self, count: int) -> float:
        batches = self.batches()
        for _ in range(count):
            loss = self.take(next(batches))
        return float(loss)

    def fit(self, epochs: int) -> float:
        torch.compiler.set_stance("default")
        self.fresh()
        self.steps(epochs * (len(self.train) // self.size))
        with torch.no_grad():
            losses = [objective(self.model, x.float() / 255) * len(x) for x in self.test.split(1000)]
        return float(sum(losses)) / len(self.test)

    def sample(self, count: int) -> None:
        with torch.inference_mode():
            torch.cat([self.model.decode(torch.randn(1000, 2)).sigmoid() for _ in range(count // 1000)])

    def encode(self, count: int) -> None:
        with torch.inference_mode():
            torch.cat([self.model.encode(x.float() / 255)[0] for x in self.test[:count].split(1000)])


class _Objective(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return objective(self.model, x)


serve(Loop(arguments(["eager", "compiled", "loader"])))
