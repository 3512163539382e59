"""Plain PyTorch: the loop that one writes by hand, with the data in memory, or by way of DataLoader."""

from __future__ import annotations

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
        self.parameters = list(self.model.parameters())
        if self.variant == "compiled":
            torch._dynamo.config.trace_autograd_ops = True
            self.differentiate = torch.compile(self.gradients, fullgraph=True, dynamic=False)

    def gradients(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        loss = objective(self.model, x.float() / 255)
        return loss.detach(), torch.autograd.grad(loss, self.parameters)

    def compiled(self, x: Tensor) -> Tensor:
        loss, gradients = self.differentiate(x)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.optimizer.zero_grad()
        return loss

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
            return self.compiled(x)
        if self.variant == "loader":
            x = x * 255
        return self.eager(x)

    def steps(self, count: int) -> float:
        batches = self.batches()
        for _ in range(count):
            loss = self.take(next(batches))
        return float(loss)

    def fit(self, epochs: int) -> float:
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


serve(Loop(arguments(["eager", "compiled", "loader"])))
