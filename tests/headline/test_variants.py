"""The variants differ in what is compared, and in nothing else."""

from __future__ import annotations

from controller.domain.shutdown.hooks import read_hook
from controller.domain.shutdown.pod_details import Exec
from controller.settings import Settings
from tests.headline.variants import BALANCER_SECONDS, FETCH_SECONDS, TUNED_WINDOW_SECONDS, VARIANTS
from tests.headline.verdict import COPIED_SLEEP_SECONDS

NOTHING, COPIED, DRAINED, TUNED = VARIANTS
FIRST_NODE = "http://localhost:1/eureka"


def test_the_copied_hook_is_what_doctor_reads_as_one() -> None:
    lifecycle = COPIED.lifecycle(FIRST_NODE)
    assert lifecycle is not None
    read = read_hook(Exec(tuple(lifecycle["preStop"]["exec"]["command"])))
    assert read.sets_status
    assert read.seconds == COPIED_SLEEP_SECONDS
    assert COPIED.grace_seconds > COPIED_SLEEP_SECONDS


def test_the_drained_manifests_set_nothing_and_differ_by_namespace_only() -> None:
    for variant in (NOTHING, DRAINED, TUNED):
        assert variant.lifecycle(FIRST_NODE) is None
        assert variant.grace_seconds == NOTHING.grace_seconds
    assert [bool(variant.labels) for variant in VARIANTS] == [False, False, True, True]
    assert DRAINED.annotations == {}
    assert TUNED.annotations == {"eureka.drain/server-cache": "0s", "eureka.drain/client-fetch": f"{FETCH_SECONDS}s"}


def test_only_one_has_quick_callers_and_they_fit_its_window() -> None:
    assert [variant.quick for variant in VARIANTS] == [False, False, False, True]
    assert [variant.region for variant in VARIANTS].count(NOTHING.region) == 3
    assert FETCH_SECONDS + BALANCER_SECONDS < TUNED_WINDOW_SECONDS
    assert Settings().window.client_fetch.total_seconds() > FETCH_SECONDS
