from dataclasses import replace

import pytest

from genkit.record.scores import EpochRecord, Scores
from genkit.runs.display import MOST, Pace, Standing, duration, epoch_line, figure, lines, terms, text_of


def scores(loss=28.07, active=None, names=("reconstruction", "kl"), critics=()):
    values = {name: loss / len(names) for name in names}
    return Scores(loss, values, dict.fromkeys(critics, 0.69), 24.1, 3.97, -28.07, active)


def record(epoch, loss, **options):
    train, held_out = scores(loss, **options), scores(loss + 1, 2, **options)
    return EpochRecord(epoch, 20 * epoch, 1.5, 12345.6, 1e-3, {"kl": 0.5}, train, held_out)


def standing(epoch=12, epochs=30, **options):
    history = tuple(record(number, 20 + 80 / number, **options) for number in range(1, epoch + 1))
    last = history[-1]
    return Standing("vae-digits", epochs, history, epoch + 0.4, last.train, last.weights, 12345.6, 42.0, 2)


def shown(where, width=MOST, **options):
    return [text_of(line) for line in lines(where, width, **options)]


def test_the_display_says_where_a_training_stands():
    head, losses, details = shown(standing())
    assert head.startswith("vae-digits  epoch 13/30  ━")
    assert head.endswith("─  0:42 left  12,346 examples/s")
    assert losses.startswith("loss 26.67 █")
    assert "  validation 27.67 █" in losses
    assert details == "reconstruction 13.33 + 0.5 × kl 13.33  2 of 2 latents active"


LONG = {
    "usual": standing(),
    "long name": replace(standing(), name="a-name-that-is-far-longer-than-any-line-can-take-with-all-else-in-it-x"),
    "many epochs": replace(standing(), epochs=123456, done=99999.5, left=5e5, rate=1.2e9),
    "huge figures": standing(4, names=("reconstruction", "kl")),
    "many terms": standing(names=tuple(f"term_{number}" for number in range(12)), critics=("adversarial", "factor")),
    "one long term": standing(names=("x" * 90,)),
    "first epoch": Standing("vae-digits", 30, (), 0.2, scores(), {}, 99.0, None, 2),
    "nothing yet": Standing("vae-digits", None),
    "after training": replace(standing(30), state="figures and pictures"),
    "far off": replace(standing(), scores=scores(1e300), left=9e9),
}


@pytest.mark.parametrize("width", [1, 12, 24, 40, 59, 60, 79, 80, 100, 130, 400])
@pytest.mark.parametrize("name", LONG)
def test_no_line_is_wider_than_the_terminal_or_79_columns(name, width):
    for ascii_only in (False, True):
        assert all(len(line) <= min(width, MOST) for line in shown(LONG[name], width, ascii_only=ascii_only))
    assert len(epoch_line(LONG[name], min(width, MOST))) <= max(MOST, width)


@pytest.mark.parametrize("width", [12, 24, 40, 60, 80, 130])
def test_the_time_left_is_never_left_out(width):
    for name, where in LONG.items():
        if name in ("first epoch", "nothing yet"):
            assert "-:-- left" in shown(where, width)[0]
        else:
            assert (where.state or f"{duration(where.left)} left") in shown(where, max(width, 22))[0]
            assert width < 60 or f"{duration(where.left)} left" in epoch_line(where, min(width, MOST))


def test_from_60_columns_on_name_epoch_bar_time_and_rate_are_there():
    head, losses, _ = shown(standing(), 60)
    for text in ("vae-digits  ", "epoch 13/30", "━━━", "0:42 left", "12,346/s"):
        assert text in head
    assert losses.count("█") >= 2


def test_details_drop_first():
    many = standing(names=tuple(f"term_{number}" for number in range(12)))
    assert shown(many, 79)[2].endswith(" …  2 of 2 latents active")
    assert shown(many, 60)[2].count("term") < shown(many, 79)[2].count("term")
    assert "examples/s" not in shown(standing(), 50)[0]
    assert "vae" not in shown(standing(), 30)[0]


def test_an_ascii_terminal_gets_ascii_alone():
    text = "\n".join(shown(standing(names=tuple(f"term_{number}" for number in range(12))), ascii_only=True))
    assert text.isascii()
    assert "####" in text
    assert "0.5 x kl" in "\n".join(shown(standing(), ascii_only=True))


def test_a_model_without_what_is_shown_shows_nothing_of_it():
    gan = Scores(1.5, {"adversarial": 1.5}, {"adversarial": 0.6}, None, None, None)
    where = replace(standing(), scores=gan, history=(), latents=None, weights={"adversarial": 1.0})
    assert shown(where)[1:] == ["loss 1.50", "adversarial 1.50  critic of adversarial 0.60"]


def test_a_line_of_an_epoch_has_as_many_details_as_it_has_room_for():
    where = replace(standing(), done=11)
    expected = "epoch 12/30  loss 26.67  0.5 × kl 13.33  validation 27.67  0:42 left  12,346/s"
    assert epoch_line(where) == expected
    assert epoch_line(where, 60) == "epoch 12/30  loss 26.67  validation 27.67  0:42 left"
    assert "reconstruction 13.33  0.5 × kl 13.33" in epoch_line(where, 120)
    assert epoch_line(replace(where, history=where.history[:1], done=0)).startswith("epoch  1/30  loss")


def test_terms_show_the_weights_that_are_not_one_and_what_acts_as_escapes():
    shown_terms = terms(Scores(92.65, {"a\x1b": 80.1, "kl": 25.1}, {}, None, None, None), {"a\x1b": 1.0, "kl": 0.5})
    assert shown_terms == [r"a\x1b 80.10", "0.5 × kl 25.10"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.4, "0:07"), (59.6, "1:00"), (3723, "1:02:03"), (183840, "2 d 03:04"), (8.64e9, "100,000 d 00:00")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "text"), [(28.066, "28.07"), (-1234.5, "-1,234.50"), (3e7, "3e+07"), (0, "0.00")])
def test_figures(value, text):
    assert figure(value) == text


def test_a_slow_training_has_a_rate_too():
    assert shown(replace(standing(), rate=0.34))[0].endswith("  0.3 examples/s")
    assert shown(replace(standing(), rate=9999.6))[0].endswith("  10,000 examples/s")


def test_the_time_left_is_that_of_the_last_reports():
    pace = Pace()
    assert pace.left(0.0, 10) is None
    pace.add(100.0, 2.0)
    assert pace.left(101.0, 10) is None
    pace.add(102.0, 3.0)
    pace.add(104.0, 4.0)
    assert pace.left(104.0, 10) == pytest.approx(12.0)
    assert pace.left(109.0, 10) == pytest.approx(7.0)
    assert pace.left(1000.0, 10) == 0.0
    for second in range(1, 500):
        pace.add(104.0 + second, 4.0 + 0.01 * second)
    assert pace.left(104.0 + 499, 10) == pytest.approx((10 - 8.99) * 100)


def test_what_comes_once_after_the_first_epoch_says_nothing_of_the_time_left():
    pace = Pace()
    for second, done in enumerate((0.2, 0.4, 0.6, 0.8)):
        pace.add(float(second), done)
    assert pace.left(3.0, 10) == pytest.approx(9.2 * 5)
    pace.add(60.0, 1.0)  # 57 s with imports and the first checkpoint
    assert pace.left(60.0, 10) == pytest.approx(9.0 * 3 / 0.6)
    pace.add(61.0, 1.2)
    pace.add(64.0, 1.8)
    pace.add(66.0, 2.0)  # later pauses count
    assert pace.left(66.0, 10) == pytest.approx(8.0 * 9 / 1.6)


def test_a_training_that_was_taken_back_counts_from_there():
    pace = Pace()
    pace.add(0.0, 1.0)
    pace.add(10.0, 5.0)
    pace.add(11.0, 2.0)
    assert pace.left(11.0, 6) is None
    pace.add(13.0, 3.0)
    assert pace.left(13.0, 6) == pytest.approx(6.0)
