from functools import cache
from pathlib import Path

import pytest

from genkit.config import RunConfig
from genkit.evaluation.descriptions import descriptions
from genkit.evaluation.figures import Evaluation
from genkit.evaluation.sample_quality import SampleQuality
from genkit.interfaces import INTERFACES, Encoder
from genkit.registry.hooks import RUN_HOOKS
from genkit.registry.kinds import name_of
from genkit.registry.reference import COMMAND, reference
from genkit.registry.registry import installed, registry
from genkit.registry.selection import FIRST_PARTY, Selection
from genkit.settings.schedules import Cosine, Plateau, Ramp, Steps
from genkit.settings.training import TrainingConfig

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "reference.md"


@pytest.fixture
def alone(monkeypatch):
    """As where nothing else is installed."""
    monkeypatch.setattr(registry(), "wanted", Selection.of("none", "test"))


@cache
def whole():
    """The reference as it is, which takes seconds to write."""
    return reference()


def section(title, page=None):
    """A section of a page, by default of the reference as it is."""
    return (page or whole()).split(f"\n### {title}\n")[1].split("\n#")[0]


def test_the_committed_page_is_current(alone):
    assert PAGE.read_text(encoding="utf-8") == reference(), f"make it anew: {COMMAND}"


def test_it_has_every_hook_kind_and_part(alone):
    page = reference()
    for hook in ("components", *RUN_HOOKS):
        assert f"| `{hook}(" in page
    for interface in INTERFACES:
        assert f"of the kind `{interface.kind}`" in section(interface.__name__, page)
    for plugin in installed().plugins:
        for component in plugin.components if plugin.distribution == FIRST_PARTY else ():
            shown = section(f"{component.kind}/{name_of(component)}", page)
            for name, option in component.Config.model_fields.items():
                assert name == "name" or f"| `{option.alias or name}` |" in shown


def test_what_it_says_of_a_kind_and_of_a_part():
    sampler = section("Sampler")
    assert (
        "| `features` | the shape of one datum's features; None: the model has no encoder, and only `prior` is used. |"
        in (sampler)
    )
    assert "| `prior(n)` | Draw n times from p(z): (n, \\*latent_shape), on the device of the model. |" in sampler
    assert (
        "| `bounds: tuple[float, float]` | The least and the greatest value that `Latent.mean` can take. |" in sampler
    )
    assert "A need is one of `encoder`, `kl`, `log_ratio`, `log_q`, `unit_interval`, `generated`, `prior`." in section(
        "Loss"
    )
    assert "It needs: encoder, kl." in section("loss/kl")
    arrays = section("data/arrays")
    assert "| `path` | `string \\| list of string` | needed | the file: .npy, .npz, .safetensors" in arrays
    assert "| `labels` | `string \\| null` | `null` |" in arrays
    assert "No options." in section("likelihood/bernoulli")


def test_it_has_every_option_of_a_run_of_ramps_and_of_optimizers():
    run, training = section("RunConfig"), section("TrainingConfig")
    schedules = [(schedule, section(schedule.__name__)) for schedule in (Ramp, Cosine, Steps, Plateau)]
    for settings, shown in ((RunConfig, run), (TrainingConfig, training), *schedules):
        for name, option in settings.model_fields.items():
            assert f"| `{option.alias or name}` |" in shown
    assert "| `batch_size` | `integer` | `128` | how many data one step sees |" in training
    assert "| `training` | `TrainingConfig` | `{}` | how the model is fitted |" in run
    assert (
        "| `encoder` | `centred \\| cnn \\| mlp \\| resnet \\| rnn \\| tcn \\| transformer \\| null` | `null` |" in run
    )
    assert "| `loss` | `list of adversarial \\|" in run
    assert "| `nesterov` | `boolean` | `false` |" in section("optimizer/sgd")
    assert "| `betas` | `list of number` | `[0.9, 0.999]` | the decay rates of" in section("optimizer/adam")


def test_the_groups_of_options_in_a_part_have_tables_of_their_own():
    layer = whole().split("\n### encoder/cnn\n")[1].split("\n### ")[0].split("\n#### Layer\n")[1]
    assert "| `stride` | `integer` | `1` | the step of the kernel along each axis |" in layer


def test_it_has_every_figure():
    page = whole().split("\n## Figures\n")[1]
    for key in (*descriptions(Evaluation), *descriptions(SampleQuality, "samples.")):
        assert f"| `{key}` |" in page
    assert "| `metrics.nll.bound` | bound on −log p(x), 50 draws | nats per datum | lower |" in section("metric/nll")
    assert "It needs: encoder, density." in section("metric/nll")
    assert "| `elbo` | evidence lower bound (ELBO) | nats per datum | higher |" in page


def test_another_part_is_in_it_once_it_is_there(variant):
    name = variant(Encoder, forward=lambda self, x: x, __doc__="An encoder (B, *shape).\n\nArgs:\n    config: none.\n")
    assert section(f"encoder/{name}", reference()).strip() == "An encoder (B, \\*shape).\n\nNo options."


def test_the_command_writes_and_prints_it(cli, tmp_path):
    written = cli("plugins", "reference", "--out", tmp_path / "reference.md")
    assert written.code == 0
    assert written.out.strip() == str(tmp_path / "reference.md")
    assert (tmp_path / "reference.md").read_text(encoding="utf-8") == whole()
    assert cli("plugins", "reference").out == whole()
