import json
import subprocess

import pytest

from genkit.registry.installation import requirement

ADDRESS = "https://forge.example/genkit-sketch.git"


@pytest.fixture
def sketch(tmp_path, monkeypatch):
    """`sketch(record)`: a distribution genkit-sketch 1.2.0 that was installed as a record of PEP 610 says."""

    def install(record):
        folder = tmp_path / "site" / "genkit_sketch-1.2.0.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: genkit-sketch\nVersion: 1.2.0\n")
        if record is not None:
            (folder / "direct_url.json").write_text(record if isinstance(record, str) else json.dumps(record))
        monkeypatch.syspath_prepend(str(folder.parent))

    return install


def test_from_a_repository_it_is_the_commit(sketch):
    sketch({"url": ADDRESS, "vcs_info": {"vcs": "git", "commit_id": "f00d"}})
    assert requirement("genkit-sketch", "1.2.0") == f"genkit-sketch @ git+{ADDRESS}@f00d"


def test_from_a_clone_it_is_the_commit_where_the_clone_is_from(sketch, tmp_path):
    git = ["git", "-C", str(tmp_path / "clone"), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", str(tmp_path / "clone")], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    subprocess.run([*git, "remote", "add", "origin", ADDRESS], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    sketch({"url": (tmp_path / "clone").as_uri(), "dir_info": {"editable": True}})
    assert requirement("genkit-sketch", "1.2.0") == f"genkit-sketch @ git+{ADDRESS}@{commit}"
    subprocess.run([*git, "pack-refs", "--all"], check=True)
    assert requirement("genkit-sketch", "1.2.0") == f"genkit-sketch @ git+{ADDRESS}@{commit}"
    subprocess.run([*git, "checkout", "-q", "--detach"], check=True)
    assert requirement("genkit-sketch", "1.2.0") == f"genkit-sketch @ git+{ADDRESS}@{commit}"


@pytest.mark.parametrize(
    "record",
    [
        None,
        "no JSON",
        "[]",
        {"url": "file:///nowhere", "dir_info": {}},
        {"url": "https://me:word@forge.example/x.git", "vcs_info": {"vcs": "git", "commit_id": "f00d"}},
        {"url": "ssh://git@forge.example/x.git", "vcs_info": {"vcs": "git", "commit_id": "f00d"}},
        {"url": "https://forge.example/sketch.whl", "archive_info": {}},
    ],
)
def test_from_elsewhere_it_is_the_version(record, sketch):
    sketch(record)
    assert requirement("genkit-sketch", "1.2.0") == "genkit-sketch==1.2.0"


def test_another_version_is_not_the_one_that_is_here(sketch):
    sketch({"url": ADDRESS, "vcs_info": {"vcs": "git", "commit_id": "f00d"}})
    assert requirement("genkit-sketch", "1.1.0") == "genkit-sketch==1.1.0"


def test_one_that_is_not_here_has_its_name_and_its_version():
    assert requirement("genkit-nowhere", "2.0") == "genkit-nowhere==2.0"
    assert requirement("genkit-nowhere", "") == "genkit-nowhere"
