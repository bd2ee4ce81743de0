"""What was measured of a deletion, by both clocks, and the samples that could not be taken."""

import statistics
from dataclasses import dataclass, field


@dataclass
class Latencies:
    """Milliseconds. A deletion whose event the watch did not show has no figure by the second clock.

    The floor has none by the first one either: it does nothing about what it does not see.
    """

    asked: list[float] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)
    unseen: int = 0

    def note(self, asked_at: float, seen_at: float | None, out_at: float | None) -> None:
        """One sample; None is what did not come."""
        if seen_at is None:
            self.unseen += 1
        if out_at is not None:
            self.asked.append(1000 * (out_at - asked_at))
            if seen_at is not None:
                self.seen.append(1000 * (out_at - seen_at))


@dataclass
class Burst:
    """When the deletions began and ended, and when the last instance was out at its last node."""

    begun_at: float
    deleted_at: float = 0.0
    out_at: float = 0.0
    """0 while none is."""
    latencies: Latencies = field(default_factory=Latencies)


def report(idle_floor: Latencies, idle_ours: Latencies, floors: Burst, ours: Burst) -> int:
    """Print the table and what it lacks; 1 when a target was missed, or could not be compared."""
    count = len(ours.latencies.asked)
    rows = {
        "floor, idle (1 node, unproved)": idle_floor,
        "eureka-drain, idle (both nodes)": idle_ours,
        f"floor, burst of {count}": floors.latencies,
        f"eureka-drain, burst of {count}": ours.latencies,
    }
    print(f"\n{'-> OUT_OF_SERVICE, milliseconds':<36}{'deletion asked for':>20}{'its event seen':>22}")
    print(f"{'':<36}{'p50':>10}{'p99':>10}{'p50':>12}{'p99':>10}")
    for name, latencies in rows.items():
        (asked50, asked99), (seen50, seen99) = (_percentiles(one) for one in (latencies.asked, latencies.seen))
        print(f"{name:<36}{asked50:>10}{asked99:>10}{seen50:>12}{seen99:>10}")
    for name, latencies in rows.items():
        if latencies.unseen:
            print(f"{name}: the watch never showed {latencies.unseen} of the deletions; they are left out")
    asked, seen = _ratio(idle_ours.asked, idle_floor.asked), _ratio(idle_ours.seen, idle_floor.seen)
    print(f"\nidle p50, deletion asked for: {_text(asked)} times the floor's (target: at most 4)")
    print(f"idle p50, its event seen: {_text(seen)} times the floor's")
    for name, burst in (("floor", floors), ("eureka-drain", ours)):
        print(f"burst, {name}: deleting took {burst.deleted_at - burst.begun_at:.1f} s; ", end="")
        print(
            f"all out {burst.out_at - burst.deleted_at:.2f} s after the last deletion" if burst.out_at else "none out"
        )
    print("(target: at most 3 s; every instance was read at every node afterwards)")
    return 0 if asked is not None and asked <= 4 and ours.out_at - ours.deleted_at <= 3 else 1


def _percentiles(figures: list[float]) -> tuple[str, str]:
    """The 50th and the 99th, which two samples are the fewest for."""
    if len(figures) < 2:
        return _text(None), _text(None)
    hundredths = statistics.quantiles(figures, n=100, method="inclusive")
    return _text(hundredths[49]), _text(hundredths[98])


def _ratio(ours: list[float], floors: list[float]) -> float | None:
    return statistics.median(ours) / statistics.median(floors) if ours and floors else None


def _text(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.1f}"
