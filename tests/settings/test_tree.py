import pytest

from genkit.config import RunConfig
from genkit.registry.registry import installed
from genkit.settings.tree import called, elsewhere, paths

VALUES = {
    "data": "digits",
    "encoder": {"name": "mlp", "hidden": [8]},
    "sampler": "gaussian",
    "loss": ["reconstruction", {"name": "kl", "weight": {"from": 0, "to": 1, "epochs": 3}}, 3, {"name": "none-such"}],
    "training": {"optimizer": "sgd"},
}


def test_the_paths_are_those_of_the_parts_that_are_chosen():
    each = {".".join(path) for path in paths(RunConfig, VALUES, installed())}
    assert {"seed", "encoder.hidden", "sampler.latent", "loss.kl.weight", "training.optimizer.momentum"} <= each
    assert not {"training.optimizer.betas", "sampler.classes", "decoder.hidden"} & each


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("momentum", ["training.optimizer.momentum"]),
        ("weight", ["loss.reconstruction.weight", "loss.kl.weight"]),
        ("epochs", ["training.epochs"]),
        ("epoch", ["training.epochs"]),
        ("batch", ["training.batch_size"]),
        ("latent_size", ["sampler.latent"]),
        ("xyzzy", []),
    ],
)
def test_an_option_is_found_by_its_last_name(key, expected):
    assert elsewhere(key, RunConfig, VALUES, installed()) == expected


def test_similar_names_count_only_where_they_may():
    each = [("training", "epochs"), ("training", "checkpoint", "epochs"), ("prior", "epochs")]
    assert called("epochs", each) == ["training.epochs", "prior.epochs"]
    assert called("epoch", each) == ["training.epochs", "prior.epochs"]
    assert called("epoch", each, exactly=True) == []
