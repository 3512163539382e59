"""How much memory there is: against control groups that are known."""

import torch

from genkit.runs.memory import _left_by_group, free


def test_what_is_free_is_some_of_the_memory_of_the_machine():
    assert 2**20 < free(torch.device("cpu")) < 2**50


def group(folder, limit, used, cache=0, names=("memory.max", "memory.current"), stat="inactive_file"):
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (limit, used), strict=True):
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{stat} {cache}\n")


def test_the_smallest_of_the_limits_around_a_process_counts(tmp_path):
    mine, root = tmp_path / "cgroup", tmp_path / "fs"
    mine.write_text("0::/outer/inner\n")
    group(root / "outer/inner", "max", 500)
    assert _left_by_group(root, mine) is None
    group(root / "outer", 1000, 700, cache=100)
    assert _left_by_group(root, mine) == 400
    group(root / "outer/inner", 600, 500)
    assert _left_by_group(root, mine) == 100
    group(root / "outer/inner", 600, 700)
    assert _left_by_group(root, mine) == 0


def test_limits_of_the_first_version_are_read_and_absurd_ones_are_none(tmp_path):
    mine, root = tmp_path / "cgroup", tmp_path / "fs"
    mine.write_text("9:cpu:/job\n4:memory:/job\n0::/\n")
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    group(root / "memory", 2**63 - 4096, 5, names=names)
    assert _left_by_group(root, mine) is None
    group(root / "memory/job", 900, 200, cache=50, names=names, stat="total_inactive_file")
    assert _left_by_group(root, mine) == 750


def test_a_system_without_control_groups_has_no_limit(tmp_path):
    assert _left_by_group(tmp_path, tmp_path / "none") is None
