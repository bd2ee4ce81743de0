"""What a tired person does with the page: sign in, see what happened, find out why, do it again."""

import asyncio
import re
from functools import partial
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.page.scene import HOSTILE, OPERATOR, PHONE, VIEWER, Scene
from tests.stack.controller_process import ControllerProcess
from tests.stack.waiting import until

UNAUTHORIZED = "status of 401"
NOT_FOUND = "status of 404"
FORBIDDEN = "status of 403"
DISCONNECTED = "net::ERR"


def row(page: Page, pod: str) -> str:
    """The pod's row in the table of drains."""
    return f'table.drains tbody tr:has(th a:text-is("{pod}"))'


async def test_an_unknown_reader_signs_in_and_reaches_the_wanted_page(scene: Scene) -> None:
    async with scene.reader(None, tolerated=[UNAUTHORIZED]) as reader:
        page = reader.page
        answer = await page.goto("/?state=refused")
        assert answer is not None
        assert answer.status == 401
        await page.get_by_label("Token").fill("wrong-wrong-wrong-wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("not valid")
        await page.get_by_label("Token").fill(OPERATOR)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Drains", exact=True)).to_be_visible()
        assert page.url == f"{scene.url}/?state=refused"
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_what_happened_and_what_did_not_is_seen_at_once(scene: Scene) -> None:
    async with scene.reader() as reader:
        page = reader.page
        await page.goto("/")
        assert await reader.texts("tr.group") == ["Needs attention 1", "Done 2"]
        assert (await reader.texts(".summary li"))[:2] == ["✗ Needs attention: 1", "✓ Done: 2"]
        refused = await reader.texts(row(page, f"{scene.namespace}/markup-annotated"))
        assert "! refused" in refused[0]
        assert "eureka.drain/retention" in refused[0], "the reason stands beside it"
        [region] = await reader.texts("table.regions tbody tr")
        assert scene.region in region
        assert "2 of 2" in region
        await expect(page.locator("#live")).to_have_text("Live.")


async def test_filters_are_in_the_address_and_a_wrong_one_is_named(scene: Scene) -> None:
    async with scene.reader() as reader:
        page = reader.page
        await page.goto("/")
        await page.get_by_label("App", exact=True).fill("orders")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{scene.url}/?app=orders")
        assert await reader.texts("table.drains tbody tr:not(.group) th") == [f"{scene.namespace}/orders-gone"]
        await page.locator(".chips a", has_text="out of service").click()
        await page.wait_for_url(f"{scene.url}/?app=orders&state=out_of_service")
        assert await page.get_by_label("App", exact=True).input_value() == "orders"
        await page.get_by_label("Pod").fill("no-namespace")
        await page.get_by_role("button", name="Filter").click()
        await expect(page.get_by_role("alert")).to_contain_text("'no-namespace' is not NAMESPACE/NAME")
        assert "state=out_of_service" in page.url
        await page.get_by_role("link", name="Clear").click()
        await page.wait_for_url(f"{scene.url}/")
        await page.goto("/?app=nobody&since=30m")
        empty = page.locator(".empty")
        await expect(empty).to_contain_text("No drains that fit these filters since")
        await empty.get_by_role("link", name="the last 7 days").click()
        await page.wait_for_url(re.compile(r"since=7d"))
        assert "app=nobody" in page.url


async def both_are_out(nodes: Locator) -> bool:
    """Each look loads the page anew: a node that is busy may not have answered in time."""
    shown = await nodes.all_inner_texts()
    if not all("out" in one for one in shown):
        await nodes.page.reload()
        return False
    return True


async def test_one_drain_is_a_picture_and_a_table_with_each_nodes_answer(scene: Scene) -> None:
    async with scene.reader() as reader:
        page = reader.page
        await page.goto("/?app=orders")
        await page.get_by_role("link", name=f"{scene.namespace}/orders-gone").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(f"Drain of {scene.namespace}/orders-gone")
        picture = page.get_by_role("img", name="The drain of")
        await expect(picture).to_be_visible()
        labels = await reader.texts("svg.picture text.label")
        steps = [re.sub(r"^\d+\. (.*?) [+−].*$", r"\1", label) for label in labels]
        assert set(steps) >= {"pod began to go", "published", "consumed", "out of service"}
        rows = await reader.texts("section[aria-labelledby=timeline-title] tbody th")
        assert len(rows) == len(labels), "what is drawn can also be read"
        nodes = page.locator("ul.nodes li")
        assert await nodes.count() == 2
        await until(partial(both_are_out, nodes), "both nodes' answers on the page", interval=1)
        drain_id = page.url.rpartition("/")[2]
        await expect(page.locator("main")).to_contain_text(f"eureka-drain show {drain_id}")
        await page.get_by_role("link", name="Plan a replay of this drain").click()
        assert await page.get_by_label("Drain id").input_value() == drain_id


async def test_a_pods_shutdown_is_seen_in_the_list_and_on_its_page(scene: Scene) -> None:
    async with scene.reader() as reader:
        page = reader.page
        await page.goto("/?app=orders")
        name = f"{scene.namespace}/orders-gone"
        shutdown = page.locator(f'{row(page, name)} td[data-label="Shutdown"]')
        await expect(shutdown).to_contain_text(re.compile(r"not graceful, \d+ s short"))
        await expect(shutdown).to_contain_text("it was deleted by force, without a grace period")
        await page.get_by_role("link", name=name).click()
        facts = page.locator("dl.facts")
        await expect(facts).to_contain_text(re.compile(r"not graceful, \d+ s short"))
        await expect(facts).to_contain_text("it was deleted by force, without a grace period")
        await expect(facts).to_contain_text("pod orders-gone")
        moments = await reader.texts("section[aria-labelledby=timeline-title] tbody th")
        assert "ended serving" in moments


async def test_times_are_the_readers_with_utc_beside(scene: Scene) -> None:
    async with scene.reader() as reader:
        page = reader.page
        await page.goto("/?app=orders")
        listed = page.locator("table.drains time").first
        at = await listed.get_attribute("datetime")
        assert at is not None
        [local] = await page.evaluate(
            "at => [new Date(at).toLocaleTimeString('en-GB', {timeZone: 'Asia/Kolkata'})]", at
        )
        text = " ".join((await listed.inner_text()).split())
        assert text.endswith(local), "a list has each time once"
        assert f"{at[11:19]} UTC" in str(await listed.get_attribute("title"))
        await page.locator("table.drains tbody th a").first.click()
        shown = page.locator(f"time[datetime='{at}']").first
        text = " ".join((await shown.inner_text()).split())
        assert re.search(rf"{local} .*{at[11:19]} UTC$", text), (text, local, at)


async def test_a_row_appears_by_itself_and_the_focus_is_kept(scene: Scene) -> None:
    name = "orders-live"
    async with scene.reader() as reader:
        page = reader.page
        subject = await scene.population.add(name, "orders")
        await page.goto("/")
        await expect(page.locator("#live")).to_have_text("Live.")
        await page.evaluate("window.unchanged = true")
        link = page.get_by_role("link", name=f"{scene.namespace}/orders-gone")
        await link.focus()
        await scene.population.delete(subject, outright=True)
        appeared = page.locator(row(page, f"{scene.namespace}/{name}"))
        await expect(appeared).to_be_visible()
        # Registered just now, it is found when the registry's response cache has it.
        await expect(appeared).to_contain_text("out of service")
        assert await page.evaluate("window.unchanged") is True, "nothing was loaded anew"
        assert await page.evaluate("document.activeElement.textContent") == f"{scene.namespace}/orders-gone"
        await expect(page.locator("#announcement")).to_contain_text("Updated. Needs attention: 1.")


async def test_markup_from_outside_is_only_text(scene: Scene) -> None:
    await scene.send_nonsense(b'{"version": 1, "drain_id": "<script>window.hacked=1</script>"}')
    await until(lambda: _dead(scene), "the dead letter", timeout=60)
    async with scene.reader(tolerated=[NOT_FOUND]) as reader:
        page = reader.page
        await page.goto("/")
        annotated = page.locator(row(page, f"{scene.namespace}/markup-annotated"))
        await expect(annotated).to_contain_text(HOSTILE[:20])
        registered = page.locator(row(page, f"{scene.namespace}/markup-registered"))
        await expect(registered).to_contain_text(HOSTILE.upper())
        await registered.get_by_role("link").click()
        await expect(page.locator("main")).to_contain_text(HOSTILE)
        for path in ("/dead", "/replays", f"/?app={HOSTILE}", f"/?pod={HOSTILE}", f"/replays?id={HOSTILE}"):
            await page.goto(path)
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await page.goto(f"/drains/{HOSTILE}")
        await expect(page.get_by_role("heading", level=1)).to_have_text("There is no such thing")
        await page.goto("/replays")
        await page.get_by_label("Pod").fill(f"{scene.namespace}/markup-*")
        await page.get_by_label("Reason (kept in the event log)").fill(HOSTILE)
        await page.get_by_role("button", name="Show the plan").click()
        await expect(page.locator("#plan")).to_contain_text("refused")
        assert await page.locator("img").count() == 0


async def _dead(scene: Scene) -> bool:
    regions = (await scene.api("/api/v1/regions"))["regions"]
    return any(one["region"] == scene.region and one["dead_letters"] for one in regions)


async def test_dead_letters_are_grouped_by_their_reasons_with_what_to_run(scene: Scene) -> None:
    for number in range(2):
        await scene.send_nonsense(b'{"nonsense": %d}' % number)
    async with scene.reader() as reader:
        page = reader.page

        async def are_shown() -> bool:
            await page.goto("/dead")
            return sum(map(int, re.findall(r"(\d+) dead letters?", await page.inner_text("main")))) >= 2

        await until(are_shown, "two dead letters on the page", timeout=60, interval=1)
        await expect(page.locator("section.dead h2").first).to_contain_text(f"in region {scene.region}")
        # None of them is ours: nothing can send them again.
        await expect(page.locator("main")).to_contain_text(f"eureka-drain dead drop --region {scene.region} --id")
        await expect(page.locator("main")).not_to_contain_text("eureka-drain dead requeue")


async def test_a_replay_goes_from_the_plan_to_its_outcome(scene: Scene) -> None:
    # Of another app: of few instances, a drain by hand may take out only one in a minute.
    await scene.population.add("bills-alive", "bills")
    subject = await scene.drained("bills-gone", "bills")
    await scene.put_back(subject)
    assert await scene.eureka.statuses(subject.app, subject.instance_id) == ["UP", "UP"]
    async with scene.reader() as reader:
        page = reader.page
        await page.goto("/?app=bills")
        watching = await reader.context.new_page()
        await watching.goto(f"/drains/{await scene.drain_id('bills-gone')}")
        await watching.evaluate("window.unchanged = true")
        await page.get_by_role("link", name="Replay these…").click()
        assert await page.get_by_role("button", name=re.compile("Drain these")).count() == 0
        await page.get_by_label("Reason (kept in the event log)").fill("INC-4711: lifted by mistake")
        await page.get_by_role("button", name="Show the plan").click()
        await expect(page.locator("#plan-title")).to_have_text("The plan: 1 of 1 would be drained")
        assert "▶ would drain" in (await reader.texts("#plan tbody tr"))[0]
        assert await scene.eureka.statuses(subject.app, subject.instance_id) == ["UP", "UP"], "a plan changes nothing"
        await page.get_by_role("button", name="Drain these 1").click()
        await page.wait_for_url(re.compile("/replays/[0-9a-f]+$"))
        await expect(page.locator("main .notice strong")).to_contain_text("Over: every one is out of service")
        assert await page.get_by_label("Outcomes").evaluate("bar => [bar.value, bar.max]") == [1, 1]
        assert "out of service" in (await reader.texts("main tbody tr"))[0]
        await expect(page.locator("main")).to_contain_text("INC-4711: lifted by mistake")
        assert await page.get_by_role("button", name="Stop sending").count() == 0
        statuses = await scene.eureka.statuses(subject.app, subject.instance_id)
        assert statuses == ["OUT_OF_SERVICE", "OUT_OF_SERVICE"]
        await expect(watching.locator("section[aria-labelledby=timeline-title]")).to_contain_text("by operator token")
        assert await watching.evaluate("window.unchanged") is True, "the drain's own page followed"


async def test_a_replay_under_way_can_be_stopped_and_reports_what_was_not_sent(scene: Scene) -> None:
    await scene.population.add("files-alive", "files")
    subjects = await asyncio.gather(*(scene.drained(f"files-gone-{number}", "files") for number in range(2)))
    for subject in subjects:
        await scene.put_back(subject)
    async with scene.reader() as reader, scene.reader(java_script_enabled=False) as plain:
        page = reader.page
        await page.goto(f"/replays?pod={scene.namespace}/files-gone-*")
        await page.get_by_label("Drains a second").fill("0.01")
        await page.get_by_role("button", name="Show the plan").click()
        await page.get_by_role("button", name="Drain these 2").click()
        await expect(page.locator("main .notice strong")).to_contain_text("Running")
        await expect(page.locator("main tbody")).to_contain_text("not sent yet")
        await expect(page.get_by_label("Outcomes")).to_have_js_property("value", 1)
        assert await page.get_by_label("Sent").evaluate("bar => [bar.value, bar.max]") == [1, 2]
        await plain.page.goto(page.url)
        assert await plain.page.locator('meta[http-equiv="refresh"]').count() == 1, (
            "without a script it loads itself anew"
        )
        await page.get_by_role("button", name="Stop sending").click()
        await expect(page.locator("main .notice strong")).to_contain_text("Stopped by hand")
        await expect(page.locator("main .notice")).to_contain_text("1 was not sent: nothing was done there.")
        shown = [await scene.eureka.statuses(one.app, one.instance_id) for one in subjects]
        assert sorted(shown) == [["OUT_OF_SERVICE"] * 2, ["UP"] * 2]


async def test_nothing_is_replayed_without_a_filter_or_without_anything_to_drain(scene: Scene) -> None:
    async with scene.reader() as reader:
        page = reader.page
        await page.goto("/replays")
        await page.get_by_role("button", name="Show the plan").click()
        await expect(page.get_by_role("alert")).to_contain_text("choose something")
        await page.get_by_label("Pod").fill(f"{scene.namespace}/orders-gone")
        await page.get_by_role("button", name="Show the plan").click()
        await expect(page.locator("#plan")).to_contain_text("Nothing to drain.")
        assert "already out of service" in (await reader.texts("#plan tbody tr"))[0]
        assert await page.get_by_role("button", name=re.compile("Drain these")).count() == 0


async def test_a_viewer_sees_everything_and_can_do_nothing(scene: Scene) -> None:
    async with scene.reader(VIEWER, tolerated=[FORBIDDEN]) as reader:
        page = reader.page
        await page.goto("/")
        await expect(page.locator("table.drains")).to_be_visible()
        await page.goto("/replays?app=orders")
        await expect(page.locator("main")).to_contain_text("You may read, but not replay.")
        assert await page.locator("main button").count() == 0
        answer = await page.evaluate(
            "fetch('/replays', {method: 'POST', body: new URLSearchParams()}).then(a => a.status)"
        )
        assert answer == 403


async def test_the_page_reads_and_filters_without_a_script(scene: Scene) -> None:
    async with scene.reader(java_script_enabled=False) as reader:
        page = reader.page
        await page.goto("/")
        assert await reader.texts("tr.group")
        await expect(page.locator("table.drains time").first).to_contain_text(re.compile(r"^\d{4}-.* UTC$"))
        await page.get_by_label("App", exact=True).fill("orders")
        await page.get_by_role("button", name="Filter").click()
        assert "app=orders" in page.url
        await page.get_by_role("link", name="Refresh").click()
        assert "app=orders" in page.url
        await page.get_by_role("link", name=f"{scene.namespace}/orders-gone").click()
        await expect(page.locator("svg.picture")).to_be_visible()
        await page.get_by_role("link", name="Plan a replay of this drain").click()
        await page.get_by_role("button", name="Show the plan").click()
        await expect(page.locator("#plan")).to_contain_text("already out of service")


async def test_a_lost_connection_is_shown_and_restored_by_itself(scene: Scene, tmp_path: Path) -> None:
    ops = ControllerProcess(
        "ops",
        log=tmp_path / "ops.log",
        broker=scene.broker_url,
        regions={scene.region: scene.eureka.urls},
        kubeconfig=scene.cluster.kubeconfig,
        settings={"ops.operator_token": OPERATOR, "watch.cluster": scene.region},
    )
    await ops.start()
    try:
        async with scene.reader(url=ops.url, tolerated=[DISCONNECTED, UNAUTHORIZED]) as reader:
            page = reader.page
            await page.goto("/")
            await expect(page.locator("#live")).to_have_text("Live.")
            await expect(page.locator("#lost")).to_be_hidden()
            await ops.stop()
            await expect(page.locator("#lost")).to_contain_text(
                re.compile(r"Connection lost\. Showing what was known at .*\d\d:\d\d:\d\d.*; trying again\.")
            )
            await expect(page.locator("#live")).to_have_text("Not connected.")
            await expect(page.locator("table.drains")).to_be_visible()
            await ops.start()
            # The sessions were in the process that ended.
            await page.wait_for_url(re.compile("/sign-in"))
            await page.get_by_label("Token").fill(OPERATOR)
            await page.keyboard.press("Enter")
            await expect(page.locator("#live")).to_have_text("Live.")
            await reader.context.set_offline(True)
            await expect(page.locator("#lost")).to_be_visible()
            await reader.context.set_offline(False)
            await expect(page.locator("#lost")).to_be_hidden()
    finally:
        await ops.stop()


async def test_a_session_that_has_ended_leads_to_the_sign_in_and_back(scene: Scene) -> None:
    async with scene.reader(tolerated=[UNAUTHORIZED]) as reader:
        page = reader.page
        await page.goto("/?app=orders")
        await expect(page.locator("#live")).to_have_text("Live.")
        await reader.context.clear_cookies()
        await page.wait_for_url(re.compile("/sign-in"))
        await page.get_by_label("Token").fill(OPERATOR)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{scene.url}/?app=orders")


async def test_everything_is_within_reach_of_the_keyboard(scene: Scene) -> None:
    async with scene.reader() as reader:
        page = reader.page
        await page.goto("/")
        await page.keyboard.press("Tab")
        assert await _focused(page) == "Skip to the content"
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.keyboard.press("/")
        assert await page.evaluate("document.activeElement.id") == "pod"
        await page.keyboard.type(f"{scene.namespace}/orders-g*")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile("pod="))
        await _tab_to(page, f"{scene.namespace}/orders-gone")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", "it is seen where the focus is"
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("orders-gone")
        await _tab_to(page, "Plan a replay of this drain")
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile("/replays"))
        await _tab_to(page, "Show the plan")
        await page.keyboard.press("Enter")
        await expect(page.locator("#plan")).to_be_visible()


async def _tab_to(page: Page, text: str) -> None:
    for _ in range(60):
        await page.keyboard.press("Tab")
        if await _focused(page) == text:
            return
    raise AssertionError(f"Tab does not lead to {text}")


async def _focused(page: Page) -> str:
    return " ".join((await page.evaluate("document.activeElement.textContent")).split())


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
async def test_nothing_is_wider_than_a_phone(scene: Scene, zone: str) -> None:
    # At any hour, in one of these it is another day than in UTC, and then both dates are shown.
    async with scene.reader(viewport=PHONE, is_mobile=True, has_touch=True, timezone_id=zone) as reader:
        page = reader.page
        for path in ("/", "/dead", "/replays", f"/drains/{await scene.drain_id('orders-gone')}"):
            await page.goto(path)
            wider = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, path
            small = await page.evaluate(
                "[...document.querySelectorAll('main button, main summary, .chips a')].filter(one => one.offsetParent"
                " && one.getBoundingClientRect().height < 40).map(one => one.textContent)"
            )
            assert small == [], "a finger finds it"
