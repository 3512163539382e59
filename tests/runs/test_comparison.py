from __future__ import annotations

import json
import re
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genkit.data.loading import load
from genkit.errors import ConfigError, DataError, GenkitError, RunError
from genkit.evaluation import classifier
from genkit.evaluation.classifier import feature_network
from genkit.evaluation.figures import evaluate
from genkit.evaluation.sample_quality import SampleQuality, sample_quality
from genkit.record.run import Run
from genkit.runs.comparison import Compared, compare
from genkit.runs.opening import as_config, create_directory, prepare
from genkit.sharing import weights

pytestmark = pytest.mark.slow

TEST = 359
PARTS = ["encoder.hidden=[4]", "decoder.hidden=[4]"]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture
def cache(networks: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks that have seen little."""
    monkeypatch.setattr(classifier, "STEPS", 20)
    return networks


@pytest.fixture
def fresh(digits: Path, tmp_path: Path) -> Callable[..., Path]:
    """`fresh("a/run", "seed=1")`: a model that nobody trained, saved in a directory; returns it."""

    def make(name: str, *overrides: str) -> Path:
        config = as_config(digits, [*PARTS, *overrides])
        weights.save(tmp_path / name / "model.safetensors", prepare(config)[1])
        (tmp_path / name / "config.yaml").touch()  # as in a run's directory, whose files are one's own
        return tmp_path / name

    return make


def close(one: SampleQuality, other: SampleQuality) -> None:
    """The same but for the order of the data, which only the blocks of the kernel distance depend on."""
    assert one.kid == pytest.approx(other.kid, abs=3 * (one.kid_error + other.kid_error))
    first, second = (replace(found, kid=0, kid_error=0).to_json() for found in (one, other))
    assert first.pop("class_shares") == pytest.approx(second.pop("class_shares"))
    figures = {name: value for name, value in second.items() if value is not None}
    assert {name for name, value in first.items() if value is not None} == figures.keys()
    assert {name: first[name] for name in figures} == pytest.approx(figures, rel=1e-4, abs=1e-4)


# What it says of each


def test_entries_come_in_the_order_given_with_names_and_paths(compared: Compared, trained: dict[str, Run]) -> None:
    entries = compared.comparison.entries
    assert [entry.name for entry in entries] == ["vae-digits", "gan", "autoencoder"] == list(trained)
    assert [Path(entry.path) for entry in entries] == [one.directory.path for one in trained.values()]
    for entry, model, one in zip(entries, compared.models, trained.values(), strict=True):
        assert model.config == one.config
        assert entry.parameters == sum(p.numel() for p in one.model.parameters())


def test_the_critic_counts_among_what_was_fitted(compared: Compared) -> None:
    gan = compared.comparison.entries[1]
    generator = (32 * 16 + 16) + 2 * 16 + (16 * 64 + 64)
    critic = (64 * 16 + 16) + (16 + 1)
    assert gan.parameters == generator + critic


def test_the_other_order_gives_the_same_entries_in_it(trained: dict[str, Run], cache: Path) -> None:
    paths = [one.directory.path for one in trained.values()]
    there, back = (compare(order, count=100, cache=cache).comparison for order in (paths, paths[::-1]))
    assert back.entries == there.entries[::-1]
    assert back.floor == there.floor


def test_what_training_took_is_that_of_the_runs_history(compared: Compared, trained: dict[str, Run]) -> None:
    for entry, one in zip(compared.comparison.entries, trained.values(), strict=True):
        assert entry.epochs == 3
        assert entry.seconds == pytest.approx(sum(record.seconds for record in one.history))
        assert entry.examples_per_second == statistics.median(record.examples_per_second for record in one.history)


def test_figures_are_those_of_evaluate(compared: Compared, trained: dict[str, Run]) -> None:
    for entry, one in zip(compared.comparison.entries, trained.values(), strict=True):
        assert entry.evaluation == evaluate(one.model, one.data)
        assert entry.evaluation.count == TEST
    vae, gan, autoencoder = (entry.evaluation for entry in compared.comparison.entries)
    assert vae.elbo == pytest.approx(-vae.reconstruction - vae.kl)
    assert (gan.elbo, gan.reconstruction, autoencoder.elbo) == (None, None, None)
    assert autoencoder.reconstruction > 0


def test_samples_are_judged_as_by_hand(trained: dict[str, Run], cache: Path) -> None:
    comparison = compare([trained["gan"].directory.path, trained["vae-digits"].directory.path], cache=cache).comparison
    data = trained["vae-digits"].data
    network = feature_network(data, cache)
    real, looks = network.read(data.test.x)
    for entry, name in zip(comparison.entries, ("gan", "vae-digits"), strict=True):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            generated, seem = network.read(trained[name].model.sample(TEST))
        close(entry.samples, sample_quality(real, generated, (looks, seem), 10))


def test_samples_of_a_conditional_model_are_judged_by_the_classes_they_were_asked_for(
    fresh: Callable[..., Path], cache: Path
) -> None:
    """The classes take turns, so that every tenth sample is of one."""
    conditional, plain = fresh("conditional", "condition=labels"), fresh("plain")
    compared = compare([conditional, plain], cache=cache)
    of_conditional, of_plain = (entry.samples for entry in compared.comparison.entries)
    assert (of_plain.class_agreement, of_plain.class_agreements) == (None, None)
    assert compared.comparison.floor.class_agreement is None
    network = feature_network(compared.data, cache)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        looks = network.read(compared.models[0].sample(TEST, labels=torch.arange(TEST) % 10))[1]
    by_hand = [float((looks[digit::10] == digit).double().mean()) for digit in range(10)]
    assert of_conditional.class_agreements == pytest.approx(by_hand)
    assert of_conditional.class_agreement == pytest.approx(min(by_hand))


def test_without_a_prior_there_are_no_samples_to_judge(compared: Compared) -> None:
    assert [entry.samples is None for entry in compared.comparison.entries] == [False, False, True]


def test_the_floor_is_that_of_real_data(compared: Compared) -> None:
    floor = compared.comparison.floor
    assert floor.count == TEST
    assert floor.two_sample == pytest.approx(0.5, abs=0.08)
    assert floor.classes == 1.0
    assert min(floor.precision, floor.recall, floor.coverage) > 0.9
    assert floor.density == pytest.approx(1, abs=0.15)
    assert abs(floor.kid) < 5 * floor.kid_error
    assert max(floor.class_shares) < 0.2
    for entry in compared.comparison.entries[:2]:
        assert entry.samples.frechet > 5 * floor.frechet
        assert entry.samples.two_sample > floor.two_sample + 0.2


def test_it_says_what_the_features_are(compared: Compared) -> None:
    assert "64 features of a classifier of the data, right for " in compared.comparison.features
    share = float(compared.comparison.features.split("right for ")[1].split("%")[0])
    assert 50 < share <= 100


def test_data_without_labels_are_compared_by_a_random_network(fresh: Callable[..., Path], tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((600, 1, 8, 8), dtype=np.float32))
    source, cache = f"data={{name: arrays, path: {tmp_path / 'x.npy'}}}", tmp_path / "features"
    found = compare([fresh("run")], [source], cache=cache).comparison
    assert "random network, as the training data have no classes to tell apart" in found.features
    assert (found.floor.classes, found.floor.class_shares) == (None, None)
    assert found.floor.count == 120
    assert not cache.exists()


def test_the_comparison_goes_through_json(compared: Compared) -> None:
    values = json.loads(json.dumps(compared.comparison.to_json(), allow_nan=False))
    assert [entry["name"] for entry in values["entries"]] == ["vae-digits", "gan", "autoencoder"]
    assert values["entries"][0]["evaluation"]["elbo"] == compared.comparison.entries[0].evaluation.elbo
    assert values["entries"][2]["samples"] is None
    assert values["floor"]["frechet"] == compared.comparison.floor.frechet


# Always the same


def test_the_same_seed_gives_the_same_figures_and_another_does_not(trained: dict[str, Run], cache: Path) -> None:
    path = trained["vae-digits"].directory.path
    first = compare([path], count=100, seed=3, cache=cache).comparison
    torch.rand(5)
    assert compare([path], count=100, seed=3, cache=cache).comparison == first
    other = compare([path], count=100, seed=4, cache=cache).comparison
    assert other.floor != first.floor
    assert other.entries[0].samples != first.entries[0].samples
    assert other.entries[0].evaluation.elbo != first.entries[0].evaluation.elbo


def test_the_random_state_is_left_as_it_was(trained: dict[str, Run], cache: Path) -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    compare([one.directory.path for one in trained.values()], count=100, cache=cache)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


def test_a_model_is_judged_the_same_alone_or_beside_others(compared: Compared, trained: dict[str, Run], cache: Path):
    paths = [one.directory.path for one in trained.values()]
    beside = compare(paths[:2], count=100, cache=cache).comparison
    (alone,) = compare(paths[1:2], count=100, cache=cache).comparison.entries
    assert alone == replace(beside.entries[1], options={}), "options differ from those of others alone"


def test_options_that_differ_are_those_of_the_configs(compared: Compared) -> None:
    vae, gan, autoencoder = (entry.options for entry in compared.comparison.entries)
    assert [each["sampler"] for each in (vae, gan, autoencoder)] == ["gaussian", "gaussian", "point"]
    assert [each["encoder"] for each in (vae, gan, autoencoder)] == ["mlp", None, "mlp"]
    assert "training.device" not in vae
    assert "name" not in vae


# How many


@pytest.mark.parametrize(
    ("count", "overrides", "expected"),
    [(100, [], 100), (10_000, [], TEST), (10_000, ["data.test=200"], 200), (10_000, ["data.test=1500"], 117)],
    ids=["as asked", "the test split", "a smaller test split", "the training split"],
)
def test_there_are_as_many_samples_as_data(
    fresh: Callable[..., Path], cache: Path, count: int, overrides: list[str], expected: int
) -> None:
    found = compare([fresh("run")], overrides, count, cache=cache).comparison
    assert found.floor.count == found.entries[0].samples.count == expected


@pytest.mark.parametrize(("count", "overrides"), [(99, []), (10_000, ["data.test=0.05"]), (10_000, ["data.test=1600"])])
def test_too_few_data_are_refused(fresh: Callable[..., Path], cache: Path, count: int, overrides: list[str]) -> None:
    with pytest.raises(DataError, match="too few to judge samples by"):
        compare([fresh("run")], overrides, count, cache=cache)


# Paths


def test_weights_without_their_run_have_no_history(
    trained: dict[str, Run], compared: Compared, cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "alone").mkdir()
    alone = tmp_path / "alone" / "model.safetensors"
    alone.write_bytes(trained["vae-digits"].directory.model.read_bytes())
    (entry,) = compare([alone], count=100, cache=cache).comparison.entries
    assert (entry.epochs, entry.seconds, entry.examples_per_second) == (None, None, None)
    assert (entry.name, entry.path) == ("alone", str(alone))
    assert entry.evaluation == compared.comparison.entries[0].evaluation
    assert entry.parameters == compared.comparison.entries[0].parameters


def test_two_of_one_name_are_called_by_their_paths(fresh: Callable[..., Path], cache: Path) -> None:
    paths = [fresh("one/run"), fresh("two/run", "seed=1"), fresh("third")]
    assert [entry.name for entry in compare(paths[1:], count=100, cache=cache).comparison.entries] == ["run", "third"]
    entries = compare(paths, count=100, cache=cache).comparison.entries
    assert [entry.name for entry in entries] == [str(path) for path in paths]


def test_relative_paths_have_the_names_of_their_directories(
    fresh: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fresh("run"))
    for path in (".", "model.safetensors"):
        assert compare([path], count=100, cache=cache).comparison.entries[0].name == "run"


@pytest.mark.parametrize("paths", [[], ["a", "a"], ["a", "b", Path("a")]])
def test_no_run_or_one_twice_is_refused(paths: list[Any]) -> None:
    with pytest.raises(RunError, match="at least one run, and each of them once"):
        compare(paths)


def test_a_run_that_is_not_finished_or_not_there_is_refused(digits: Path, tmp_path: Path) -> None:
    path = create_directory(as_config(digits), tmp_path / "run").path
    with pytest.raises(GenkitError, match=re.escape(f"genkit resume {path}")):
        compare([path])
    with pytest.raises(GenkitError, match="none: there is no such file"):
        compare([tmp_path / "none"])


# The same data


def test_runs_that_hold_out_other_data_are_refused_with_both_paths_and_a_remedy(fresh: Callable[..., Path]) -> None:
    one, other, third = fresh("one"), fresh("other"), fresh("third", "data.split_seed=1")
    with pytest.raises(DataError) as raised:
        compare([one, other, third])
    for said in (f"{one} and {third} hold out different data", "data=NAME data.KEY=VALUE"):
        assert said in str(raised.value)


def test_runs_of_data_of_another_shape_are_refused_with_a_remedy(fresh: Callable[..., Path]) -> None:
    one, other = fresh("one"), fresh("other", "data.size=9")
    with pytest.raises(DataError) as raised:
        compare([one, other])
    for said in (str(other), "(1, 9, 9)", "(1, 8, 8)", "data=NAME data.KEY=VALUE"):
        assert said in str(raised.value)


def test_data_given_for_all_make_them_comparable(fresh: Callable[..., Path], cache: Path, digits: Path) -> None:
    paths = [fresh("one", "data.split_seed=2"), fresh("other", "data.split_seed=1")]
    found = compare(paths, ["data.split_seed=0"], count=100, cache=cache)
    assert [entry.evaluation.count for entry in found.comparison.entries] == [TEST, TEST]
    assert torch.equal(found.data.test.x, load(as_config(digits).data).test.x)


def test_the_same_data_as_bytes_or_in_another_file_are_the_same(
    fresh: Callable[..., Path], cache: Path, tmp_path: Path
) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (600, 1, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "raw.npy", raw)
    np.save(tmp_path / "shares.npy", raw.astype(np.float32) / 255)
    paths = [fresh(name, f"data={{name: arrays, path: {tmp_path / name}.npy}}") for name in ("raw", "shares")]
    assert len(compare(paths, count=100, cache=cache).comparison.entries) == 2


def test_only_the_data_can_be_changed(fresh: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="only the data can be changed"):
        compare([fresh("run")], ["seed=3"])


def test_a_run_given_twice_by_other_spellings_is_refused(fresh: Callable[..., Path], cache: Path) -> None:
    path = fresh("run")
    for other in (f"{path}/", path.parent / ".." / path.parent.name / "run", path / "model.safetensors"):
        with pytest.raises(RunError, match="once"):
            compare([str(path), str(other)], count=100, cache=cache)


def test_models_of_binarized_and_of_grey_data_are_compared_only_on_the_same(
    fresh: Callable[..., Path], cache: Path
) -> None:
    plain, binary = fresh("plain"), fresh("binary", "data.binarize=dynamic")
    with pytest.raises(DataError, match=r"plain and .*binary: one of them binarizes its data, so their ELBOs differ"):
        compare([plain, binary], count=100, cache=cache)
    options = ["data.binarize=dynamic"]
    one, other = (compare(order, options, 100, cache=cache).comparison for order in ([plain, binary], [binary, plain]))
    assert one.entries == other.entries[::-1]
