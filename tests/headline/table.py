"""The figures in words: a table of at most 100 columns, as docs/measured.md shows it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tests.headline.calls import Kind
from tests.headline.variants import PER_SECOND, REPLICAS
from tests.headline.verdict import COPIED_SLEEP_SECONDS, Figures, Spread

_NAMES, _COLUMN = 32, 17

Row = tuple[str, Callable[[Figures], str]]


def lines(
    columns: Sequence[Figures], load: Mapping[str, Mapping[str, float]], judged: Mapping[str, Mapping[str, int]]
) -> Iterator[str]:
    """`load` is each client's requests a second to Eureka, by question; `judged` the product's shutdown verdicts."""
    heads = zip(*(figures.variant.title for figures in columns), strict=True)
    for left, head in zip(
        (f"rollouts of {REPLICAS} instances,", f"{PER_SECOND} requests a second"), heads, strict=True
    ):
        yield _line(left, head)
    for name, cell in _rows(columns):
        yield _line(name, [cell(figures) for figures in columns])
    yield _line("graceful, says eureka-drain", [_graceful(judged.get(figures.variant.key, {})) for figures in columns])
    yield ""
    yield "three figures: least, median, most; took: until the last old pod was gone; stale: how long the"
    yield "caller still sent requests to an old instance after no Eureka node said UP of it any more"
    for who, rates in load.items():
        parts = ", ".join(f"{what} {rate:.3f}" for what, rate in sorted(rates.items()) if what != "all")
        yield f"requests to Eureka a second, {who}: {rates['all']:.3f}" + (f" ({parts})" if parts else "")


def _rows(columns: Sequence[Figures]) -> Iterator[Row]:
    yield "rollouts", lambda figures: f"{figures.rollouts}"
    yield "requests", lambda figures: f"{figures.calls:,}"
    yield "lost", lambda figures: f"{figures.all_lost:,}"
    for kind in Kind:
        if any(figures.lost.get(kind) for figures in columns):
            yield f"  {kind}", lambda figures, kind=kind: f"{figures.lost.get(kind, 0):,}"  # type: ignore[misc]
    yield "  of all requests", lambda figures: f"{100 * figures.share_lost:.2f} %"
    yield "  in one rollout", lambda figures: _spread(figures.lost_in_one, 0)
    yield "a rollout took, s", lambda figures: _spread(figures.took, 0)
    yield "stale, s", lambda figures: _spread(figures.stale, 1)
    yield (
        f"  beyond {COPIED_SLEEP_SECONDS} s, of old instances",
        lambda figures: f"{figures.beyond_the_copied_sleep} of {figures.stale.count}",
    )
    yield "slowest answered request, s", lambda figures: f"{figures.slowest:.1f}"


def _graceful(judged: Mapping[str, int]) -> str:
    return f"{judged.get('graceful', 0)} of {sum(judged.values())}" if judged else "-"


def _spread(spread: Spread, digits: int) -> str:
    if not spread.count:
        return "-"
    return " ".join(f"{figure:.{digits}f}" for figure in (spread.least, spread.middle, spread.most))


def _line(name: str, cells: Sequence[str]) -> str:
    return (f"{name:<{_NAMES}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)).rstrip()
