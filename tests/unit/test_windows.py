"""How long callers may go on calling: for all, for a region, for an app, and by what nodes and pods set themselves."""

from __future__ import annotations

from datetime import timedelta

import pytest

from controller.app.assembly import windows_of
from controller.domain.routing import Routing
from controller.domain.shutdown.findings import WorkloadFinding, by_workload, survey_workloads
from controller.domain.shutdown.pod_details import Sleep
from controller.domain.shutdown.window import STOCK, Window, WindowOverride, Windows
from controller.errors import SettingsError
from controller.settings import WindowSettings
from controller.settings.sources import Sources
from tests.unit.windows import USUAL, pod_details


def own(**seconds: float) -> WindowOverride:
    return WindowOverride(**{name: timedelta(seconds=length) for name, length in seconds.items()})


def length(window: Window | None) -> float:
    assert window is not None
    return window.length.total_seconds()


EU, US = own(client_fetch=5), own(server_cache=60)
WINDOWS = Windows(USUAL, {"ORDERS": own(load_balancer=0)}, {"eu": EU, "us": US})


def test_without_anything_of_its_own_an_app_has_the_usual_window() -> None:
    assert STOCK.of("ORDERS") == STOCK.of("ORDERS", "eu") == STOCK.usual == USUAL
    assert length(STOCK.usual) == 95
    assert WINDOWS.of("CART", "apac") == USUAL


def test_a_region_has_its_own_where_it_is_set_differently() -> None:
    assert [length(WINDOWS.of("CART", region)) for region in ("eu", "us")] == [70, 125]


def test_of_several_regions_the_longest_window_counts() -> None:
    assert length(WINDOWS.of("CART", "eu", "us")) == length(WINDOWS.of("CART", "us", "eu")) == 125


def test_an_apps_own_goes_before_its_regions_one_cache_at_a_time() -> None:
    assert [length(WINDOWS.of("orders", region)) for region in ("eu", "us")] == [35, 90]
    both = Windows(USUAL, {"ORDERS": own(client_fetch=1)}, {"eu": own(client_fetch=5, load_balancer=5)})
    assert both.of("ORDERS", "eu") == own(client_fetch=1, load_balancer=5).over(USUAL)


def test_the_cache_that_nodes_report_goes_before_the_settings_even_when_0() -> None:
    assert length(WINDOWS.of("CART", "us", server_cache=timedelta(seconds=3))) == 68
    assert length(WINDOWS.of("CART", "us", server_cache=timedelta(0))) == 65


def test_what_the_pod_sets_is_the_whole_window() -> None:
    annotated = WINDOWS.of("CART", "us", annotated=timedelta(seconds=20), server_cache=timedelta(seconds=3))
    assert (length(annotated), annotated.whole_seconds) == (20, 20)
    assert length(WINDOWS.of("CART", "us", annotated=timedelta(0))) == 0


def test_the_settings_give_each_region_and_each_app_its_window() -> None:
    settings = {"regions": {"eu": {"client_fetch": "5s"}}, "apps": {"orders": {"load_balancer": "0s"}}}
    windows = windows_of(WindowSettings.model_validate(settings))
    assert length(windows.of("ORDERS", "eu")) == 35
    assert length(windows.of("CART", "us")) == 95


REGION = {"EUREKA_DRAIN_REGIONS__EU__NODES": "http://eureka-0:8761/eureka"}


def test_a_regions_window_may_come_from_the_environment() -> None:
    window = Sources(environ={**REGION, "EUREKA_DRAIN_WINDOW__REGIONS__EU__CLIENT_FETCH": "5s"}).load().window
    assert window.regions["eu"].client_fetch == timedelta(seconds=5)
    assert window.regions["eu"].server_cache is None


def test_a_window_for_an_unknown_region_is_an_error_that_names_it() -> None:
    with pytest.raises(SettingsError) as error:
        Sources(environ={**REGION, "EUREKA_DRAIN_WINDOW__REGIONS__UE__CLIENT_FETCH": "5s"}).load()
    assert "'ue' is no region of these settings; name it under regions, too" in str(error.value)


@pytest.mark.parametrize("routing", ["DEFAULT_REGIONS", "NAMESPACES__SHOP"])
def test_a_region_that_is_only_routed_to_may_have_a_window(routing: str) -> None:
    environ = {
        **REGION,
        f"EUREKA_DRAIN_ROUTING__{routing}": "us",
        "EUREKA_DRAIN_WINDOW__REGIONS__US__CLIENT_FETCH": "5s",
    }
    assert set(Sources(environ=environ).load().window.regions) == {"us"}


def judged(*, regions: tuple[str, ...] = ("eu",), **annotations: str) -> WorkloadFinding:
    """A pod that waits for 80 s."""
    routing = Routing(cluster="test", known=("eu", "us"), default=regions, namespaces={})
    stay = pod_details(Sleep(80), grace=120, facts={"app_label": "cart", "annotations": annotations})
    (one,) = survey_workloads(by_workload([stay]), WINDOWS, {}, routing)
    return one


def test_doctor_goes_by_the_windows_of_the_regions_that_a_pod_registers_in() -> None:
    assert [length(one.window) for one in (judged(), judged(regions=("us",)), judged(regions=("eu", "us")))] == [
        70,
        125,
        125,
    ]
    assert length(judged(region="us").window) == 125
    assert length(judged(region="*").window) == 125


def test_doctor_uses_the_window_that_a_pod_sets() -> None:
    assert length(judged(window="20s").window) == 20
    assert length(judged(window="never").window) == 70
