"""The stages of a run after its epochs: which are done, so that a resumed run takes up the first that is missing."""

from __future__ import annotations

from pathlib import Path

from genkit.files import atomic, strict_json

TRAINED, FITTED, SAVED, EVALUATED, DRAWN = STAGES = ("trained", "fitted", "saved", "evaluated", "drawn")
"""In their order: all epochs are done, a prior is fitted to the latents, the model is written, its figures are, its
pictures are."""


class Stages:
    """The record of the stages in a run's directory.

    Args:
        path: the file of the record.
        model: the file of the model; a run of an earlier genkit has no record, and is finished where it has a model.
    """

    def __init__(self, path: Path, model: Path) -> None:
        self.path, self.model = path, model

    def done(self, epoch: int) -> list[str]:
        """The stages that are done of a training that ended after `epoch` epochs."""
        try:
            record = strict_json.read(self.path)
            return [stage for stage in STAGES if stage in record["done"]] if record["epoch"] == epoch else []
        except FileNotFoundError:
            return list(STAGES) if self.model.is_file() else []
        except (OSError, ValueError, KeyError, TypeError):
            return []

    @property
    def is_finished(self) -> bool:
        """Whether a model is there, and no stage of the training that it is of is left to do."""
        try:
            return self.model.is_file() and list(strict_json.read(self.path)["done"]) == list(STAGES)
        except FileNotFoundError:
            return self.model.is_file()
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def mark(self, epoch: int, stage: str) -> None:
        """Record that a stage is done; raises RunError where the record cannot be written."""
        done = [*(each for each in self._own(epoch) if each != stage), stage]
        atomic.write_text(self.path, strict_json.dumps({"epoch": epoch, "done": done}) + "\n")

    def _own(self, epoch: int) -> list[str]:
        return self.done(epoch) if self.path.is_file() else []

    def begin(self, epoch: int) -> None:
        """Record that a run trains on from `epoch` epochs, so that what is there is that of a shorter training."""
        atomic.write_text(self.path, strict_json.dumps({"epoch": epoch, "done": []}) + "\n")
