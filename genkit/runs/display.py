"""The display of a training: where it stands, in lines of text that fit a width.

Details are left out first, and the time left never.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from genkit.record.scores import EpochRecord, Scores
from genkit.text import printable, sparkline

MOST = 79
"""The largest number of characters in a line."""
GAP = "  "
BAR = (8, 30)
"""The least and the largest number of characters of the bar."""
NAME = (6, 24)
"""The least and the largest number of characters of a name that is shortened."""
SPARK = (8, 24)
"""The same of a sparkline."""
ASCII = {"━": "#", "─": "-", "×": "x", "…": "..."}
"""What stands for other characters on a terminal that has only those of ASCII."""
SAMPLES = 200
"""The number of last reports that the time left is estimated from."""


class Cell(NamedTuple):
    """A piece of a line."""

    text: str
    style: str = ""
    """`name`, `done`, `rest` (of the bar), `figure` or `faint`; empty: plain text."""


Line = list[Cell]


@dataclass(frozen=True)
class Standing:
    """Where a training stands."""

    name: str
    """The name of the run."""
    epochs: int | None
    """The number of epochs of the whole training; None: not known."""
    history: Sequence[EpochRecord] = ()
    """The records of the epochs that are done."""
    done: float = 0.0
    """The number of epochs that are done, with the part of the one that runs."""
    scores: Scores | None = None
    """The newest scores of the training data."""
    weights: dict[str, float] = field(default_factory=dict)
    """The factor of each term in them."""
    rate: float | None = None
    """Examples per second."""
    left: float | None = None
    """The estimated seconds to the end of the training; None: not known yet."""
    latents: int | None = None
    """The number of latent dimensions; None: not known."""
    state: str = ""
    """Text in place of the time left, such as what the run does after training."""


class Pace:
    """The pace of a training, by its last reports: the time left."""

    def __init__(self) -> None:
        self.samples: deque[tuple[float, float]] = deque(maxlen=SAMPLES)
        self._epoch_ended = False

    def add(self, now: float, done: float) -> None:
        """Take note that `done` epochs are done at the time `now`, in seconds."""
        if self.samples and done < self.samples[-1][1]:
            self.samples.clear()  # a training that was taken back goes on anew
        elif self.samples and int(done) > int(self.samples[-1][1]) and not self._epoch_ended:
            self._epoch_ended = True  # after the first epoch there is work that comes but once, such as imports
            pause, share = now - self.samples[-1][0], done - self.samples[-1][1]
            self.samples = deque(((then + pause, part + share) for then, part in self.samples), SAMPLES)
        self.samples.append((now, done))

    def left(self, now: float, epochs: float) -> float | None:
        """The estimated seconds to the end of `epochs` epochs; None: there were no two reports yet."""
        samples = tuple(self.samples)  # they may be added to in another thread
        if not samples:
            return None
        (start, first), (last, done) = samples[0], samples[-1]
        if done <= first or last <= start:
            return None
        return max(0.0, (epochs - done) * (last - start) / (done - first) - (now - last))


def duration(seconds: float) -> str:
    """Seconds as text: `0:07`, `1:02:03`, `2 d 03:04`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, of_day = divmod(hours, 24)
    if days:
        return f"{days:,} d {of_day:02}:{minutes:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def figure(value: float) -> str:
    """A figure in nats as text, of few characters: `28.07`, `-1,234.50`, `1.2e+12`."""
    return f"{value:,.2f}" if abs(value) < 1e7 else f"{value:.3g}"


def speed(rate: float) -> str:
    """Examples per second as text: `12,346`, `0.3`."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}"


def terms(scores: Scores, weights: dict[str, float]) -> list[str]:
    """The terms of the loss with their weights, and the losses of critics, in nats per datum: `0.5 × kl 25.10`."""
    factors = {name: "" if weight == 1 else f"{weight:.3g} × " for name, weight in weights.items()}
    own = [printable(f"{factors.get(name, '')}{name} {figure(value)}") for name, value in scores.terms.items()]
    return own + [printable(f"critic of {name} {figure(value)}") for name, value in scores.critics.items()]


def active(standing: Standing) -> str:
    """How many latent dimensions are active, as text; empty: not known."""
    held_out = standing.history[-1].validation if standing.history else None
    if held_out is None or held_out.active_units is None:
        return ""
    of_all = f" of {standing.latents:,}" if standing.latents is not None else ""
    return f"{held_out.active_units:,}{of_all} latents active"


def lines(standing: Standing, width: int = MOST, ascii_only: bool = False) -> list[Line]:
    """The display: three lines, of which the later ones come with the first figures.

    Args:
        standing: where the training stands.
        width: the width of the terminal, in characters.
        ascii_only: whether the terminal has no other characters.
    """
    width = min(width, MOST)
    each = [_head(standing, width)]
    if standing.scores is not None:
        each.append(_losses(standing, standing.scores, width, 0 if ascii_only else SPARK[1]))
        each.append(_details(standing, standing.scores, width))
    return [_cut(_in_ascii(line) if ascii_only else line, width) for line in each]


def _head(standing: Standing, width: int) -> Line:
    """Name, epoch, bar, time left and rate."""
    left = standing.state or ("" if standing.left is None else f"{duration(standing.left)} left") or "-:-- left"
    epoch = _epoch(standing)
    room = width - len(epoch) - len(GAP) - len(left)
    if room < 0:
        return [Cell(left, "figure")]
    bar = BAR[0] if standing.epochs and room >= BAR[0] + len(GAP) else 0
    room -= bar + len(GAP) * bool(bar)
    name = printable(standing.name, max(NAME[0], min(NAME[1], room - len(GAP))))
    name = name if len(name) + len(GAP) <= room else ""
    room -= len(name) + len(GAP) * bool(name)
    rates = [] if standing.rate is None else [f"{speed(standing.rate)} examples/s", f"{speed(standing.rate)}/s"]
    rate = next((text for text in rates if len(text) + len(GAP) <= room), "")
    room -= len(rate) + len(GAP) * bool(rate)
    bar = min(BAR[1], bar + room) if bar else 0
    cells = [[Cell(name, "name")], [Cell(epoch)], _bar(standing, bar), [Cell(left, "figure")], [Cell(rate)]]
    return _joined(cells)


def _epoch(standing: Standing) -> str:
    """The epoch that runs, or the last one."""
    epochs = standing.epochs
    number = int(standing.done) + 1
    if standing.history and standing.done <= standing.history[-1].epoch and standing.state:
        number = standing.history[-1].epoch
    return f"epoch {number}" if epochs is None else f"epoch {min(number, epochs)}/{epochs}"


def _bar(standing: Standing, width: int) -> Line:
    done = 0 if not standing.epochs else round(width * min(1.0, standing.done / standing.epochs))
    return [Cell("━" * done, "done"), Cell("─" * (width - done), "rest")]


def _losses(standing: Standing, scores: Scores, width: int, most: int) -> Line:
    """The loss and the validation loss, each with a sparkline over the epochs, as wide as there is room."""
    held_out = [record.validation.loss for record in standing.history if record.validation is not None]
    series = {"loss": (scores.loss, [record.train.loss for record in standing.history])}
    if held_out:
        series["validation"] = (held_out[-1], held_out)
    texts = {name: f"{name} {figure(value)}" for name, (value, _) in series.items()}
    room = (width - sum(map(len, texts.values())) - len(GAP) * (len(texts) - 1)) // len(texts) - 1
    size = min(room, most)
    sparks = {name: sparkline(values, size) if size >= SPARK[0] else "" for name, (_, values) in series.items()}
    cells = [[Cell(texts[name]), Cell(f" {sparks[name]}" if sparks[name] else "", "figure")] for name in series]
    return _joined(cells)


def _details(standing: Standing, scores: Scores, width: int) -> Line:
    """The terms, as many as there is room for, and the active latents."""
    units, each = active(standing), terms(scores, standing.weights)
    room = width - (len(units) + len(GAP) if units else 0)
    while each and len(text := _sum(each, scores)) > room:
        each.pop()
    if not each:
        return [Cell(units)]
    return _joined([[Cell(text, "faint")], [Cell(units)]])


def _sum(each: Sequence[str], scores: Scores) -> str:
    """The first terms as a sum, with `…` where further ones are left out, and the losses of critics after it."""
    count, whole = len(scores.terms), len(scores.terms) + len(scores.critics)
    text = GAP.join([" + ".join(each[:count]), *each[count:]])
    return text if len(each) == whole else f"{text} …"


def _joined(cells: Iterable[Line]) -> Line:
    """Cells with gaps between those that are not empty."""
    line: Line = []
    for each in cells:
        if any(cell.text for cell in each):
            line += [Cell(GAP)] * bool(line) + each
    return line


def _in_ascii(line: Line) -> Line:
    return [cell._replace(text="".join(ASCII.get(each, each) for each in cell.text)) for cell in line]


def _cut(line: Line, width: int) -> Line:
    """The line, cut where it is too long for any choice of details."""
    cut: Line = []
    for cell in line:
        cut.append(cell._replace(text=cell.text[:width]))
        width -= len(cut[-1].text)
    return cut


def text_of(line: Line) -> str:
    """A line as plain text."""
    return "".join(cell.text for cell in line)


def epoch_line(standing: Standing, width: int = MOST) -> str:
    """An epoch in a line, for output that is no terminal: what does not fit in is left out, the time left never."""
    scores, digits = standing.scores, len(str(standing.epochs))
    held_out = standing.history[-1].validation if standing.history else None
    number, _, of_all = _epoch(standing).removeprefix("epoch ").partition("/")
    texts = {
        "epoch": f"epoch {number:>{digits}}/{of_all}" if of_all else f"epoch {number}",
        "loss": "" if scores is None else f"loss {figure(scores.loss)}",
        **{text: text for text in (terms(scores, standing.weights) if scores else ())},
        "validation": "" if held_out is None else f"validation {figure(held_out.loss)}",
        "active": active(standing),
        "left": "" if standing.left is None else f"{duration(standing.left)} left",
        "rate": "" if standing.rate is None else f"{speed(standing.rate)}/s",
    }
    always = ("epoch", "left", "loss", "validation")
    details = sorted(texts.keys() - {*always, "rate", "active"}, key=lambda text: (len(text), text))
    return GAP.join(_fitting(texts, [*always, *details, "rate", "active"], width))


def _fitting(texts: dict[str, str], order: Iterable[str], width: int) -> list[str]:
    """Those of the texts that fit into a line, in their own order; `order` says which come first where room is."""
    chosen, room = set(), width + len(GAP)
    for name in order:
        if texts[name] and len(texts[name]) + len(GAP) <= room:
            chosen.add(name)
            room -= len(texts[name]) + len(GAP)
    return [text for name, text in texts.items() if name in chosen]
