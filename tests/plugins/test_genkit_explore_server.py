"""The server of the explorer: what it answers, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from genkit.errors import RunError
from genkit.interfaces import Schema, Side, Split
from genkit.record.run import Run
from genkit_explore.explorer import Explorer
from genkit_explore.views import base64_of, floats
from tests.models import built

pytest.importorskip("starlette", reason="the explorer's server is an extra")
httpx = pytest.importorskip("httpx", reason="starlette's client for tests needs it")
server = pytest.importorskip("genkit_explore.server")
testclient = pytest.importorskip("starlette.testclient")

MARKUP = "<img src=x onerror=alert(1)>\"'</script>"
ZERO = base64_of(floats(torch.zeros(2)))


@pytest.fixture(scope="module")
def explorer() -> Explorer:
    model = built(Schema((1, 4, 4), {"labels": Side(classes=2, names=("a", MARKUP))}), condition="labels").eval()
    return Explorer(model, Split(torch.rand(9, 1, 4, 4), torch.arange(9) % 2), 9, MARKUP, MARKUP, MARKUP)


@pytest.fixture
def client(explorer: Explorer) -> Any:
    return testclient.TestClient(server.application(explorer), base_url="http://127.0.0.1:8642")


def test_the_page_and_its_parts_are_served_and_nothing_else(client: Any) -> None:
    assert client.get("/").headers["content-type"].startswith("text/html")
    assert client.get("/explore.js").text.startswith('"use strict"')
    assert "--accent" in client.get("/explore.css").text
    assert len(client.get("/thumbnails").content) == 9 * 16
    for path in ("/space", "/../pyproject.toml", "/explore.html.j2", "/static/x", "/%2e%2e/etc/passwd"):
        assert client.get(path).status_code == 404, path


def test_questions_are_answered(client: Any) -> None:
    answer = client.post("/move", json={"plane": "0:1", "z": ZERO, "to": [1, 2]}).json()
    assert answer["at"] == [1, 2]
    assert {*answer} == {"z", "at", "x", "near"}
    assert client.post("/plane", json={"plane": "1:0", "z": ZERO}).json()["axes"][0].startswith("z2")
    assert len(client.post("/path", json={"plane": "0:1", "start": ZERO, "stop": ZERO}).json()["at"]) == 9
    area = {"low": [0, 0], "high": [1, 1], "count": 2}
    assert client.post("/decoded", json={"plane": "0:1", "z": ZERO, **area}).json()["thumbnails"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/move", "/explore.js"])
def test_other_methods_are_refused(client: Any, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 405
    assert client.get("/move").status_code == client.post("/").status_code == 405


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8642", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.7", ""]
)
def test_other_hosts_names_are_refused(client: Any, host: str) -> None:
    for path in ("/", "/thumbnails", "/nothing"):
        answer = client.get(path, headers={"host": host})
        assert answer.status_code == 403
        assert MARKUP not in answer.text


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "localhost:9", "LOCALHOST", "[::1]:8642", "127.0.0.1"])
def test_this_machines_names_are_its_own(client: Any, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


def test_pages_of_other_sites_are_refused(client: Any) -> None:
    question = {"plane": "0:1", "z": ZERO}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1"):
        assert client.post("/move", json=question, headers={"origin": origin}).status_code == 403
    assert client.post("/move", json=question, headers={"origin": "http://127.0.0.1:8642"}).status_code == 200


def test_a_served_address_answers_to_addresses_and_to_its_own_name() -> None:
    assert server.is_own("192.168.1.5", "0.0.0.0")
    assert server.is_own("box.example", "box.example")
    assert server.is_own(socket.gethostname().lower(), "0.0.0.0")
    assert not server.is_own("evil.example", "0.0.0.0")
    assert not server.is_own("192.168.1.5", "127.0.0.1")
    assert server.name_of("[FE80::1]:80") == "fe80::1"


@pytest.mark.parametrize(
    "body", ["", "[]", "{", '{"plane": "9:9"}', '{"to": [1]}', '{"z": "!"}', '{"side": {"labels": 7}}', '{"no": 1}']
)
def test_wrong_questions_are_refused_with_the_reason(client: Any, body: str) -> None:
    for path in ("/move", "/path"):
        answer = client.post(path, content=body)
        assert answer.status_code == 400
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.text


def test_questions_that_are_too_large_are_refused(client: Any) -> None:
    assert client.post("/move", content=b" " * (server.LARGEST + 1)).status_code == 413


def test_names_are_never_read_as_markup(client: Any) -> None:
    page = client.get("/")
    assert "<img" not in page.text
    assert page.text.count("</script>") == 2
    text = re.search(r'<script type="application/json" id="space">(.*?)</script>', page.text, re.DOTALL)
    assert text is not None
    space = json.loads(text[1])
    assert space["groups"][0]["names"] == ["a", MARKUP] == space["inputs"]["labels"]["names"]
    assert space["name"] == space["code"] == MARKUP
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_a_port_that_is_taken_is_said_or_another_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    with server.listening("127.0.0.1", None) as first:
        taken = first.getsockname()[1]
        assert first.proto == socket.IPPROTO_TCP  # else asyncio lets the end of an answer wait for 40 ms
        with pytest.raises(RunError, match=f"--port {taken}"):
            server.listening("127.0.0.1", taken)
        monkeypatch.setattr(server, "PORT", taken)
        with server.listening("127.0.0.1", None) as second:
            assert second.getsockname()[1] != taken
            assert server.address(second) == f"http://127.0.0.1:{second.getsockname()[1]}/"
    with pytest.raises(RunError, match=r"--host no\.such.host.invalid"):
        server.listening("no.such.host.invalid", None)


def test_a_server_that_is_not_installed_is_named_with_its_line(
    cli: Callable[..., Any], finished: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "genkit_explore.server")
    answer = cli("explore", finished.directory.path)
    assert answer.code == 2
    assert "pip install 'genkit-torch[explore]'" in answer.err


@pytest.mark.slow
def test_the_command_serves_until_ctrl_c(finished: Run, environment: Any, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "genkit", "explore", finished.directory.path, "--no-browser"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0]
        with urllib.request.urlopen(address) as page:
            assert b"latent space" in page.read()
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(20) in (0, 130)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
