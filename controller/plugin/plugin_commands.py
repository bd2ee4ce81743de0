"""What each command of the plugin asks ``ops``, and what it prints. Data goes to stdout, messages to stderr."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from controller.domain.events import FINAL, Outcome
from controller.plugin.ops_api import OpsApi, Query
from controller.plugin.problem import BAD_USAGE, PluginError
from controller.terminal import report, terminal_width

OUTCOME_TIMEOUT = 120.0
"""Seconds that an outcome is waited for."""
POLL_INTERVAL = 1.0
"""Seconds between two looks."""
MAX_VAIN_LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a person asks for."""

    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    as_json: bool = False
    follow: bool = False
    drain_id: str = ""
    pod: str = ""
    reason: str = ""
    again: bool = False
    per_second: float = 50.0
    yes: bool = False
    action: str = "list"
    """Of dead letters."""

    @property
    def body(self) -> dict[str, Any]:
        """The filters as a request's body has them."""
        return {name: list(texts) if name in _LISTS else texts[0] for name, texts in self.filters.items()}

    @property
    def query(self) -> Query:
        """The filters as a URL has them."""
        return [(name, text) for name, texts in self.filters.items() for text in texts]


@dataclass(frozen=True, slots=True)
class Commands:
    """The commands; each returns its exit status."""

    api: OpsApi
    person: Callable[[], str]
    """Who asks for a change, as far as the API server says."""

    def drains(self, asked: Asked) -> int:
        """Show what happened, the newest last; with ``follow``, what happens from then on, too."""
        if not asked.follow:
            self._print_drains(asked)
            return 0
        with suppress(KeyboardInterrupt), self.api.events() as events:
            self._print_drains(asked)
            self._follow(asked, events)
            report("ops has ended the stream of events; run it again")
            return 1
        return 0

    def _print_drains(self, asked: Asked) -> None:
        if asked.as_json:
            self._print_json(self.api.json("GET", "/drains", asked.query)["drains"][::-1])
        else:
            text = self.api.text("GET", "/drains", terminal_width(), asked.query)
            print(text, end="")
            if not text:
                report("no drains of this kind")
        sys.stdout.flush()

    def rollouts(self, asked: Asked) -> int:
        """Show drains as rollouts, the newest last."""
        if asked.as_json:
            self._print_json(self.api.json("GET", "/rollouts", asked.query)["rollouts"][::-1])
            return 0
        text = self.api.text("GET", "/rollouts", terminal_width(), asked.query)
        print(text, end="")
        if not text:
            report("no rollouts of this kind")
        return 0

    def show(self, asked: Asked) -> int:
        """Show one drain's timeline."""
        path = _path_of(asked.drain_id)
        if asked.as_json:
            self._print_json([self.api.json("GET", path)])
        else:
            print(self.api.text("GET", path, terminal_width()), end="")
        return 0

    def dead(self, asked: Asked) -> int:
        """List the dead letters, send them again, or drop them; exit status 1 where some could not be."""
        if asked.action == "requeue" or (asked.action == "drop" and asked.yes):
            return self._settle(asked)
        answer = self.api.json("GET", "/dead", asked.query)
        if asked.as_json:
            self._print_json(answer["dead"])
        else:
            print(self.api.text("GET", "/dead", terminal_width(), asked.query), end="")
        if not answer["dead"] and not answer["troubles"]:
            report("no dead letters")
        elif asked.action == "drop":
            report("nothing was dropped; --yes drops these for good")
        return 1 if answer["troubles"] else 0

    def _settle(self, asked: Asked) -> int:
        """Ask until all that were chosen have been seen; a request takes as many as it has time for."""
        settled = 0
        while True:
            answer = self.api.json("POST", "/dead", body={**asked.body, "action": asked.action, **self._signed(asked)})
            settled += answer["settled"]
            if not (answer["settled"] and answer["unseen"]):
                break
        for left in answer["left"]:
            report(f"left where it is: {left['message_id'] or 'a message without id'}: {left['problem']}")
        if answer["left"]:
            report("what is no message of ours can only be dropped: kubectl drains dead drop --id MESSAGE_ID --yes")
        for region, number in answer["unseen"].items():
            report(f"{number} of {region} could not be seen: somebody else holds them; run it again")
        what = "dropped" if asked.action == "drop" else "sent again; follow them with: kubectl drains --follow"
        report(f"{settled} {what}" if settled else "no dead letters" + (" that fit" if asked.filters else ""))
        return 1 if answer["left"] or answer["unseen"] else 0

    def replay(self, asked: Asked) -> int:
        """Plan a replay; with ``yes`` execute it, and wait for its outcomes."""
        body = asked.body | {"again": asked.again, "rps": asked.per_second, **self._signed(asked)}
        if not asked.yes:
            if asked.as_json:
                self._print_json(self.api.json("POST", "/replays", body=body)["items"])
            else:
                print(self.api.text("POST", "/replays", terminal_width(), body=body), end="")
            report("nothing was changed; --yes executes this plan")
            return 0
        path = "/replays"
        try:
            path = f"/replays/{self.api.json('POST', '/replays', body={**body, 'execute': True})['replay_id']}"
            run = self._until(path, (), lambda answer: answer["over_at"], timeout=None)
        except KeyboardInterrupt:
            report(f"it goes on without you, and the page stops it: {path}")
            return 1
        except PluginError as error:
            begun = f"; the replay goes on, and the page shows it: {path}" if path != "/replays" else ""
            raise PluginError(f"{error}{begun}", error.status) from None
        if asked.as_json:
            self._print_json(run["items"])
        else:
            print(self.api.text("GET", path, terminal_width()), end="")
        return 0 if run["state"] in ("good", "nothing") else 1

    def drain(self, asked: Asked) -> int:
        """Take one living pod out of service, and wait until it is proved."""
        return self._by_hand("/drains", asked, Outcome.out_of_service, FINAL | {Outcome.out_of_service})

    def restore(self, asked: Asked) -> int:
        """Put one living pod back, and wait until it is proved."""
        return self._by_hand("/restores", asked, Outcome.restored, FINAL)

    def _by_hand(self, path: str, asked: Asked, good: Outcome, over: frozenset[Outcome]) -> int:
        sent = self.api.json("POST", path, body={"pod": asked.pod, **self._signed(asked)})
        ids, asked_at = sent["drain_ids"], sent["requested_at"]
        report(f"requested; waiting for the outcome ({', '.join(ids)})")
        query = [("id", one) for one in ids]

        def is_over(answer: Any) -> bool:
            # What a drain came to before is no answer to this request.
            states = [one["state"] for one in answer["drains"] if (one["requested_at"] or "") >= asked_at]
            return len(states) == len(ids) and all(state in over for state in states)

        try:
            answer = self._until("/drains", query, is_over, timeout=OUTCOME_TIMEOUT)
        except PluginError as error:
            raise PluginError(f"{error}; what was requested goes on: {', '.join(ids)}", error.status) from None
        if asked.as_json:
            self._print_json(answer["drains"][::-1])
        else:
            print(self.api.text("GET", "/drains", terminal_width(), query), end="")
        if not is_over(answer):
            report("no outcome yet; it goes on by itself: kubectl drains show DRAIN_ID")
        return 0 if is_over(answer) and all(one["state"] == good for one in answer["drains"]) else 1

    def _signed(self, asked: Asked) -> dict[str, str]:
        return {"reason": asked.reason, "on_behalf_of": self.person()[:100]}

    def _until(self, path: str, query: Query, done: Callable[[Any], Any], *, timeout: float | None) -> Any:
        """Look again and again; return what was shown last. A few looks in vain are no reason to leave."""
        ends_at = math.inf if timeout is None else time.monotonic() + timeout
        left = MAX_VAIN_LOOKS
        while True:
            try:
                answer = self.api.json("GET", path, query)
                left = MAX_VAIN_LOOKS
            except PluginError:
                left -= 1
                if not left:
                    raise
            else:
                if done(answer) or time.monotonic() >= ends_at:
                    return answer
            time.sleep(POLL_INTERVAL)

    def _follow(self, asked: Asked, events: Iterable[Mapping[str, Any]]) -> None:
        """Print each drain again at each of its events."""
        # Not by age: it has just had an event, and an old beginning would be read from the log each time.
        filters = [(name, text) for name, text in asked.query if name not in ("id", "since")]
        for event in events:
            query = [*filters, ("id", str(event["drain_id"]))]
            if "id" in asked.filters and event["drain_id"] not in asked.filters["id"]:
                continue
            if asked.as_json:
                self._print_json(self.api.json("GET", "/drains", query)["drains"])
            else:
                print(self.api.text("GET", "/drains", terminal_width(), query).partition("\n")[2], end="")
            sys.stdout.flush()

    @staticmethod
    def _print_json(answers: Iterable[Any]) -> None:
        for answer in answers:
            print(json.dumps(answer))


_LISTS = frozenset({"state", "reason_code", "id"})


def _path_of(drain_id: str) -> str:
    if not drain_id:
        raise PluginError("the drain's id is missing: kubectl drains shows it", BAD_USAGE)
    return f"/drains/{quote(drain_id, safe='')}"
