"""Keras 3 by `fit`; the backend is the variant."""

from __future__ import annotations

import os
from typing import Any

from protocol import TEST, TRAIN, arguments, images, serve

options = arguments(["jax", "tensorflow", "torch"])
os.environ["KERAS_BACKEND"] = options.variant
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
from keras import layers, ops  # noqa: E402


class Sampling(layers.Layer):
    """Draws z, and adds the KL to the loss."""

    def __init__(self) -> None:
        super().__init__()
        self.seeds = keras.random.SeedGenerator(0)

    def call(self, inputs: Any) -> Any:
        mean, log_var = inputs
        self.add_loss(0.5 * ops.mean(ops.sum(ops.square(mean) + ops.exp(log_var) - 1 - log_var, axis=-1)))
        return mean + ops.exp(log_var / 2) * keras.random.normal(ops.shape(mean), seed=self.seeds)


def cross_entropy(x: Any, logits: Any) -> Any:
    return ops.sum(ops.softplus(logits) - x * logits, axis=-1)


class Keras:
    """Functional models, Adam, `jit_compile` as Keras chooses."""

    def __init__(self) -> None:
        self.size = options.batch
        self.train = images(options.data, TRAIN).astype("float32") / 255
        self.test = images(options.data, TEST).astype("float32") / 255
        self.fresh()

    def fresh(self) -> None:
        keras.utils.set_random_seed(0)
        x, z = keras.Input((784,)), keras.Input((2,))
        h, up = self.dense(x, z) if options.model == "dense" else self.convolutional(x, z)
        self.encoder = keras.Model(x, [layers.Dense(2)(h), layers.Dense(2)(h)])
        self.decoder = keras.Model(z, up)
        self.model = keras.Model(x, self.decoder(Sampling()(self.encoder(x))))
        jit = {} if options.variant == "torch" else {"jit_compile": True}
        self.model.compile(keras.optimizers.Adam(1e-3), cross_entropy, **jit)

    def dense(self, x: Any, z: Any) -> tuple[Any, Any]:
        return layers.Dense(256, "relu")(x), layers.Dense(784)(layers.Dense(256, "relu")(z))

    def convolutional(self, x: Any, z: Any) -> tuple[Any, Any]:
        h = layers.Reshape((28, 28, 1))(x)
        h = layers.Conv2D(1, 2, padding="same", activation="relu")(h)
        h = layers.Conv2D(64, 2, 2, activation="relu")(h)
        for _ in range(2):
            h = layers.Conv2D(64, 3, padding="same", activation="relu")(h)
        h = layers.Dense(128, "relu")(layers.Flatten()(h))
        up = layers.Dense(12544, "relu")(layers.Dense(128, "relu")(z))
        up = layers.Reshape((14, 14, 64))(up)
        for _ in range(2):
            up = layers.Conv2DTranspose(64, 3, padding="same", activation="relu")(up)
        up = layers.Conv2DTranspose(64, 3, 2, activation="relu")(up)
        return h, layers.Flatten()(layers.Conv2D(1, 2)(up))

    def steps(self, count: int) -> float:
        x, loss = self.train, 0.0
        while count > 0:
            taken = min(count, len(x) // self.size)
            rows = x[: taken * self.size]
            loss = self.model.fit(rows, rows, batch_size=self.size, epochs=1, verbose=0).history["loss"][-1]
            count -= taken
        return float(loss)

    def fit(self, epochs: int) -> float:
        self.fresh()
        self.model.fit(self.train, self.train, batch_size=self.size, epochs=epochs, verbose=0)
        return float(self.model.evaluate(self.test, self.test, batch_size=1000, verbose=0))

    def sample(self, count: int) -> None:
        z = keras.random.normal((count, 2))
        ops.convert_to_numpy(ops.sigmoid(self.decoder.predict(z, batch_size=1000, verbose=0)))

    def encode(self, count: int) -> None:
        self.encoder.predict(self.test[:count], batch_size=1000, verbose=0)


serve(Keras())
