"""The end of the demo in words: the table on stdout, what is wrong, and how to look around."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from tests.demo.record import Record
from tests.demo.sampling import SAMPLE_SECONDS
from tests.demo.verdict import SIGTERM_ALLOWANCE, Verdict, percentile
from tests.stack.controller_process import ControllerProcess
from tests.stack.stack import Stack


def show(verdict: Verdict, record: Record, problems: Sequence[str]) -> None:
    """On stdout, in colours only if that is a terminal; no line of the table is wider than 80 columns."""
    console = Console(highlight=False, soft_wrap=True)
    console.print()
    for name, value in _rows(verdict, record):
        console.print(Text.assemble((f"{name:28}", "bold"), value))
    console.print("", _explanation(record), "", sep="\n")
    for problem in problems:
        console.print(Text.assemble(("wrong: ", "red"), problem))
    if problems:
        console.print("\nmake demo KEEP=1 leaves everything running afterwards, with all logs.")
    else:
        console.print(Text("all is well", style="green"))


def _rows(verdict: Verdict, record: Record) -> list[tuple[str, str]]:
    latency, margin = "never", ""
    if found := verdict.latencies:
        latency = f"p50 {percentile(found, 0.5):.2f} s, p99 {percentile(found, 0.99):.2f} s, of {len(found)}"
    if verdict.narrowest is not None:
        margin = f", the closest {abs(verdict.narrowest):.1f} s {'before' if verdict.narrowest >= 0 else 'after'} it"
    return [
        ("drained", f"{verdict.drained} of {verdict.old} old instances, at {' and '.join(record.nodes)}"),
        ("deletion → OUT_OF_SERVICE", latency),
        ("before SIGTERM", f"{verdict.in_time} of {verdict.old}{margin}"),
        ("deleted", f"{verdict.deleted} of {verdict.silent} that ended without a word to Eureka"),
        ("deregistered themselves", f"{verdict.deregistered} of {verdict.old - verdict.silent}"),
        ("anything left", ", ".join(verdict.left) or "nothing"),
        ("new instances", f"{verdict.new}, {verdict.disturbed or 'none'} of them showed anything but STARTING and UP"),
    ]


def _explanation(record: Record) -> str:
    pause = f"{record.longest_pause:.1f} s"
    return "\n".join(
        [
            "Measured from outside, not told by the controller: from the moment when a watch",
            "first showed the pod's deletionTimestamp until the later of the two Eureka nodes",
            f"answered OUT_OF_SERVICE. Each was asked every {SAMPLE_SECONDS} s, at most {pause} apart.",
            f"Up to {SIGTERM_ALLOWANCE:g} s after SIGTERM counts as before it.",
        ]
    )


def directions(stack: Stack, controller: ControllerProcess) -> str:
    """How to look around while everything goes on running."""
    lines = ["", "Everything goes on running. Look around from another terminal:", ""]
    lines.append(f"  export KUBECONFIG={stack.cluster.kubeconfig}")
    lines.append("  kubectl get pods")
    lines.append(f"  RabbitMQ     {stack.broker.management_url} (guest/guest)")
    lines += [f"  Eureka       {url.removesuffix('/eureka')}/" for nodes in stack.eureka.values() for url in nodes.urls]
    lines.append(f"  controller   {controller.url}/metrics")
    lines.append(f"  its log      {controller.log}")
    lines.append(f"  pods' logs   {stack.cluster.node.folder}")
    return "\n".join([*lines, "", "Ctrl-C ends it all."])
