"""`python -m benchmarks.explorer`: how long the explorer takes from a moved point to the datum's numbers.

A question goes over HTTP on loopback to a server in this process, and its answer is read as JSON, as a page does; the
models have fresh weights, which take as long as trained ones. One thread, as the command has it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import uvicorn

from genkit.runs.opening import as_config, prepare
from genkit_explore.explorer import Explorer
from genkit_explore.server import application, listening

EXAMPLES = Path(__file__).parents[1] / "examples"
MODELS: dict[str, tuple[str, list[str]]] = {
    "dense, `vae-digits`": ("vae-digits", []),
    "convolutional, `vae-deconv`": ("vae-deconv", []),
    "recurrent, `vae-waves` (64 steps)": ("vae-waves", []),
}


def explorer(example: str, changes: list[str]) -> Explorer:
    """The explorer of an example, with fresh weights."""
    data, model = prepare(as_config(EXAMPLES / f"{example}.yaml", changes))
    assert data.test is not None
    return Explorer(model.eval(), data.test, 2000, example, "the test split", example)


@contextmanager
def served(explorer: Explorer) -> Iterator[int]:
    """A server in a thread of this process; its port."""
    with listening("127.0.0.1", None) as listener:
        server = uvicorn.Server(uvicorn.Config(application(explorer), log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield listener.getsockname()[1]
        server.should_exit = True
        thread.join()


def latencies(explorer: Explorer, port: int, count: int) -> list[float]:
    """The milliseconds of `count` answers, one after the other, for points all over the plane."""
    first = explorer.space()
    connection, z, times = http.client.HTTPConnection("127.0.0.1", port), first["move"]["z"], []
    places = torch.randn(count, 2, generator=torch.Generator().manual_seed(0)).tolist()
    for place in places:
        began = time.perf_counter()
        body = json.dumps({"plane": first["plane"]["name"], "z": z, "to": place})
        connection.request("POST", "/move", body, {"content-type": "application/json"})
        z = json.loads(connection.getresponse().read())["z"]
        times.append(1000 * (time.perf_counter() - began))
    connection.close()
    return times


def main() -> None:
    """Print a line for each model: median and 95% quantile of the round with the least median, and processor time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="answers in a round")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; other work on the machine spoils some")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| model | median, ms | 95%, ms | processor time, ms |\n|---|---|---|---|")
    for title, (example, changes) in MODELS.items():
        one = explorer(example, changes)
        with served(one) as port:
            latencies(one, port, 20)
            began = time.process_time()
            rounds = [latencies(one, port, options.count) for _ in range(options.rounds)]
            busy = 1000 * (time.process_time() - began) / (options.count * options.rounds)
        best = min(rounds, key=statistics.median)
        quantile = statistics.quantiles(best, n=20)[-1]
        print(f"| {title} | {statistics.median(best):.1f} | {quantile:.1f} | {busy:.1f} |", flush=True)


if __name__ == "__main__":
    main()
