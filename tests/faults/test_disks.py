"""Full disks: one error, nothing half written left, nothing lost, and a run goes on once there is room."""

import json
import sys
from pathlib import Path

import pytest

from tests.faults.conftest import FULL
from tests.faults.disks import NONE

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ["data.size=8", "training.epochs=3", "training.batch_size=300", "encoder.hidden=[64]", "decoder.hidden=[64]"]
RUN = ["run", str(EXAMPLES / "vae-digits.yaml"), *SMALL, "--out", "{disk}/run"]
KIB = 1024

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux mounts a disk for a test"),
]


def cases(whole, stopped):
    """The words of a command, the bytes that are free, the run on the disk, and the run to compare with."""
    free_of = {"run": (0, 4, 12, 40, 60, 150, 220), "resume": (0, 20)}
    runs = [{"words": RUN, "free": free * KIB, "run": None, "whole": whole} for free in free_of["run"]]
    resumes = [
        {"words": ["resume", "{disk}/run", "--epochs", "3"], "free": free * KIB, "run": stopped, "whole": whole}
        for free in free_of["resume"]
    ]
    readers = [
        ["sample", "{disk}/run", "-n", "10000", "--out", "{disk}/run/x.npy"],
        *(
            ["sample", "{disk}/run", "-n", "500", "--out", f"{{disk}}/run/x.{end}"]
            for end in ("npz", "safetensors", "csv", "png")
        ),
        ["encode", "{disk}/run", "--out", "{disk}/run/z.npz"],
        ["export", "{disk}/run", "--out", "{disk}/run/all.onnx"],
        ["export", "{disk}/run", "--format", "torch-export", "--out", "{disk}/run/all.pt2"],
        ["card", "{disk}/run"],
        ["sample", "{disk}/run", "-n", "500", "--out", "{disk}/run/old.npy"],
    ]
    return [
        *runs,
        *resumes,
        *({"words": each, "free": 4 * KIB * (each[0] != "card"), "run": whole, "whole": None} for each in readers),
    ]


def test_full_disks(trained, tmp_path, environment, process, count):
    runs = {"whole": tmp_path / "whole", "stopped": tmp_path / "stopped"}
    root = Path(__file__).parents[2]
    for name, path in runs.items():
        words = ["genkit", *(each.replace("{disk}/run", str(path)) for each in RUN)]
        words += ["training.epochs=2"] * (name == "stopped")
        assert process(*words, env=environment, cwd=root).returncode == 0
    every = cases(*(str(path) for path in runs.values()))
    chosen = every if FULL else [*every[1:7:3], every[7], every[9], every[11]]
    (tmp_path / "cases.json").write_text(json.dumps({"cases": chosen, "scratch": str(tmp_path)}))
    done = process("python", "-m", "tests.faults.disks", tmp_path / "cases.json", env=environment, cwd=root)
    if done.returncode == NONE:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    numbers = {"lost": sum(bool(each.get("lost") or each.get("changed")) for each in results)}
    numbers |= {name: sum(bool(each.get(key)) for each in results) for name, key in KEYS.items()}
    numbers["signals"] = sum(each["code"] < 0 for each in results)
    count("full disks", cases=len(results), **numbers)
    bad = [(case["words"], case["free"], each) for case, each in zip(chosen, results, strict=True) if not fine(each)]
    assert not bad, "\n".join(f"{' '.join(words)} with {free:,} bytes free: {each}" for words, free, each in bad)


KEYS = {"unequal": "unequal", "leftovers": "new", "tracebacks": "traceback", "hangs": "hung"}


def fine(result):
    """Whether a command on a full disk did what is right: one error, or for pictures and figures a warning."""
    problems = ("lost", "changed", "unequal", "new", "traceback", "hung")
    said = "error: " in result["err"] if result["code"] == 2 else "warning: " in result["err"]
    return result["code"] in (0, 2) and said and not any(result.get(key) for key in problems)
