"""Two processes on one machine, on CPU with gloo, against one; and torchrun, which starts them anew."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from genkit.errors import ComponentError, RunError
from genkit.parallel import draws, group, normalization
from genkit.parallel.draws import Rows, batch_mean, gather, mean, normal, own_rows, rows_of, sharing
from tests.processes import Processes

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = ["data.size=8", "training.epochs=2", "training.batch_size=101"]
VARIANTS = {
    "free bits": ["vae-digits", "loss.kl.free_bits=0.5", "training.epochs=1"],
    "bound": [
        "vae-digits",
        "sampler={name: flow, form: planar}",
        "prior={name: vamp, components: 10}",
        "loss={name: iwae, draws: 3, estimator: dreg}",
        "training.epochs=1",
        "training.compile=false",
    ],
    "vae": ["vae-digits", "data.binarize=dynamic", "training.clip_norm=5.0"],
    "gan": ["gan", "decoder.hidden=[16]"],
    "wasserstein": ["gan", "loss.adversarial.form=wasserstein", "loss.adversarial.r1=0", "training.epochs=1"],
    "penalties": [  # by sgd: the first steps of Adam turn roundings of gradients near 0 into whole steps
        "gan",
        "loss.adversarial.form=wasserstein",
        "loss.adversarial.optimizer={name: sgd, lr: 0.01}",
        "training.optimizer=sgd",
    ],
    "sparse": ["sparse-autoencoder"],
    "dictionary": ["autoencoder", "sampler={name: batch_topk, latent: 32, k: 4}", "loss=reconstruction"],
    "codes": ["vq-digits", "prior=null", "training.optimizer=sgd", "training.optimizer.lr=0.01"],
    "kept": [
        "vae-digits",
        "training={epochs: null, steps: 15, batch_size: 50, accumulate: 2, ema: 0.9, keep: best, stop: {}}",
        "training.optimizer.lr={schedule: plateau, from: 0.001, patience: 1, min_delta: 1.0e+9}",
    ],
}
UNDETERMINED = re.compile(r"critic\.2\.bias|decoder\.layers\.([14]\.bias|[25]\.running_mean)")
"""Biases of a GAN whose gradient is zero but for rounding, as batch normalization or the difference of the critic's two
means takes them out, so that Adam moves them by chance; and running means that follow them."""


def torchrun(*arguments: str, environment: dict[str, str], restarts: int) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *launcher, f"--max-restarts={restarts}", *arguments]
    environment = {**environment, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def two_processes(process: Processes, *command: object, environment: dict[str, str]) -> str:
    """A command as torchrun starts it, but without torchrun; gives what both print."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    envs = [{**environment, **group, "RANK": rank, "LOCAL_RANK": rank} for rank in ("0", "1")]
    both = process.together([["python", *command]] * 2, envs)
    assert [done.returncode for done in both] == [0, 0], both
    return "".join(done.stdout + done.stderr for done in both)


def finish(process: subprocess.Popen[str]) -> str:
    try:
        printed, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 0, printed
    return printed


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


SCRIPT = """
import json, sys
import genkit
from genkit.parallel import overlap
from genkit.pictures import plots

overlap.LARGE = 512
plots.draw_all = lambda *_: []
for example, overrides, out in json.loads(sys.argv[1]):
    genkit.run(example, overrides, out=out)
"""
"""Runs one after the other, without pictures; the weights of a layer are large enough to be added up in the pass."""


@pytest.mark.slow
def test_two_processes_give_what_one_gives(tmp_path, environment, process, subtests):
    one, two = tmp_path / "one", tmp_path / "two"
    alone, shared = (
        json.dumps(
            [
                (str(EXAMPLES / f"{example}.yaml"), [*SMALL, *overrides], str(folder / variant))
                for variant, (example, *overrides) in VARIANTS.items()
            ]
        )
        for folder in (one, two)
    )
    done = process("python", "-c", SCRIPT, alone, env=environment)
    assert done.returncode == 0, done.stderr
    two_processes(process, "-c", SCRIPT, shared, environment=environment)
    for variant, (example, *_) in VARIANTS.items():
        with subtests.test(variant):
            assert_equal(one / variant, two / variant, 0.01 if variant == "wasserstein" else 1e-5)
            assert_weights(one / variant, two / variant, UNDETERMINED if example == "gan" else None)


def assert_equal(one: Path, two: Path, undetermined: float) -> None:
    """The histories are equal up to rounding; terms up to what a critic's bias adds to them."""
    for mine, theirs in zip(records(one), records(two), strict=True):
        for split in ("train", "validation"):
            if mine[split] is not None:
                assert theirs[split]["terms"] == pytest.approx(mine[split]["terms"], rel=1e-4, abs=undetermined), split
                assert theirs[split]["critics"] == pytest.approx(mine[split]["critics"], rel=1e-4, abs=1e-5), split


def assert_weights(one: Path, two: Path, undetermined: re.Pattern[str] | None = None) -> None:
    """The weights are equal up to rounding, but for those that nothing determines."""
    weights, others = load_file(one / "model.safetensors"), load_file(two / "model.safetensors")
    assert weights.keys() == others.keys()
    for name, value in weights.items():
        if undetermined is None or not undetermined.search(name):
            torch.testing.assert_close(others[name], value, rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.slow
def test_the_command_of_two_processes_speaks_once_and_writes_what_that_of_one_writes(tmp_path, environment, process):
    command = ["-m", "genkit", "run", str(EXAMPLES / "vae-digits.yaml"), *SMALL, "--out"]
    one, two = tmp_path / "one", tmp_path / "two"
    alone = process("python", *command, one, env=environment)
    assert alone.returncode == 0, alone.stderr
    printed = two_processes(process, *command, two, environment=environment)
    assert printed.count("weights: ") == 1  # only the first process speaks
    assert_weights(one, two)
    assert files(two) == files(one)


def files(path: Path) -> list[str]:
    """What there is, but for the numbers in the names of event files."""
    names = [found.name.partition(".tfevents")[0] for found in path.rglob("*")]
    return sorted(names)


@pytest.mark.slow
def test_a_killed_worker_is_restarted_from_the_last_checkpoint(tmp_path, environment, process):
    command = ["-m", "genkit", "run", str(EXAMPLES / "vae-digits.yaml"), *SMALL, "training.epochs=15", "--out"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    two_processes(process, *command, whole, environment=environment)
    launched = torchrun(*command, str(killed), environment=environment, restarts=1)
    deadline = time.monotonic() + 120
    while not (killed / "checkpoint.safetensors").is_file() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(workers(launched.pid)[-1], signal.SIGKILL)
    printed = finish(launched)
    assert "going on after epoch" in printed
    assert [record["epoch"] for record in records(killed)] == list(range(1, 16))
    weights, others = load_file(whole / "model.safetensors"), load_file(killed / "model.safetensors")
    for name, value in weights.items():
        torch.testing.assert_close(others[name], value, msg=name)


def workers(parent: int) -> list[int]:
    """The processes that a torchrun has started."""
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


@pytest.mark.slow
def test_batch_normalization_over_two_processes_is_that_of_one(tmp_path, environment, process):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import torch
        from torch import nn
        from genkit.parallel import draws, group, normalization

        torch.manual_seed(0)
        x = torch.randn(7, 3, 2, 2, dtype=torch.float64) * 3 + 1
        plain, model = nn.BatchNorm2d(3).double(), nn.Sequential(nn.BatchNorm2d(3)).double()
        with group.joined(torch.device("cpu")) as messages:
            normalization.share_normalization(model)
            assert model.state_dict().keys() == {f"0.{name}" for name in plain.state_dict()}
            whole, own = x.clone().requires_grad_(), x.clone().requires_grad_()
            rows = slice(*draws.rows_of(7)[:2])
            with draws.sharing(7):
                given = model(own[rows])
            given.pow(3).sum().backward()
            wanted = plain(whole)
            wanted.pow(3).sum().backward()
            torch.testing.assert_close(given, wanted[rows])
            torch.testing.assert_close(own.grad[rows], whole.grad[rows])
            gradients = [parameter.grad for parameter in model.parameters()]
            group.add_up(gradients)
            torch.testing.assert_close(gradients, [parameter.grad for parameter in plain.parameters()])
            for name, value in plain.state_dict().items():
                torch.testing.assert_close(model.state_dict()[f"0.{name}"], value, msg=name)
            assert messages.broadcast_text("key", "runs/é" if group.is_leader() else None) == "runs/é"
            with group.joined(torch.device("cpu")) as inner:  # the group is there already, and stays
                assert inner.broadcast_text("key", "inner" if group.is_leader() else None) == "inner"
            assert group.count() == 2
            torch.testing.assert_close(model.eval()(x), plain.eval()(x))
        with group.joined(torch.device("cpu")) as messages:  # another group: its texts are its own
            assert messages.broadcast_text("key", "again" if group.is_leader() else None) == "again"
        """)
    )
    two_processes(process, script, environment=environment)


@pytest.mark.slow
def test_a_term_over_pairs_has_the_gradients_of_one_process_in_two(tmp_path, environment, process):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import torch
        from genkit.parallel import draws, group

        def term(x, weight):  # each datum against all others, which weigh by their place in the batch
            z = torch.tanh(x @ weight).expand(2, -1, -1)
            everyone = draws.gather(z, batch=1)
            far = 1 - draws.own_rows(torch.eye(everyone.shape[1], dtype=x.dtype))
            places = torch.arange(everyone.shape[1]) + 1
            pairs = (z.unsqueeze(2) * everyone.unsqueeze(1)).sum(3).exp()
            return (pairs * far * places).sum(2).log().mean(0)

        def objective(x, weight):  # by a value of each datum, and by one of the batch
            values, everyone = term(x, weight), draws.gather(torch.tanh(x @ weight))
            return draws.mean(values) + draws.mean(torch.logsumexp(everyone @ everyone.T, 1).mean())

        torch.manual_seed(0)
        with group.joined(torch.device("cpu")):
            for total in (8, 7, 2, 1):  # the last has a process without a datum
                x = torch.randn(total, 3, dtype=torch.float64)
                weight = torch.randn(3, 2, dtype=torch.float64)
                rows = draws.rows_of(total)
                own, mine = x.clone().requires_grad_(), weight.clone().requires_grad_()
                with draws.sharing(total):
                    if total > 1:
                        value = objective(own[rows.start:rows.stop], mine)
                    whole = draws.gather(x[rows.start:rows.stop])
                    codes = draws.gather(torch.arange(total)[rows.start:rows.stop])
                assert torch.equal(whole, x), total
                assert codes.tolist() == list(range(total))
                if total == 1:
                    continue
                value.backward()
                group.add_up([value.data, mine.grad])
                expected, alone = x.clone().requires_grad_(), weight.clone().requires_grad_()
                wanted = objective(expected, alone)
                wanted.backward()
                torch.testing.assert_close(value, wanted, rtol=1e-12, atol=0)
                torch.testing.assert_close(mine.grad, alone.grad, rtol=1e-9, atol=1e-12)
                slice_ = slice(rows.start, rows.stop)
                torch.testing.assert_close(own.grad[slice_], expected.grad[slice_], rtol=1e-9, atol=1e-12)
        """)
    )
    two_processes(process, script, environment=environment)


@pytest.mark.slow
def test_a_listener_of_the_leading_process_ends_training_in_all_of_them(tmp_path, environment, process):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import sys
        import genkit

        class Ends:
            def should_stop(self, record):
                return record.epoch == 2

        source, out, *overrides = sys.argv[1:]
        finished = genkit.run(source, overrides, out=out, listeners=[Ends()])
        print("epochs:", len(finished.history))
        """)
    )
    run = tmp_path / "run"
    overrides = [*SMALL, "training.epochs=9"]
    command = [script, EXAMPLES / "vae-digits.yaml", run, *overrides]
    printed = two_processes(process, *command, environment=environment)
    assert printed.count("epochs: 2") == 2
    assert [record["epoch"] for record in records(run)] == [1, 2]
    assert json.loads((run / "stopped.json").read_text()) == {"epoch": 2, "by": "listener 'Ends'"}
    assert (run / "model.safetensors").is_file()


def test_what_adds_up_in_place_of_the_processes_does_so_forward_and_backward():
    values = torch.rand(2, 3, requires_grad=True)
    with draws.sharing(2), draws.taking(Rows(0, 2, 4)), draws.adding_by(lambda summand: 2 * summand):
        found = batch_mean(values)
        found.sum().backward()
    torch.testing.assert_close(found, values.mean(0))  # two processes with the same rows
    torch.testing.assert_close(values.grad, torch.full_like(values, 2 / 4))
    with draws.taking(Rows(0, 2, 4)):
        torch.testing.assert_close(batch_mean(values), values.mean(0))


def test_rows_are_gathered_in_their_place_and_their_gradients_come_back():
    values = torch.rand(2, 3, requires_grad=True)
    with draws.taking(Rows(1, 3, 4)), draws.adding_by(lambda summand: 2 * summand):
        whole = gather(values)
        assert torch.equal(whole[1:3], 2 * values)
        assert not whole[[0, 3]].any()
        assert torch.equal(gather(values.T, batch=1), whole.T)
        assert torch.equal(own_rows(whole), 2 * values)
        assert torch.equal(own_rows(whole.T, batch=1), 2 * values.T)
        (whole * torch.arange(4.0).unsqueeze(1)).sum().backward()
        for wrong, values_of_it in ((gather, values.T), (own_rows, values)):
            with pytest.raises(ComponentError, match=f"genkit.{wrong.__name__} takes one row for each datum"):
                wrong(values_of_it)
    torch.testing.assert_close(values.grad, 2 * torch.tensor([[1.0], [2.0]]).expand(2, 3))


def test_alone_rows_are_gathered_by_nothing():
    values = torch.rand(4, 3, requires_grad=True)
    with sharing(10):
        assert gather(values) is values
        assert own_rows(values) is values
    program = torch.export.export(Gathers(), (values,))
    assert not any("cat" in str(node.target) for node in program.graph.nodes)


class Gathers(nn.Module):
    def forward(self, x):
        return own_rows(gather(x)) * 2


@pytest.mark.parametrize("total", [0, 1, 2, 3, 100, 101])
@pytest.mark.parametrize("processes_in_all", [1, 2, 3, 7])
def test_the_parts_of_a_batch_are_all_of_it_once(total, processes_in_all, monkeypatch):
    monkeypatch.setattr(draws, "count", lambda: processes_in_all)
    rows = []
    for rank in range(processes_in_all):
        monkeypatch.setattr(draws, "rank", lambda rank=rank: rank)
        start, stop, whole = rows_of(total)
        assert whole == total
        rows += range(start, stop)
    assert rows == list(range(total))


def test_the_draws_of_all_parts_are_those_of_the_whole(monkeypatch):
    torch.manual_seed(0)
    whole = normal(2, 5, 3, batch=1, like=torch.zeros(()))
    found = []
    for start, stop in ((0, 2), (2, 5)):
        monkeypatch.setattr(draws, "_at_hand", Rows(start, stop, 5))
        torch.manual_seed(0)
        found.append(normal(2, stop - start, 3, batch=1, like=torch.zeros(())))
    assert torch.equal(torch.cat(found, 1), whole)


def test_what_the_parts_add_up_to_is_the_mean(monkeypatch):
    values = torch.rand(5)
    found = []
    for start, stop in ((0, 2), (2, 5), (5, 5)):
        monkeypatch.setattr(draws, "_at_hand", Rows(start, stop, 5))
        found.append(mean(values[start:stop]))
    torch.testing.assert_close(sum(found), values.mean())


@pytest.mark.parametrize("error", [torch.distributed.DistNetworkError("recv"), RuntimeError("[gloo/pair.cc] closed")])
def test_a_process_that_another_one_leaves_says_so(error, monkeypatch):
    monkeypatch.setattr(group, "started", lambda: True)
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("MASTER_PORT", str(free.getsockname()[1]))
    with pytest.raises(RunError, match="another process of this run has ended"), group.joined(torch.device("cpu")):
        raise error
    with pytest.raises(RuntimeError, match="other"), group.joined(torch.device("cpu")):
        raise RuntimeError("other")
    assert not torch.distributed.is_initialized()


def test_alone_nothing_is_shared():
    values = torch.rand(4, 3)
    layer = nn.Sequential(nn.BatchNorm1d(3))
    with sharing(10):  # one process has the whole batch, whatever is said
        assert torch.equal(batch_mean(values), values.mean(0))
        assert torch.equal(mean(values[:, 0]), values[:, 0].mean())
    normalization.share_normalization(layer)
    assert type(layer[0]) is nn.BatchNorm1d
    assert group.is_leader()
    assert not group.restarted()
    with group.joined(torch.device("cpu")) as messages:
        assert messages.broadcast_text("key", "here") == "here"
