import os

import torch

from genkit.files import strict_json
from genkit.runs import hardware


def test_the_hardware_is_that_of_this_machine():
    record = hardware.record(torch.device("cpu"))
    assert record["device"] == "cpu"
    assert 1 <= record["cores"] <= os.cpu_count()
    assert record["processor"]
    assert "accelerator" not in record
    strict_json.dumps(record)


def test_where_the_system_does_not_tell_the_processor_its_architecture_stands_in(monkeypatch, tmp_path):
    monkeypatch.setattr(hardware, "PROCESSORS", tmp_path / "none")
    assert hardware.record(torch.device("cpu"))["processor"]


def test_a_run_records_it(finished):
    environment = strict_json.read(finished.directory.environment)
    assert environment["hardware"] == hardware.record(torch.device("cpu"))
