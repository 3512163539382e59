import pytest
import torch

from genkit.data.loading import load
from genkit.evaluation.figures import evaluate
from genkit.model.building import build
from genkit.pictures.latent_space import latent_quantiles
from genkit.runs.opening import as_config
from genkit.runs.preflight import check
from genkit.speed.footprint import watching


@pytest.mark.parametrize(
    ("optimizer", "copies"),
    [
        ("adam", 4),
        ("rmsprop", 3),
        ("{name: rmsprop, momentum: 0.9}", 4),
        ("sgd", 2),
        ("{name: sgd, momentum: 0.9}", 3),
    ],
)
def test_memory_of_a_wide_model_is_that_of_its_weights_gradients_and_states(digits, optimizer, copies):
    wide = as_config(
        digits, ["encoder.hidden=[40000]", f"training.optimizer={optimizer}", "training.batch_size=2", "data.test=2"]
    )
    report = check(wide, probe=False)
    assert report.seconds is None
    assert report.bytes == pytest.approx(report.parameters * 4 * copies, rel=0.4)


def test_memory_grows_with_the_batch_by_what_a_pass_keeps(digits):
    sizes = [
        check(as_config(digits, [f"training.batch_size={n}", "sampler.latent=1"]), probe=False).bytes
        for n in (800, 1000, 1200)
    ]
    assert sizes[2] - sizes[1] == sizes[1] - sizes[0]
    # of a datum at least the data, the four hidden layers and the logits, four bytes each
    assert 4 * (64 + 256 + 128 + 128 + 256 + 64) < (sizes[1] - sizes[0]) / 200 < 4 * 4 * (64 + 2 * 384 + 64)


@pytest.mark.parametrize(("options", "work"), [(["sampler.latent=300"], "pictures"), (["data.test=0.7"], "figures")])
def test_memory_after_training_counts_too(digits, options, work):
    small = ["training.batch_size=8", "encoder.hidden=[64]", "decoder.hidden=[64]"]
    config = as_config(digits, [*small, *options])
    estimate = check(config, probe=False).bytes
    data = load(config.data)
    model = build(config, data.shape)
    with watching("it is not measured") as footprint:
        if work == "pictures":
            latent_quantiles(model, data.test.x, torch.tensor([0.01, 0.5, 0.99]))
        else:
            evaluate(model, data)
    constant = 4 * 4 * sum(parameter.numel() for parameter in model.parameters())
    constant += sum(split.x.nbytes for split in data.splits().values())
    assert constant + 0.7 * footprint.peak < estimate < constant + 2 * footprint.peak
