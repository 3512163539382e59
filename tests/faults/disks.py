"""Commands on a file system of this process's own, in memory, that is full but for a few bytes.

As a script it takes cases in JSON and prints what came of each.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults.trials import command, differences, leftovers, prepare

NEW_MOUNTS, NEW_USER = 0x20000, 0x10000000
SIZE = 24 * 2**20
NONE = 77
"""The exit code where this system mounts nothing for us."""


def mount(folder: Path) -> None:
    """Mount a small file system that this process and its children alone see; raises OSError where that is refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    _checked(libc.unshare(NEW_USER | NEW_MOUNTS))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    _checked(libc.mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, f"size={SIZE}".encode()))


def _checked(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def fill(folder: Path, free: int) -> Path:
    """Fill a file system but for some bytes; gives the file that does."""
    ballast = folder / "ballast"
    with ballast.open("wb") as stream:
        stat = os.statvfs(folder)
        os.posix_fallocate(stream.fileno(), 0, stat.f_bavail * stat.f_frsize - free)
    return ballast


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for the logs of commands."""
    return {str(each.relative_to(folder)): each.read_bytes() for each in sorted(folder.rglob("*")) if _counts(each)}


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".out", ".err", ".count") and path.name != "ballast"


def perform(case: Mapping[str, Any], disk: Path, outside: Path) -> dict[str, Any]:
    """A command on a full disk, and what came of it.

    A case names its words, the free bytes, and the run that is on the disk, if any; `{disk}` in words is the disk.
    """
    shutil.rmtree(disk / "run", ignore_errors=True)
    if case["run"]:
        shutil.copytree(case["run"], disk / "run")
    words = [word.replace("{disk}", str(disk)) for word in case["words"]]
    before = contents(disk)
    ballast = fill(disk, case["free"])
    end = command(words, outside / "command")
    ballast.unlink()
    after = contents(disk)
    result = {"code": end.code, "err": end.err, "traceback": "Traceback" in end.err, "hung": end.hung}
    if case["whole"]:
        result |= _resumed(case, disk, outside)
    else:
        result |= {"changed": sorted(name for name in before if after.get(name) != before[name])}
        result |= {"new": sorted(after.keys() - before.keys())}
    for name in contents(disk).keys() - before.keys():
        (disk / name).unlink()
    return result


def _resumed(case: Mapping[str, Any], disk: Path, outside: Path) -> dict[str, Any]:
    """What remains of a run that met a full disk, once there is room again and it was resumed."""
    run = disk / "run"
    began = (run / "config.yaml").is_file()
    again = not began or case["words"][0] == "resume"
    words = [each.replace("{disk}", str(disk)) for each in case["words"]] if again else ["resume", str(run)]
    end = command(words, outside / "resumed")
    lost = end.code not in (0, 2) or (end.code == 2 and "is finished after" not in end.err)
    unequal = [name for name in differences(Path(case["whole"]), run) if not name.startswith(("pictures", "changes"))]
    return {"lost": end.err if lost else "", "unequal": unequal, "new": leftovers(run)}


def main(cases: Sequence[Mapping[str, Any]], scratch: Path) -> list[dict[str, Any]]:
    """The results of all cases, in a file system that is mounted below a folder."""
    disk = scratch / "disk"
    disk.mkdir()
    prepare(bare=True)
    try:
        mount(disk)
    except OSError as error:
        print(error, file=sys.stderr)
        raise SystemExit(NONE) from None
    return [perform(case, disk, scratch) for case in cases]


if __name__ == "__main__":
    read = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps(main(read["cases"], Path(read["scratch"]))))
