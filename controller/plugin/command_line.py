"""The plugin's words: ``kubectl drains [COMMAND] [OPTIONS]``. Exit status: 0 done, 1 not, 2 bad usage."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial

from controller.domain.selection import FILTERS, ROLLOUT_FILTERS, Filter, split
from controller.plugin.kubectl import Kubectl
from controller.plugin.ops_api import OpsApi, TokenSource, find_ops, person_of, token_for
from controller.plugin.plugin_commands import Asked, Commands
from controller.plugin.problem import PluginError
from controller.terminal import drop_output, prepare_streams, report

TOKEN_VARIABLE = "KUBECTL_DRAINS_TOKEN"  # noqa: S105 - its name
WRITES = frozenset({"replay", "drain", "restore", "requeue", "drop"})
"""Commands, and what is done with dead letters, that change something."""
_OF_DEAD_LETTERS = tuple(one for one in FILTERS if not one.needs_record)
DEFAULT_SINCE = "2h"
MIN_RATE, MAX_RATE = 0.01, 1_000
"""Drains to send in a second, as the API takes them."""
SETTINGS_OPTIONS = ("--config", "--set")
SETTINGS_PREFIX = "EUREKA_DRAIN_"


def names_settings(words: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Return whether a call brings the broker's settings: then it is for ``eureka-drain`` itself, where no ops runs."""
    return any(word.split("=")[0] in SETTINGS_OPTIONS for word in words) or any(
        name.startswith(SETTINGS_PREFIX) for name in environment
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    prepare_streams()
    given = sys.argv[1:] if words is None else list(words)
    parser, commands = _parser()
    if not any(word in (*commands, "-h", "--help") for word in given[:1]):
        given = ["drains", *given]
    options = parser.parse_args(given)
    try:
        status = _run(options)
        sys.stdout.flush()
        return status
    except PluginError as error:
        report(f"kubectl drains: {error}")
        return error.status
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        drop_output("kubectl drains", error)
        return 1
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        what = f"{type(error).__name__}: {error}"[:200]
        report(f"kubectl drains: the answer is not understood; is ops another version? ({what})")
        return 1


def _run(options: argparse.Namespace) -> int:
    chosen = (("--kubeconfig", options.kubeconfig), ("--context", options.context))
    kubectl = Kubectl(options=tuple(word for pair in chosen if pair[1] for word in pair))
    service = find_ops(kubectl, options.ops_namespace)
    writes = not WRITES.isdisjoint((options.command, vars(options).get("action", "")))
    kind = "operator" if writes else "viewer"
    source = TokenSource(partial(token_for, kubectl, service, kind), os.environ.get(TOKEN_VARIABLE, "").strip())
    source.token()  # who may not have one need not wait for a port
    with kubectl.forwarded(service.namespace, service.name, "http") as port:
        commands = Commands(OpsApi(port, source.token), cache(partial(person_of, kubectl)))
        command: Callable[[Asked], int] = getattr(commands, options.command)
        return command(_asked(options))


def _asked(options: argparse.Namespace) -> Asked:
    given = vars(options)
    filters = {one.name: split(one, given.get(one.name) or []) for one in FILTERS}
    if not filters["since"] and not filters["id"] and options.command in ("drains", "rollouts", "replay"):
        filters["since"] = [DEFAULT_SINCE]
    names = ("follow", "drain_id", "reason", "again", "per_second", "yes", "action")
    return Asked(
        filters={name: texts for name, texts in filters.items() if texts},
        as_json=options.output == "json",
        pod=given.get("living_pod", ""),
        **{name: given[name] for name in names if name in given},
    )


def _parser() -> tuple[argparse.ArgumentParser, Collection[str]]:
    """Return the parser, and the commands' names."""
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--kubeconfig", metavar="FILE", default="", help="As for kubectl.")
    everywhere.add_argument("--context", metavar="NAME", default="", help="As for kubectl.")
    everywhere.add_argument("--ops-namespace", metavar="NAMESPACE", default="", help="Where ops runs.")
    parser = argparse.ArgumentParser(
        prog="kubectl drains",
        description="See and repeat drains of pods from Eureka, over the API of eureka-drain ops.",
        epilog=f"A token is asked of the API server for each call; {TOKEN_VARIABLE} has one of your own.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, about: str, *filters: Filter) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about, parents=[everywhere], allow_abbrev=False)
        for one in filters:
            _add_filter(made, one)
        made.add_argument("-o", "--output", choices=("table", "json"), default="table", help="json: one a line.")
        return made

    drains = command("drains", "Show what happened, the newest last; the command without a name.", *FILTERS)
    drains.add_argument("-f", "--follow", action="store_true", help="Go on with what happens from now on.")
    command("rollouts", "Show drains as rollouts, and how each pod ended.", *ROLLOUT_FILTERS)
    show = command("show", "Show one drain's timeline.")
    show.add_argument("drain_id", metavar="DRAIN_ID", help="As drains shows it.")
    dead = command("dead", "List the dead letters of each region, send them again, or drop them.", *_OF_DEAD_LETTERS)
    dead.add_argument("action", nargs="?", choices=("list", "requeue", "drop"), default="list", help="drop needs --yes")
    dead.add_argument("--yes", action="store_true", help="Drop for good what the filters choose.")
    replay = command("replay", "Drain again what is still in service: the plan; with --yes its execution.", *FILTERS)
    replay.add_argument("--again", action="store_true", help="Also what a worker still has under way.")
    replay.add_argument(
        "--rps", dest="per_second", type=_rate, default=50.0, metavar="N", help="Drains to send in a second."
    )
    replay.add_argument("--yes", action="store_true", help="Execute the plan.")
    drain = command("drain", "Take one living pod out of service, and wait until it is proved.")
    restore = command("restore", "Put one living pod back, and wait until it is proved.")
    for one in (drain, restore):
        one.add_argument("living_pod", metavar="NAMESPACE/POD")
    for one in (dead, replay, drain, restore):
        one.add_argument("--reason", metavar="TEXT", default="", help="Why; kept in the event log.")
    return parser, commands.choices


def _rate(text: str) -> float:
    with suppress(ValueError):
        if MIN_RATE <= float(text) <= MAX_RATE:
            return float(text)
    raise argparse.ArgumentTypeError(f"write a number from {MIN_RATE} to {MAX_RATE}")


def _add_filter(parser: argparse.ArgumentParser, one: Filter) -> None:
    names = [f"--{one.name.replace('_', '-')}", *([one.short] if one.short else [])]
    about = f"{one.about} Repeatable." if one.repeatable else one.about
    parser.add_argument(*names, dest=one.name, action="append", metavar=one.metavar, help=about)
