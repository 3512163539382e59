"""Configs from YAML and Python: what they come to, and what is said where they are wrong."""

from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from genkit import RunConfig, config
from genkit.errors import ConfigError
from genkit.interfaces import Encoder
from genkit.model.building import build
from genkit.registry.parts import settings_of
from genkit.registry.registry import installed
from genkit.runs.opening import as_config
from genkit.settings import yaml
from genkit.settings.optimizers import SGD, Adam
from genkit.settings.schedules import Ramp
from genkit_data import Digits
from genkit_mlp import MLPDecoder, MLPEncoder
from genkit_vae import KL, BernoulliLikelihood, GaussianSampler, Reconstruction

TEXT = """\
name: tiny
data: digits
encoder: {name: mlp, hidden: [8]}
sampler: gaussian
decoder: mlp
likelihood: bernoulli
loss: [reconstruction, kl]
training:
  epochs: 3
  optimizer: {name: adam, lr: 1e-3}
"""
VALUES = {
    "data": "digits",
    "encoder": "mlp",
    "sampler": "gaussian",
    "decoder": "mlp",
    "likelihood": "bernoulli",
    "loss": ["reconstruction", "kl"],
}
EXAMPLES = sorted(Path(__file__).parents[1].glob("examples/*.yaml"))


def load(tmp_path, *overrides, text=TEXT):
    path = tmp_path / "tiny.yaml"
    path.write_text(text, encoding="utf-8")
    return as_config(path, overrides)


def problems(tmp_path, *overrides, text=TEXT):
    """The lines of the error, the folder left out."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, *overrides, text=text)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def changed(line, new):
    assert TEXT.count(line) == 1
    return TEXT.replace(line, new)


def test_config_is_what_the_file_says(tmp_path):
    made = load(tmp_path)
    assert made.name == "tiny"
    assert made.encoder == MLPEncoder.Config(hidden=(8,))
    assert made.loss == (Reconstruction.Config(), KL.Config())
    assert made.training.epochs == 3
    assert made.training.optimizer == Adam(lr=0.001)


def test_learning_rate_without_a_point_is_a_number(tmp_path):
    assert load(tmp_path).training.optimizer.lr == pytest.approx(0.001)


@pytest.mark.parametrize("loss", [["reconstruction", "kl"], [{"name": "reconstruction"}, {"name": "kl"}]])
def test_bare_string_stands_for_a_mapping_with_its_name(loss):
    assert as_config({**VALUES, "loss": loss, "decoder": {"name": "mlp"}}) == as_config(VALUES)


def test_run_without_a_name_is_called_as_its_file(tmp_path):
    assert load(tmp_path, text=changed("name: tiny\n", "")).name == "tiny"
    assert as_config(VALUES).name == "run"


@pytest.mark.parametrize("name", ["a b", "", ".hidden", "a/b", "-x", "x\n"])
def test_name_that_is_no_good_directory_is_refused(name):
    with pytest.raises(ConfigError, match=r"^config: name: "):
        as_config({**VALUES, "name": name})


def test_components_are_listed_with_their_kinds(tmp_path):
    assert [(kind, settings.name) for kind, settings in load(tmp_path).components()] == [
        ("data", "digits"),
        ("encoder", "mlp"),
        ("sampler", "gaussian"),
        ("decoder", "mlp"),
        ("likelihood", "bernoulli"),
        ("loss", "reconstruction"),
        ("loss", "kl"),
    ]


def test_config_can_be_made_in_python():
    made = config.RunConfig(
        data=Digits.Config(),
        encoder=MLPEncoder.Config(),
        sampler=GaussianSampler.Config(),
        decoder=MLPDecoder.Config(),
        likelihood=BernoulliLikelihood.Config(),
        loss=(Reconstruction.Config(), KL.Config(weight=0.5)),
        training=config.TrainingConfig(optimizer=SGD(momentum=0.9)),
    )
    plain = {"loss": ["reconstruction", {"name": "kl", "weight": 0.5}]}
    plain["training"] = {"optimizer": {"name": "sgd", "momentum": 0.9}}
    assert made == as_config({**VALUES, **plain})


def test_config_is_frozen(tmp_path):
    made = load(tmp_path)
    for part, key in ((made, "seed"), (made.training, "epochs"), (made.encoder, "hidden")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, key, 1)


@pytest.mark.parametrize(
    ("line", "new", "problem"),
    [
        ("training:", "trainng:", "tiny.yaml:8:1: unknown key 'trainng'; did you mean 'training'?"),
        ("hidden:", "hiden:", "tiny.yaml:3:22: encoder: unknown key 'hiden'; did you mean 'hidden'?"),
        ("epochs: 3", "epoch: 3", "tiny.yaml:9:3: training: unknown key 'epoch'; did you mean 'epochs'?"),
        (
            "lr: 1e-3",
            "beta: [0, 0]",
            "tiny.yaml:10:27: training.optimizer: unknown key 'beta'; did you mean 'betas'?",
        ),
        (
            "encoder: {name: mlp,",
            "encoder: {name: mpl,",
            "tiny.yaml:3:1: encoder: unknown encoder 'mpl'; did you mean 'mlp'?",
        ),
        ("kl]", "kll]", "tiny.yaml:7:24: loss[1]: unknown loss 'kll'; did you mean 'kl'?"),
        ("adam", "adm", "tiny.yaml:10:3: training.optimizer: unknown optimizer 'adm'; did you mean 'adam'?"),
        ("epochs: 3", 'epochs: "3"', "tiny.yaml:9:3: training.epochs: must be a valid integer, not '3'"),
        ("epochs: 3", "epochs: true", "tiny.yaml:9:3: training.epochs: must be a valid integer, not True"),
        ("epochs: 3", "epochs: 0", "tiny.yaml:9:3: training.epochs: must be greater than or equal to 1, not 0"),
        ("[8]", "[8, 0]", "tiny.yaml:3:34: encoder.hidden[1]: must be greater than or equal to 1, not 0"),
        ("[8]", '["8"]', "tiny.yaml:3:31: encoder.hidden[0]: must be a valid integer, not '8'"),
        ("sampler: gaussian", "sampler: {latent: 2}", "tiny.yaml:4:1: sampler: says no name: which sampler?"),
        ("kl]", "{name: kl, weight: {from: 0, to: 1}}]", "tiny.yaml:7:35: loss[1].weight: 'epochs' is missing"),
        ("decoder: mlp\n", "", "tiny.yaml: 'decoder' is missing; say which decoder the run uses"),
        ("data: digits", "data: arrays", "tiny.yaml:2:1: data: 'path' is missing"),
    ],
)
def test_error_says_where_it_is_and_what_to_write(tmp_path, line, new, problem):
    assert problems(tmp_path, text=changed(line, new)) == [problem]


def test_device_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ConfigError, match=r"training\.device: must be 'auto', 'cpu', 'cuda' or 'mps', not 'gpu'"):
        as_config({**VALUES, "training": {"device": "gpu"}})


def test_everything_that_is_wrong_is_said_at_once(tmp_path):
    text = TEXT.replace("[8]", "[x]").replace("kl]", "lk]").replace("epochs: 3", "epochs: 3.5").replace("lr", "rate")
    found = problems(tmp_path, "seed=-1", text=text.replace("decoder: mlp\n", ""))
    assert len(found) == 6
    places = [
        "tiny.yaml:3:31: ",
        "tiny.yaml:6:24: ",
        "tiny.yaml:8:3: ",
        "tiny.yaml:9:27: ",
        "'seed=-1': ",
        "tiny.yaml: ",
    ]
    for place in places:
        assert [line for line in found if line.startswith(place)], place


@pytest.mark.parametrize("loss", [[], None, 5])
def test_loss_needs_a_term(loss):
    with pytest.raises(ConfigError, match=r"^config: loss: "):
        as_config({**VALUES, "loss": loss})


def test_values_from_python_are_refused_with_their_source_in_place_of_a_file():
    with pytest.raises(ConfigError, match=r"^model\.safetensors: seed: must be a valid integer, not '1'$"):
        config.parse({**VALUES, "seed": "1"}, installed, source="model.safetensors")


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_seed_may_be_any_whole_number_of_63_bits(seed):
    assert as_config({**VALUES, "seed": seed}).seed == seed


@pytest.mark.parametrize("seed", [-1, 2**63, 1.0, None])
def test_other_seeds_are_refused(seed):
    with pytest.raises(ConfigError, match=r"^config: seed: must be"):
        as_config({**VALUES, "seed": seed})


def test_overrides_reach_every_depth(tmp_path):
    made = load(
        tmp_path,
        "seed=7",
        "encoder.hidden.0=16",
        "decoder.activation=tanh",
        "sampler={name: gaussian, latent: 5}",
        "loss.kl.weight={from: 0, to: 1, epochs: 5}",
        "loss.0.weight=2",
        "training.optimizer.lr=3e-4",
        "training.batch_size=10",
    )
    assert made.seed == 7
    assert made.encoder.hidden == (16,)
    assert made.decoder == MLPDecoder.Config(activation="tanh")
    assert made.sampler.latent == 5
    assert [term.weight for term in made.loss] == [2.0, Ramp(start=0, end=1, epochs=5)]
    assert made.training.optimizer == Adam(lr=3e-4)
    assert (made.training.epochs, made.training.batch_size) == (3, 10)


def test_override_makes_a_group_that_the_file_leaves_out(tmp_path):
    text = TEXT[: TEXT.index("training:")]
    assert load(tmp_path, "training.epochs=5", text=text).training == config.TrainingConfig(epochs=5)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("training.epochs=x", "training.epochs: must be a valid integer, not 'x'"),
        ("training.epochs='5'", "training.epochs: must be a valid integer, not '5'"),
        ("trainng=5", "unknown key 'trainng'; did you mean 'training'?"),
        ("training.epoch=5", "training: unknown key 'epoch'; did you mean 'epochs'?"),
        ("encoder=mpl", "encoder: unknown encoder 'mpl'; did you mean 'mlp'?"),
        ("encoder={name: mlp, hidden: [0]}", "encoder.hidden[0]: must be greater than or equal to 1, not 0"),
        ("encoder.hidden.0=x", "encoder.hidden[0]: must be a valid integer, not 'x'"),
        ("loss.kl.weight=x", "loss[1].weight: must be a number, or a mapping {from: , to: , epochs: }, not 'x'"),
    ],
)
def test_error_of_an_override_points_to_the_override(tmp_path, override, problem):
    assert problems(tmp_path, override) == [f"'{override}': {problem}"]


def test_bad_override_stops_everything(tmp_path):
    (found,) = problems(tmp_path, "training.epochs")
    assert found == "'training.epochs' is no override; write key=value, for example training.epochs=5"


def test_values_that_are_parsed_are_left_as_they_were():
    values = {**VALUES, "loss": ["reconstruction", {"name": "kl"}]}
    as_config(values, ["loss.kl.weight=3", "seed=1", "encoder.hidden=[1]"])
    assert values == {**VALUES, "loss": ["reconstruction", {"name": "kl"}]}


def test_resolved_config_names_every_option(tmp_path):
    resolved = load(tmp_path, "loss.kl.weight={from: 0, to: 1, epochs: 5}").resolved()
    layers = {"hidden": [256], "activation": "relu", "normalization": "none", "dropout": 0.0, "gated": False}
    assert resolved["decoder"] == {"name": "mlp", **layers, "unit_norm": False}
    assert resolved["loss"][1]["weight"] == {
        "schedule": "linear",
        "from": 0.0,
        "to": 1.0,
        "epochs": 5.0,
        "period": None,
    }
    assert resolved["training"]["optimizer"]["betas"] == [0.9, 0.999]
    assert resolved["training"]["clip_norm"] is None


SCHEDULES = st.floats(0, 10) | st.fixed_dictionaries(
    {"from": st.floats(0, 1), "to": st.floats(0, 1), "epochs": st.floats(0.1, 100)},
    optional={"period": st.none() | st.floats(0.1, 100)},
)
CONFIGS = st.fixed_dictionaries(
    {
        **{key: st.just(value) for key, value in VALUES.items()},
        "seed": st.integers(0, 2**63 - 1),
        "data": st.just("digits") | st.fixed_dictionaries({"name": st.just("digits"), "validation": st.floats(0, 0.9)}),
        "encoder": st.fixed_dictionaries({"name": st.just("mlp"), "hidden": st.lists(st.integers(1, 9), max_size=3)}),
        "loss": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from(["kl", "reconstruction"]), "weight": SCHEDULES}),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "name": st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
        "training": st.fixed_dictionaries(
            {
                "clip_norm": st.none() | st.floats(0.001, 10),
                "optimizer": st.fixed_dictionaries(
                    {"name": st.sampled_from(["adam", "adamw", "adamax", "rmsprop", "sgd"]), "lr": SCHEDULES}
                ),
            }
        ),
    },
)


@given(values=CONFIGS)
@settings(deadline=None, database=None, max_examples=30)
def test_resolved_config_comes_back_from_yaml_as_it_was(tmp_path_factory, values):
    made = as_config(values)
    path = tmp_path_factory.mktemp("resolved") / "config.yaml"
    path.write_text(yaml.write(made.resolved()), encoding="utf-8")
    assert as_config(path) == made
    assert as_config(path).resolved() == made.resolved()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_are_valid_and_come_back_from_yaml_as_they_were(tmp_path, path):
    made = as_config(path)
    copy = tmp_path / "copy.yaml"
    copy.write_text(yaml.write(made.resolved()), encoding="utf-8")
    assert as_config(copy) == made


def test_there_are_examples():
    assert EXAMPLES


@pytest.mark.parametrize("loss", ["kl", {"name": "kl", "weight": 2}])
def test_one_term_stands_for_a_list_of_one(loss):
    (term,) = as_config({**VALUES, "loss": loss}).loss
    assert isinstance(term, KL.Config)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("encoder.hidden=5", "encoder.hidden: must be a list, not 5"),
        ("training.optimizer.betas=[0.9]", "training.optimizer.betas: must have more than 1 items"),
        ("training.optimizer.lr=-1", "training.optimizer.lr: must not be below 0"),
        ("training.optimizer.lr=.nan", "training.optimizer.lr: must be a number, or a mapping"),
        ("training.optimizer.betas=[0.9, 2]", "training.optimizer.betas[1]: must be less than 1, not 2"),
        ("training.optimizer={name: sgd, nesterov: true}", "training.optimizer: nesterov needs a momentum above 0"),
        ("loss.kl.free_bits=.inf", "loss[1].free_bits: must be a finite number, not inf"),
        ("data.validation=1.5", "data.validation: must be a share from 0 to below 1, or a whole number of data"),
        ("data.test=true", "data.test: must be a share from 0 to below 1, or a whole number of data"),
        ("seed.x=3", "seed: must be a valid integer"),
        ("trainng.epochs=5", "unknown key 'trainng'; did you mean 'training'?"),
    ],
)
def test_an_override_that_cannot_be_is_named_with_what_it_breaks(override, message):
    values = {**VALUES, "loss": ["reconstruction", "kl"]}
    with pytest.raises(ConfigError) as caught:
        as_config(values, [override])
    assert str(caught.value).startswith(f"'{override}': {message}")
    assert len(str(caught.value).splitlines()) == 1


def test_an_option_of_the_default_optimizer_needs_no_name():
    assert as_config(VALUES, ["training.optimizer.lr=0.5"]).training.optimizer == Adam(lr=0.5)


def test_brackets_name_an_item_as_messages_do():
    values = {**VALUES, "loss": ["reconstruction", "kl"]}
    assert as_config(values, ["loss[1].weight=3"]).loss[1].weight == 3


def test_a_file_name_that_is_no_run_name_becomes_one(tmp_path):
    path = tmp_path / "my first, VAE.yaml"
    path.write_text(TEXT.replace("name: tiny\n", ""))
    assert as_config(path).name == "my-first-VAE"


def test_a_single_term_is_overridden_and_placed_like_one_of_a_list(tmp_path):
    text = TEXT.replace("loss: [reconstruction, kl]", "loss: {name: kl, free_bit: 1}")
    assert problems(tmp_path, text=text) == [
        "tiny.yaml:7:18: loss[0]: unknown key 'free_bit'; did you mean 'free_bits'?"
    ]
    text = text.replace(", free_bit: 1", "")
    for override in ("loss.kl.weight=3", "loss[0].weight=3", "loss.kl={weight: 3}"):
        (term,) = load(tmp_path, override, text=text).loss
        assert (term.name, term.weight) == ("kl", 3)
    assert problems(tmp_path, "loss.weight=3", text=text) == ["'loss.weight=3': loss has no item 'weight'; it has kl"]


def test_ten_mistakes_are_ten_lines_in_the_order_of_the_file(tmp_path):
    text = """\
training: {epochs: 0, optimizer: {name: adm}}
loss:
  - {name: kl, weight: heavy}
  - reconstructon
sampler: {name: gaussian, latent: -1, latnet: 2}
sed: 1
likelihood: {nam: bernoulli}
decoder: {name: mlp, hidden: [16, many]}
encoder: 7
data: digits
"""
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        as_config(tmp_path / "wrong.yaml", ["seed=-1"])
    lines = [line.removeprefix(f"{tmp_path}/wrong.yaml:") for line in str(caught.value).splitlines()]
    places = [line.split(": ")[:2] for line in lines]
    assert places == [
        ["1:12", "training.epochs"],
        ["1:23", "training.optimizer"],
        ["3:16", "loss[0].weight"],
        ["4:5", "loss[1]"],
        ["5:27", "sampler.latent"],
        ["5:39", "sampler"],
        ["6:1", "unknown key 'sed'; did you mean 'seed'?"],
        ["7:1", "likelihood"],
        ["8:35", "decoder.hidden[1]"],
        ["9:1", "encoder"],
        ["'seed=-1'", "seed"],
    ]


def test_a_config_that_denies_a_plugin_changes_nothing_of_another(digits):
    whole = as_config(digits)
    with pytest.raises(ConfigError, match=r"encoder: unknown encoder 'mlp'.*left out by plugins=-genkit-torch/mlp"):
        as_config(digits, ["plugins=[-genkit-torch/mlp]"])
    assert build(whole, (1, 8, 8)).encoder is not None
    assert as_config(whole.resolved()) == whole


def test_settings_know_the_class_that_they_are_options_of(digits):
    for kind, options in as_config(digits).components():
        assert options.component.kind == kind
        assert isinstance(options, options.component.Config)


def test_settings_from_python_need_no_look_up():
    class Own(Encoder):
        class Config(Encoder.Config):
            name: Literal["own"] = "own"

        def forward(self, x):
            return x

    made = RunConfig.model_validate({**VALUES, "encoder": Own.Config()})
    assert made.encoder.component is Own
    with pytest.raises(ValidationError, match="unknown sampler 'own'"):
        RunConfig.model_validate({**VALUES, "sampler": Own.Config()})


def test_a_class_that_shares_its_options_with_another_is_still_the_one_that_is_built():
    from genkit_mlp import MLPEncoder

    class Shares(MLPEncoder):
        pass

    assert MLPEncoder.Config.component is MLPEncoder
    assert settings_of(Shares).component is Shares
    assert settings_of(Shares) is settings_of(Shares)
    assert settings_of(MLPEncoder) is MLPEncoder.Config
