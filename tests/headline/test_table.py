"""The table that docs/measured.md shows."""

from __future__ import annotations

from collections import Counter

from tests.headline import table
from tests.headline.calls import Kind
from tests.headline.judged import counted, misjudged
from tests.headline.variants import VARIANTS
from tests.headline.verdict import Figures, Spread

LOAD = {"the caller of nothing": {"fetch": 0.0333, "other": 0.001, "all": 0.0343}}

JUDGED = {VARIANTS[2].key: {"graceful": 24, "not_graceful": 1}}


def column(number: int, lost: dict[Kind, int]) -> Figures:
    return Figures(
        variant=VARIANTS[number],
        rollouts=5,
        calls=1_234_567,
        lost=lost,
        lost_in_one=Spread(5, 0, 1234, 2468),
        took=Spread(5, 100.4, 120.6, 140.0),
        stale=Spread(25, 1.2, 31.0, 94.9),
        beyond_the_copied_sleep=13,
        slowest=1.25,
        problems=(),
    )


def test_it_has_a_column_for_each_variant_and_fits_a_hundred_characters() -> None:
    columns = [column(number, dict.fromkeys(Kind, 123456)) for number in range(len(VARIANTS))]
    lines = list(table.lines(columns, LOAD, JUDGED))
    assert max(map(len, lines)) <= 100
    assert "nothing" in lines[0]
    assert lines[1].endswith("both components")


def test_it_names_only_the_kinds_of_loss_that_occurred() -> None:
    lines = list(table.lines([column(0, {Kind.REFUSED: 3}), column(2, {})], LOAD, JUDGED))
    assert [line.split() for line in lines if line.startswith("  connection")] == [["connection", "refused", "3", "0"]]
    assert not any(Kind.TIMED_OUT in line for line in lines)
    assert ["lost", "3", "0"] in [line.split() for line in lines]


def test_no_figures_are_no_numbers() -> None:
    empty = Figures(VARIANTS[0], 0, 0, {}, Spread.of([]), Spread.of([]), Spread.of([]), 0, 0.0, ())
    assert ["stale,", "s", "-"] in [line.split() for line in table.lines([empty], {}, {})]


def test_what_each_client_asks_of_eureka_follows() -> None:
    last = list(table.lines([column(0, {})], LOAD, {}))[-1]
    assert last == "requests to Eureka a second, the caller of nothing: 0.034 (fetch 0.033, other 0.001)"
    assert list(table.lines([column(0, {})], {"nobody": {"all": 0.0}}, {}))[-1].endswith("nobody: 0.000")


def test_the_products_own_verdicts_stand_beside_what_was_measured() -> None:
    lines = list(table.lines([column(0, {}), column(2, {})], LOAD, JUDGED))
    assert [line.split()[-4:] for line in lines if line.startswith("graceful")] == [["-", "24", "of", "25"]]


def test_shutdown_verdicts_are_counted_by_namespace() -> None:
    said = "".join(
        f'{{"namespace": "{name}", "shutdown": "{verdict}"}}\n'
        for name, verdict in (("drained", "graceful"), ("drained", "graceful"), ("tuned", "not_graceful"))
    )
    assert counted(said) == {"drained": {"graceful": 2}, "tuned": {"not_graceful": 1}}
    assert counted("") == {}


def test_a_shutdown_verdict_that_contradicts_what_was_measured_is_wrong() -> None:
    lossless, lossy, nobodys = column(2, {}), column(2, {Kind.REFUSED: 3}), column(0, {})
    key = lossless.variant.key
    assert misjudged([lossless, nobodys], {key: Counter(graceful=25)}) == []
    for said in (Counter(graceful=24), Counter({"graceful": 25, "pending": 1}), Counter()):
        assert len(misjudged([lossless], {key: said})) == 1
        assert misjudged([lossy], {key: said}) == []
    assert len(misjudged([lossless], {})) == 1
