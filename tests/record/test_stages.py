"""Which stages of a run are done."""

import pytest

from genkit.record.stages import STAGES, Stages


@pytest.fixture
def stages(tmp_path):
    return Stages(tmp_path / "stages.json", tmp_path / "model.safetensors")


def test_stages_are_kept_for_their_number_of_epochs(stages):
    assert stages.done(3) == []
    for stage in ("trained", "saved"):
        stages.mark(3, stage)
    assert stages.done(3) == ["trained", "saved"]
    assert stages.done(4) == []
    stages.mark(4, "trained")
    assert stages.done(3) == []


def test_a_run_that_goes_on_has_none(stages):
    for stage in STAGES:
        stages.mark(3, stage)
    assert stages.done(3) == list(STAGES)
    stages.begin(3)
    assert stages.done(3) == []


def test_an_old_run_with_a_model_is_finished(stages):
    stages.model.touch()
    assert stages.done(3) == list(STAGES)
    stages.begin(3)
    assert stages.done(3) == []


@pytest.mark.parametrize("text", ["", "[", "[]", "{}", '{"epoch": 3}', '{"epoch": 3, "done": 5}', "[" * 100_000])
def test_a_damaged_record_is_none(stages, text):
    stages.path.write_text(text)
    stages.model.touch()
    assert stages.done(3) == []
