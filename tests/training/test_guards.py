"""Options that follow the validation data are refused before training where they cannot."""

import pytest

from genkit.errors import ConfigError
from genkit.interfaces import Loss
from genkit.runs.opening import as_config, prepare
from genkit.runs.preflight import check
from genkit.runs.running import run

GAN = ["data={name: digits, size: 8, validation: 0.1}", "decoder.hidden=[8]", "loss.adversarial.critic.hidden=[8]"]
SMALL = ["encoder.hidden=[8]", "decoder.hidden=[8]"]
PLATEAU = "{schedule: plateau, from: 0.001}"


@pytest.mark.parametrize(
    ("option", "name"),
    [
        ("training.keep=best", "training.keep: best"),
        ("training.stop.patience=3", "training.stop"),
        (f"training.optimizer.lr={PLATEAU}", "training.optimizer.lr: plateau"),
    ],
)
def test_without_validation_data_they_are_refused(digits, tmp_path, option, name):
    said = f"^{name} follows the validation data, and there are none: hold some out, for example data.validation=0.1"
    with pytest.raises(ConfigError, match=said):
        run(digits, [*SMALL, "data.validation=0", option], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    (error,) = check(as_config(digits, [*SMALL, "data.validation=0", option]), probe=False).errors
    assert error.startswith(name)


def test_a_figure_that_the_model_lacks_is_refused_with_those_it_has(digits):
    options = ["data={name: digits, size: 8, validation: 0.1}", *SMALL, "training.stop={monitor: elbo}"]
    said = "training.stop: the model has no figure 'elbo' to monitor; it has loss, reconstruction"
    with pytest.raises(ConfigError, match=said):
        prepare(as_config(digits.with_stem("autoencoder"), options))


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("training.keep=best", "training.keep: best follows the loss without the terms that have a critic"),
        (
            f"loss.adversarial.optimizer.lr={PLATEAU}",
            r"loss.adversarial.optimizer.lr: plateau follows the loss without .* no figure of the validation data says",
        ),
        ("training.stop.monitor=reconstruction", "training.stop: the model has no figure 'reconstruction' to monitor"),
    ],
)
def test_a_model_with_critics_alone_has_no_figure_that_says_which_epoch_is_better(digits, option, said):
    with pytest.raises(ConfigError, match=said):
        prepare(as_config(digits.with_stem("gan"), [*GAN, option]))


@pytest.mark.parametrize(
    ("system", "options", "said"),
    [
        ("vae-digits", ["loss.kl.free_bits=0.1"], "loss 'kl' is a statistic of a whole batch: a step has 4 batches"),
        (
            "sparse-autoencoder",
            ["data={name: digits, size: 8}", "loss=[reconstruction, {name: sparsity, weight: 1.0}]"],
            "loss 'sparsity' is a statistic of a whole batch",
        ),
        (
            "vae-digits",
            ["encoder.normalization=batch"],
            r"encoder\.\S+ normalizes over a whole batch: .*larger",
        ),
        (
            "gan",
            [*GAN, "decoder={name: mlp, hidden: [8]}", "loss.adversarial.critic.normalization=batch"],
            r"losses\.adversarial\.critic\.\S+ normalizes over a whole batch",
        ),
    ],
)
def test_parts_that_look_at_a_whole_batch_accumulate_nothing(digits, system, options, said):
    config = as_config(digits.with_stem(system), [*options, "training.accumulate=4"])
    with pytest.raises(ConfigError, match=f"^training.accumulate: {said}"):
        prepare(config)
    assert any("training.accumulate: " in error for error in check(config, probe=False).errors)
    prepare(as_config(digits.with_stem(system), options))


def test_a_statistic_that_does_not_say_so_is_seen(digits, variant):
    class Silent(Loss):
        """The mean over the batch."""

        class Config(Loss.Config):
            """None but the common ones."""

        def forward(self, forward):
            return -forward.log_prob.mean()

    config = as_config(digits, [*SMALL, f"loss={variant(Silent)}", "training.accumulate=2"])
    with pytest.raises(ConfigError, match="loss 'of-test' is a statistic of a whole batch"):
        prepare(config)
