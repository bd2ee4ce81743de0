"""kubectl as the plugin uses it: with the person's kubeconfig, whatever signs in there."""

from __future__ import annotations

import re
import subprocess
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from controller.plugin.problem import PluginError

COMMAND_TIMEOUT = 60.0
"""Seconds of one call: a sign-in may ask the person."""
FORWARD_TIMEOUT = 20.0
"""Seconds until a port is forwarded."""
MAX_MESSAGE = 500
"""Characters of what kubectl says."""
MAX_LINES = 20
_FORWARDING = re.compile(r"^Forwarding from 127\.0\.0\.1:(\d+) -> ")


class KubectlError(PluginError):
    """kubectl could not; its own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """kubectl with the options that choose a cluster."""

    options: tuple[str, ...] = ()
    program: str = "kubectl"

    def run(self, *words: str) -> str:
        """Return what a command prints; KubectlError says why there is nothing."""
        try:
            ended = subprocess.run(  # noqa: S603 - the person's own kubectl, and no shell
                self._command(words), capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False
            )
        except OSError as error:
            raise self._missing(error) from None
        except subprocess.TimeoutExpired:
            raise KubectlError(f"kubectl {words[0]}: no answer within {COMMAND_TIMEOUT:.0f} s") from None
        if ended.returncode:
            raise KubectlError(f"kubectl {' '.join(words[:3])}: {_last_line(ended.stderr)}")
        return ended.stdout

    @contextmanager
    def forwarded(self, namespace: str, service: str, port: str) -> Iterator[int]:
        """Forward a free local port to a service for as long as the context lasts; yield it."""
        words = ("port-forward", "--namespace", namespace, "--address", "127.0.0.1", f"service/{service}", f":{port}")
        try:
            process = subprocess.Popen(  # noqa: S603
                self._command(words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
        except OSError as error:
            raise self._missing(error) from None
        timer = threading.Timer(FORWARD_TIMEOUT, process.kill)
        timer.start()
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            # What it says is read to its end, or a full pipe would hold it up.
            said: deque[str] = deque(maxlen=MAX_LINES)
            complaints = threading.Thread(target=_read_to_its_end, args=(process.stderr, said), daemon=True)
            complaints.start()
            found = next(filter(None, map(_FORWARDING.match, _lines(process.stdout))), None)
            timer.cancel()
            if found is None:
                process.kill()
                complaints.join(1.0)  # whoever it has started may keep the pipe open
                why = _last_line("".join(said), f"no port within {FORWARD_TIMEOUT:.0f} s")
                raise KubectlError(f"kubectl port-forward service/{service}: {why}")
            threading.Thread(target=_read_to_its_end, args=(process.stdout, deque(maxlen=0)), daemon=True).start()
            yield int(found[1])
        finally:
            timer.cancel()
            process.kill()
            process.wait()

    def _command(self, words: Sequence[str]) -> list[str]:
        return [self.program, *self.options, *words]

    def _missing(self, error: OSError) -> KubectlError:
        return KubectlError(f"{self.program} cannot be run: {error.strerror}; it has to be on the PATH")


def _lines(pipe: IO[str]) -> Iterator[str]:
    while line := pipe.readline(MAX_MESSAGE):
        yield line


def _read_to_its_end(pipe: IO[str], lines: deque[str]) -> None:
    lines.extend(_lines(pipe))


def _last_line(text: str, nothing: str = "it gives no reason") -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:MAX_MESSAGE] if lines else nothing
