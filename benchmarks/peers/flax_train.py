"""flax and optax: a jitted step with the data on the device, or `lax.scan` over many steps."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from protocol import TEST, TRAIN, arguments, images, serve

CHUNK = 100


class Dense(nn.Module):
    """784 -> 256 -> 2 -> 256 -> 784."""

    def setup(self) -> None:
        self.hidden, self.mean, self.log_var = nn.Dense(256), nn.Dense(2), nn.Dense(2)
        self.up, self.out = nn.Dense(256), nn.Dense(784)

    def encode(self, x: Any) -> Any:
        h = nn.relu(self.hidden(x))
        return self.mean(h), self.log_var(h)

    def decode(self, z: Any) -> Any:
        return self.out(nn.relu(self.up(z)))

    def __call__(self, x: Any, key: Any) -> Any:
        mean, log_var = self.encode(x)
        return mean, log_var, self.decode(mean + jax.random.normal(key, mean.shape) * jnp.exp(log_var / 2))


class Convolutional(Dense):
    """The convolutional autoencoder of examples/vae-deconv.yaml."""

    def setup(self) -> None:
        self.first, self.second = nn.Conv(1, (2, 2)), nn.Conv(64, (2, 2), 2)
        self.third, self.fourth, self.hidden = nn.Conv(64, (3, 3)), nn.Conv(64, (3, 3)), nn.Dense(128)
        self.mean, self.log_var = nn.Dense(2), nn.Dense(2)
        self.up, self.widen = nn.Dense(128), nn.Dense(12544)
        self.back = [nn.ConvTranspose(64, (3, 3)), nn.ConvTranspose(64, (3, 3))]
        self.last, self.out = nn.ConvTranspose(64, (3, 3), (2, 2), "VALID"), nn.Conv(1, (2, 2), padding="VALID")

    def encode(self, x: Any) -> Any:
        h = x.reshape(-1, 28, 28, 1)
        for layer in (self.first, self.second, self.third, self.fourth):
            h = nn.relu(layer(h))
        h = nn.relu(self.hidden(h.reshape(len(h), -1)))
        return self.mean(h), self.log_var(h)

    def decode(self, z: Any) -> Any:
        h = nn.relu(self.widen(nn.relu(self.up(z)))).reshape(-1, 14, 14, 64)
        for layer in (*self.back, self.last):
            h = nn.relu(layer(h))
        return self.out(h).reshape(len(z), -1)


class Flax:
    """Adam; everything is compiled."""

    def __init__(self, options: Any) -> None:
        self.size, self.variant = options.batch, options.variant
        self.net = Dense() if options.model == "dense" else Convolutional()
        self.train, self.test = jnp.asarray(images(options.data, TRAIN)), jnp.asarray(images(options.data, TEST))
        self.optimizer = optax.adam(1e-3)
        self.one = jax.jit(self.step, donate_argnums=0)
        self.many = jax.jit(
            lambda state, data, rows: jax.lax.scan(lambda s, r: self.step(s, data, r), state, rows), donate_argnums=0
        )
        self.loss = jax.jit(self.objective)
        self.decoded = jax.jit(
            lambda p, key: jax.nn.sigmoid(self.net.apply(p, jax.random.normal(key, (1000, 2)), method="decode"))
        )
        self.encoded = jax.jit(lambda p, x: self.net.apply(p, x / 255.0, method="encode")[0])
        self.fresh()

    def fresh(self) -> None:
        params = self.net.init(jax.random.key(0), jnp.zeros((1, 784)), jax.random.key(1))
        self.state = (params, self.optimizer.init(params), jax.random.key(2))
        self.order = jax.random.key(3)

    def objective(self, params: Any, x: Any, key: Any) -> Any:
        x = x / 255.0
        mean, log_var, logits = self.net.apply(params, x, key)
        cross_entropy = (jax.nn.softplus(logits) - x * logits).sum()
        return (cross_entropy + 0.5 * (mean**2 + jnp.exp(log_var) - 1 - log_var).sum()) / len(x)

    def step(self, state: Any, data: Any, rows: Any) -> Any:
        params, moments, key = state
        key, own = jax.random.split(key)
        loss, gradients = jax.value_and_grad(self.objective)(params, data[rows], own)
        updates, moments = self.optimizer.update(gradients, moments)
        return (optax.apply_updates(params, updates), moments, key), loss

    def rows(self, count: int) -> Any:
        while count > 0:
            self.order, own = jax.random.split(self.order)
            whole = len(self.train) // self.size
            shuffled = jax.random.permutation(own, len(self.train))[: whole * self.size].reshape(whole, self.size)
            yield shuffled[:count]
            count -= whole

    def steps(self, count: int) -> float:
        for rows in self.rows(count):
            if self.variant == "scan":
                for chunk in range(0, len(rows), CHUNK):
                    self.state, losses = self.many(self.state, self.train, rows[chunk : chunk + CHUNK])
                loss = losses[-1]
            else:
                for row in list(rows):
                    self.state, loss = self.one(self.state, self.train, row)
        return float(loss)

    def fit(self, epochs: int) -> float:
        self.fresh()
        self.steps(epochs * (len(self.train) // self.size))
        key = jax.random.key(4)
        losses = [float(self.loss(self.state[0], self.test[i : i + 1000], key)) for i in range(0, len(self.test), 1000)]
        return sum(losses) / len(losses)

    def sample(self, count: int) -> None:
        keys = jax.random.split(jax.random.key(5), count // 1000)
        jnp.concatenate([self.decoded(self.state[0], key) for key in keys]).block_until_ready()

    def encode(self, count: int) -> None:
        parts = [self.encoded(self.state[0], self.test[i : i + 1000]) for i in range(0, count, 1000)]
        jnp.concatenate(parts).block_until_ready()


serve(Flax(arguments(["scan", "step"])))
