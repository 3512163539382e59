"""Other example configs as one would write them by hand in plain PyTorch: recurrent VAE, GAN, sparse autoencoder.

Eager, or with the gradients of a step as one compiled graph; data in memory, fused Adam.
"""

from __future__ import annotations

from typing import Any

import torch
from protocol import TRAIN, arguments, images, serve
from torch import Tensor, nn
from torch.nn import functional


class Recurrent(nn.Module):
    """examples/vae-rnn.yaml."""

    rates = ((2e-3, (0.9, 0.999), 0.0),)
    clip = 50.0

    def __init__(self) -> None:
        super().__init__()
        self.reader = nn.GRU(28, 128, batch_first=True, bidirectional=True)
        self.mean, self.log_var = nn.Linear(256, 8), nn.Linear(256, 8)
        self.state, self.writer, self.out = nn.Linear(8, 128), nn.GRU(8, 128, batch_first=True), nn.Linear(128, 28)

    def groups(self) -> list[list[Tensor]]:
        return [list(self.parameters())]

    def losses(self, x: Tensor) -> list[Tensor]:
        _, last = self.reader(x)
        h = last.movedim(0, 1).flatten(1)
        mean, log_var = self.mean(h), self.log_var(h)
        z = mean + torch.randn_like(mean) * (log_var / 2).exp()
        states, _ = self.writer(z.unsqueeze(1).expand(-1, 28, -1), torch.tanh(self.state(z)).unsqueeze(0))
        logits = self.out(states)
        cross_entropy = (functional.softplus(logits) - x * logits).sum()
        return [(cross_entropy + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum()) / len(x)]


class Adversarial(nn.Module):
    """examples/gan.yaml."""

    rates = ((2e-4, (0.5, 0.999), 0.0), (2e-4, (0.5, 0.999), 0.0))
    clip = None

    def __init__(self) -> None:
        super().__init__()
        self.generator = nn.Sequential(
            *(nn.Linear(32, 256), nn.BatchNorm1d(256), nn.LeakyReLU(0.2)),
            *(nn.Linear(256, 512), nn.BatchNorm1d(512), nn.LeakyReLU(0.2), nn.Linear(512, 784), nn.Sigmoid()),
        )
        self.critic = nn.Sequential(
            nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1)
        )

    def groups(self) -> list[list[Tensor]]:
        return [list(self.generator.parameters()), list(self.critic.parameters())]

    def losses(self, x: Tensor) -> list[Tensor]:
        generated = self.generator(torch.randn(len(x), 32))
        fooled = functional.softplus(-self.critic(2 * generated - 1)).mean()
        real, fake = self.critic(2 * x.flatten(1) - 1), self.critic(2 * generated.detach() - 1)
        return [fooled, (functional.softplus(-real) + functional.softplus(fake)).mean()]


class Sparse(nn.Module):
    """examples/sparse-autoencoder.yaml."""

    rates = ((1e-3, (0.9, 0.999), 1e-5),)
    clip = None

    def __init__(self) -> None:
        super().__init__()
        self.code, self.out = nn.Linear(784, 1000), nn.Linear(1000, 784)

    def groups(self) -> list[list[Tensor]]:
        return [list(self.parameters())]

    def losses(self, x: Tensor) -> list[Tensor]:
        x = x.flatten(1)
        code = torch.sigmoid(self.code(x))
        error = 0.5 * (self.out(code) - x).square().sum() / len(x)
        mean = code.mean(0).clamp(1e-6, 1 - 1e-6)
        return [error + 0.5 * (0.05 * torch.log(0.05 / mean) + 0.95 * torch.log(0.95 / (1 - mean))).sum()]


MODELS = {"vae-rnn": Recurrent, "gan": Adversarial, "sparse-autoencoder": Sparse}


class Loop:
    """Each loss is minimised over its own parameters; all gradients are those of one pass."""

    def __init__(self, options: Any) -> None:
        torch.manual_seed(0)
        self.size = options.batch
        self.train = torch.from_numpy(images(options.data, TRAIN).copy()).view(-1, 28, 28)
        self.model = MODELS[options.model]()
        self.groups = self.model.groups()
        self.optimizers = [
            torch.optim.Adam(group, lr, betas, weight_decay=decay, fused=True)
            for group, (lr, betas, decay) in zip(self.groups, self.model.rates, strict=True)
        ]
        self.differentiate = self.gradients
        if options.variant == "compiled":
            torch._dynamo.config.trace_autograd_ops = True
            whole = options.model != "vae-rnn"  # recurrent layers are not traced
            self.differentiate = torch.compile(self.gradients, fullgraph=whole, dynamic=False)

    def gradients(self, x: Tensor) -> tuple[list[Tensor], list[tuple[Tensor, ...]]]:
        losses = self.model.losses(x.float() / 255)
        gradients = [torch.autograd.grad(loss, group) for loss, group in zip(losses, self.groups, strict=True)]
        return [loss.detach() for loss in losses], gradients

    def batches(self) -> Any:
        while True:
            order = torch.randperm(len(self.train))
            yield from (self.train[rows] for rows in order.split(self.size)[: len(order) // self.size])

    def steps(self, count: int) -> float:
        batches = self.batches()
        for _ in range(count):
            losses, all_gradients = self.differentiate(next(batches))
            for optimizer, group, gradients in zip(self.optimizers, self.groups, all_gradients, strict=True):
                for parameter, gradient in zip(group, gradients, strict=True):
                    parameter.grad = gradient
                if self.model.clip is not None:
                    nn.utils.clip_grad_norm_(group, self.model.clip)
                optimizer.step()
                optimizer.zero_grad()
            del all_gradients, gradients, gradient
        return float(losses[0])


serve(Loop(arguments(["eager", "compiled"])))
