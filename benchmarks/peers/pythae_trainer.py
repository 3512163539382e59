"""pythae 0.1.2, its own trainer, as its users call it."""

from __future__ import annotations

import logging
import tempfile
from typing import Any

import torch
from protocol import TEST, TRAIN, arguments, images, serve
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.samplers import NormalSampler
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from torch import Tensor, nn

logging.disable(logging.CRITICAL)


class Encoder(BaseEncoder):
    """Dense or convolutional."""

    def __init__(self, convolutional: bool) -> None:
        super().__init__()
        dense = [nn.Linear(784, 256), nn.ReLU()]
        convolutions = [
            *(nn.Unflatten(1, (1, 28, 28)), nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(1, 1, 2), nn.ReLU()),
            *(nn.Conv2d(1, 64, 2, 2), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(12544, 128), nn.ReLU()),
        ]
        self.layers = nn.Sequential(*(convolutions if convolutional else dense))
        width = 128 if convolutional else 256
        self.mean, self.log_var = nn.Linear(width, 2), nn.Linear(width, 2)

    def forward(self, x: Tensor) -> ModelOutput:
        h = self.layers(x)
        return ModelOutput(embedding=self.mean(h), log_covariance=self.log_var(h))


class Decoder(BaseDecoder):
    """The way back."""

    def __init__(self, convolutional: bool) -> None:
        super().__init__()
        dense = [nn.Linear(2, 256), nn.ReLU(), nn.Linear(256, 784)]
        convolutions = [
            *(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 12544), nn.ReLU(), nn.Unflatten(1, (64, 14, 14))),
            *(nn.ConvTranspose2d(64, 64, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(64, 64, 3, padding=1), nn.ReLU()),
            *(nn.ConvTranspose2d(64, 64, 3, 2), nn.ReLU(), nn.Conv2d(64, 1, 2), nn.Flatten()),
        ]
        self.layers = nn.Sequential(*(convolutions if convolutional else dense))

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.layers(z).sigmoid())


class Pythae:
    """BaseTrainer with its defaults and the batch size and rate of the benchmark."""

    def __init__(self, options: Any) -> None:
        self.options = options
        self.train = torch.from_numpy(images(options.data, TRAIN).astype("float32") / 255)
        self.test = torch.from_numpy(images(options.data, TEST).astype("float32") / 255)
        self.folder = tempfile.TemporaryDirectory()
        self.model, self.trainers = self.fresh(), {}

    def fresh(self) -> VAE:
        torch.manual_seed(0)
        config = VAEConfig(input_dim=(784,), latent_dim=2, reconstruction_loss="bce")
        convolutional = self.options.model == "conv"
        return VAE(config, encoder=Encoder(convolutional), decoder=Decoder(convolutional))

    def trainer(self, model: VAE, count: int, epochs: int = 1) -> BaseTrainer:
        config = BaseTrainerConfig(
            output_dir=self.folder.name,
            per_device_train_batch_size=self.options.batch,
            num_epochs=epochs,
            learning_rate=1e-3,
            no_cuda=True,
        )
        rows = torch.arange(count) % len(self.train)
        trainer = BaseTrainer(model, BaseDataset(self.train[rows], torch.zeros(count)), training_config=config)
        trainer.prepare_training()
        return trainer

    def steps(self, count: int) -> float:
        if count not in self.trainers:
            self.trainers = {count: self.trainer(self.model, count * self.options.batch)}
        return float(self.trainers[count].train_step(1))

    def fit(self, epochs: int) -> float:
        self.model, self.trainers = self.fresh(), {}
        self.trainer(self.model, len(self.train), epochs).train()
        self.model.eval()
        with torch.no_grad():
            total = sum(float(self.model({"data": x}).loss) * len(x) for x in self.test.split(1000))
        return total / len(self.test)

    def sample(self, count: int) -> None:
        NormalSampler(self.model).sample(num_samples=count, batch_size=1000)

    def encode(self, count: int) -> None:
        self.model.eval()
        with torch.no_grad():
            torch.cat([self.model.embed(x) for x in self.test[:count].split(1000)])


serve(Pythae(arguments(["default"])))
