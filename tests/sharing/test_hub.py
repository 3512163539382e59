"""The Hub itself is stood in for by a server on this machine that speaks the part of its interface that is used."""

import base64
import hashlib
import importlib
import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import genkit
from genkit.errors import HubError, RunError
from genkit.runs.opening import as_config, create_directory
from genkit.sharing import hub
from genkit.sharing.push import inspect, push

huggingface_hub = pytest.importorskip("huggingface_hub")
constants = importlib.import_module("huggingface_hub.constants")
TOKEN = "hf_of_the_test"


class StandIn(ThreadingHTTPServer):
    """Repositories in memory: for each the commits, oldest first, each all files by name."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories = {}
        self.private = set()
        self.gated = set()
        self.asked = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"

    def commit(self, repository, files):
        commits = self.repositories.setdefault(repository, [])
        whole = {**(commits[-1][1] if commits else {}), **files}
        commits.append((hashlib.sha1(repr((len(commits), sorted(whole))).encode()).hexdigest(), whole))
        return commits[-1][0]

    def found(self, repository, revision):
        commits = self.repositories[repository]
        return commits[-1] if revision == "main" else next((c for c in commits if c[0] == revision), None)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status=200, body=b"{}", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def fail(self, status, code):
        self.answer(status, b'{"error": "no"}', X_Error_Code=code, X_Error_Message=code)

    def do_HEAD(self):
        self.server.asked.append((self.command, self.path))
        if self.path.startswith("/api/models/"):
            return self.fail(401, "RepoNotFound")
        repository, revision, name = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.path).groups()
        if repository in self.server.gated:
            return self.fail(403, "GatedRepo")
        hidden = repository in self.server.private and self.headers["Authorization"] != f"Bearer {TOKEN}"
        if repository not in self.server.repositories or hidden:
            return self.fail(401, "RepoNotFound")
        commit = self.server.found(repository, revision)
        if commit is None:
            return self.fail(404, "RevisionNotFound")
        if name not in commit[1]:
            return self.fail(404, "EntryNotFound")
        content = commit[1][name]
        return self.answer(body=content, ETag=f'"{hashlib.sha256(content).hexdigest()}"', X_Repo_Commit=commit[0])

    do_GET = do_HEAD  # noqa: N815 - the names that http.server calls

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.command, self.path))
        if self.path == "/api/validate-yaml":
            return self.answer(body=b'{"errors": [], "warnings": []}')
        if self.headers["Authorization"] != f"Bearer {TOKEN}":
            return self.fail(403, "Forbidden")
        if self.path == "/api/repos/create":
            return self.create(json.loads(body))
        if "/preupload/" in self.path:
            files = [{**f, "uploadMode": "regular", "shouldIgnore": False} for f in json.loads(body)["files"]]
            return self.answer(body=json.dumps({"files": files}).encode())
        repository = re.fullmatch(r"/api/models/([^/]+/[^/]+)/commit/main", self.path)[1]
        lines = [json.loads(line) for line in body.splitlines()]
        files = {v["path"]: base64.b64decode(v["content"]) for v in (i["value"] for i in lines if i["key"] == "file")}
        commit = self.server.commit(repository, files)
        url = f"{self.server.address}/{repository}/commit/{commit}"
        return self.answer(body=json.dumps({"commitUrl": url, "commitOid": commit}).encode())

    def create(self, asked):
        repository = f"{asked['organization']}/{asked['name']}"
        status = 409 if repository in self.server.repositories else 200
        self.server.repositories.setdefault(repository, [])
        if asked.get("visibility") == "private":
            self.server.private.add(repository)
        return self.answer(status, json.dumps({"url": f"{self.server.address}/{repository}"}).encode())


@pytest.fixture
def server(monkeypatch, tmp_path_factory):
    """A Hub without repositories, an empty cache, and nobody logged in."""
    with StandIn() as made:
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        home = tmp_path_factory.mktemp("hub")
        monkeypatch.setenv("HF_ENDPOINT", made.address)
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(home / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
        yield made
        huggingface_hub.close_session()
        made.shutdown()


@pytest.fixture
def logged_in(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def test_an_address_has_a_repository_and_maybe_a_revision():
    assert hub.address("hf://ada/vae") == ("ada/vae", None)
    assert hub.address("hf://ada/vae.2_b@refs/pr/1") == ("ada/vae.2_b", "refs/pr/1")
    assert str(hub.address(Path("hf://ada/vae@v1"))) == "hf://ada/vae@v1"
    assert hub.is_address(Path("hf://ada/vae"))
    assert not hub.is_address("runs/hf")
    for wrong in ("hf://ada", "hf://ada/vae/model", "hf://ada/vae@", "hf:///vae", "ada/vae", "hf://a da/vae"):
        with pytest.raises(HubError, match=r"no address on the Hub; write hf://USER/REPO"):
            hub.address(wrong)


@pytest.mark.usefixtures("logged_in")
def test_a_run_is_pushed_whole_without_its_checkpoint_and_loads_from_there(server, finished, tmp_path):
    source = finished.directory.path
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    commit, names = push(source, "hf://ada/vae", license="mit")
    ((oid, files),) = server.repositories["ada/vae"]
    assert commit == f"{server.address}/ada/vae/commit/{oid}"
    pictures = {f"pictures/{path.name}" for path in finished.directory.pictures.glob("*.png")}
    assert len(pictures) > 3
    plain = {"README.md", "config.yaml", "environment.json", "evaluation.json", "metrics.jsonl", "model.safetensors"}
    assert set(files) == set(names) == plain | pictures
    for name in files.keys() - {"README.md"}:
        assert files[name] == (source / name).read_bytes()
    card = files["README.md"].decode()
    assert "license: mit\n" in card
    assert 'genkit.load("hf://ada/vae")' in card
    assert all(f"]({picture})" in card for picture in pictures)
    assert {path: path.stat().st_mtime_ns for path in source.rglob("*")} == before

    model = genkit.load("hf://ada/vae")
    x = finished.data.test.x[:5]
    assert torch.equal(model.encode(x), finished.model.encode(x))
    assert torch.equal(genkit.load(f"hf://ada/vae@{oid}").encode(x), model.encode(x))
    fetched = {path for method, path in server.asked if method in ("GET", "HEAD")}
    assert {path.rpartition("/")[2] for path in fetched} == {"model.safetensors"}


@pytest.mark.usefixtures("logged_in")
def test_a_written_card_goes_along_as_it_is(server, finished, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.yaml", "model.safetensors"):
        (run / name).write_bytes((finished.directory.path / name).read_bytes())
    (run / "README.md").write_text("mine")
    with pytest.raises(RunError, match=r"README\.md is the card; write the license into it"):
        push(run, "hf://ada/mine", license="mit")
    assert server.repositories == {}
    push(run, "hf://ada/mine", private=True)
    assert server.repositories["ada/mine"][0][1]["README.md"] == b"mine"
    assert server.private == {"ada/mine"}
    push(finished.directory.model, "hf://ada/bare")
    assert server.repositories["ada/bare"][0][1].keys() == {"README.md", "model.safetensors"}


@pytest.mark.usefixtures("logged_in")
def test_a_second_push_is_a_second_commit_and_the_first_can_still_be_loaded(server, finished, trained):
    push(finished.directory.path, "hf://ada/vae")
    push(trained["gan"].directory.path, "hf://ada/vae")
    (first, _), (_, files) = server.repositories["ada/vae"]
    assert files["config.yaml"] == trained["gan"].directory.config.read_bytes()
    assert genkit.load(f"hf://ada/vae@{first}").encoder is not None
    assert genkit.load("hf://ada/vae").encoder is None


def test_what_is_not_there_or_not_allowed_is_said(server, finished, monkeypatch):
    content = finished.directory.model.read_bytes()
    server.commit("ada/vae", {"model.safetensors": content})
    server.commit("ada/other", {"weights.bin": b"x"})
    server.commit("ada/secret", {"model.safetensors": content})
    server.private.add("ada/secret")
    server.gated.add("ada/asked")
    for address, said in {
        "hf://ada/none": "hf://ada/none: there is no such repository, or it is private; to read that, log in with",
        "hf://ada/secret": "no such repository, or it is private",
        "hf://ada/asked": f"only some read it; ask on {server.address}/ada/asked",
        "hf://ada/vae@v9": "hf://ada/vae@v9: the repository has no branch, tag or commit 'v9'",
        "hf://ada/other": "hf://ada/other: has no model.safetensors, so it holds no model of genkit",
        "hf://-ada/vae..x": "hf://-ada/vae..x: ",
    }.items():
        with pytest.raises(HubError, match=re.escape(said)):
            genkit.load(address)
    with pytest.raises(HubError, match=r"to write to the Hub, log in with `hf auth login`, or set HF_TOKEN"):
        push(finished.directory.path, "hf://ada/vae")
    monkeypatch.setenv("HF_TOKEN", "hf_that_may_only_read")
    with pytest.raises(HubError, match=r"hf://ada/new: the Hub refuses the token \(403\)"):
        push(finished.directory.path, "hf://ada/new")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert genkit.load("hf://ada/secret").shape == (1, 8, 8)
    assert len(server.repositories["ada/vae"]) == 1


def test_a_model_of_another_library_is_refused(server, tmp_path):
    save_file({"w": torch.zeros(3)}, tmp_path / "foreign.safetensors")
    server.commit("ada/foreign", {"model.safetensors": (tmp_path / "foreign.safetensors").read_bytes()})
    server.commit("ada/pickled", {"model.safetensors": b"\x80\x04cbuiltins\nexit\n."})
    with pytest.raises(HubError, match=r"hf://ada/foreign: holds no model of genkit: .*metadata hold no 'genkit'"):
        genkit.load("hf://ada/foreign")
    with pytest.raises(HubError, match=r"hf://ada/pickled: holds no model of genkit: .*no readable safetensors"):
        genkit.load("hf://ada/pickled")


def test_what_was_fetched_is_there_without_the_hub_and_nothing_else_is(server, finished, monkeypatch):
    server.commit("ada/vae", {"model.safetensors": finished.directory.model.read_bytes()})
    genkit.load("hf://ada/vae")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    asked = len(server.asked)
    assert genkit.load("hf://ada/vae").shape == (1, 8, 8)
    with pytest.raises(HubError, match=r"hf://ada/new: model.safetensors is not in the local cache.*HF_HUB_OFFLINE"):
        genkit.load("hf://ada/new")
    assert len(server.asked) == asked


@pytest.mark.usefixtures("logged_in")
def test_a_hub_that_does_not_answer_is_no_traceback(finished, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _: None)  # the library tries again and again
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=r"hf://ada/new: model.safetensors is not in the local cache"):
        genkit.load("hf://ada/new")
    with pytest.raises(HubError, match=r"^hf://ada/new: the Hub cannot be reached \(.*\); look at your connection"):
        push(finished.directory.path, "hf://ada/new")


def test_without_the_extra_its_name_is_given(monkeypatch, finished):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for use in (lambda: genkit.load("hf://ada/vae"), lambda: push(finished.directory.path, "hf://ada/vae")):
        with pytest.raises(HubError, match=r"pip install 'genkit-torch\[hub\]'"):
            use()


def test_commands_take_models_of_the_hub_as_they_take_runs(server, finished, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server.commit("ada/vae", {"model.safetensors": finished.directory.model.read_bytes()})
    (commit, _) = server.repositories["ada/vae"][0]
    assert json.loads(cli("describe", "hf://ada/vae", "--json").out)[0]["shape"] == [1, 8, 8]
    figures = json.loads(cli("evaluate", f"hf://ada/vae@{commit}", "--json").out)
    assert figures["elbo"] == finished.evaluation.elbo
    assert cli("encode", "hf://ada/vae", "--out", "z.npy").code == 0
    assert cli("sample", "hf://ada/vae", "--out", "x.png").code == 0
    assert cli("card", "hf://ada/vae").err == (
        "error: hf://ada/vae: the model is not here, so say where its card goes: --out README.md\n"
    )
    assert cli("card", "hf://ada/vae", "--out", "README.md").out == "README.md\n"
    loaded = cli("load", "hf://ada/vae", "--out", "kept")
    assert loaded.code == 0, loaded
    assert loaded.out.endswith("can be loaded here\n")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "kept", "x.png", "z.npy"]
    assert (tmp_path / "kept" / "model.safetensors").read_bytes() == finished.directory.model.read_bytes()
    again = cli("load", "hf://ada/vae", "--out", "kept")
    assert again.code == 2
    assert "model.safetensors is there already" in again.err
    unknown = cli("evaluate", "hf://ada/none")
    assert unknown.code == 2
    assert unknown.err.startswith("error: hf://ada/none: there is no such repository")


@pytest.mark.usefixtures("logged_in")
def test_push_prints_its_files_and_the_commit_and_refuses_what_is_not_finished(server, finished, cli, digits, tmp_path):
    answer = cli("push", finished.directory.path, "hf://ada/vae")
    assert answer.code == 0, answer
    lines = answer.out.splitlines()
    assert lines[0] == "README.md"
    assert lines[-1] == f"{server.address}/ada/vae/commit/{server.repositories['ada/vae'][0][0]}"
    unfinished = create_directory(as_config(digits), tmp_path / "run").path
    refused = cli("push", unfinished, "hf://ada/half")
    assert refused.code == 2
    assert f"genkit resume {unfinished}" in refused.err
    assert server.repositories.keys() == {"ada/vae"}


@pytest.mark.slow
def test_a_process_with_the_hubs_own_settings_loads_from_it_and_later_from_its_cache(
    server, finished, tmp_path, environment, process
):
    server.commit("ada/vae", {"model.safetensors": finished.directory.model.read_bytes()})
    settings = {**environment, "HF_ENDPOINT": server.address, "HF_HOME": str(tmp_path)}
    command = ["genkit", "load", "hf://ada/vae", "--json"]
    first = process(*command, env=settings)
    assert first.returncode == 0, first.stderr
    asked = len(server.asked)
    later = process(*command, env={**settings, "HF_HUB_OFFLINE": "1"})
    assert json.loads(later.stdout) == json.loads(first.stdout)
    assert len(server.asked) == asked
    cached = Path(json.loads(first.stdout)["path"])
    assert cached.parts[-4:-2] == ("models--ada--vae", "snapshots")
    assert inspect(cached).problem == ""
