"""For readers who cannot see the colours, or the page: names, headings, tables, and contrasts that are computed."""

import pytest

from controller.domain.events import Outcome
from controller.domain.replay_plan import ReplayAction
from tests.page.scene import Scene

LEAST_CONTRAST = 4.5

STRUCTURE = """() => {
  const visible = (one) => one.checkVisibility();
  const all = (selector) => [...document.querySelectorAll(selector)];
  const named = (one) => one.getAttribute("aria-label") || one.textContent.trim();
  const ids = all("[id]").map((one) => one.id);
  const problems = [];
  const wrong = (what, found) => found.forEach((one) => problems.push(`${what}: ${one.outerHTML.slice(0, 120)}`));
  if (document.documentElement.lang !== "en") problems.push("no language");
  if (!document.title.trim()) problems.push("no title");
  if (all("h1").length !== 1) problems.push(`${all("h1").length} first headings`);
  const levels = all("h1, h2, h3, h4").map((one) => Number(one.tagName[1]));
  const skips = levels.filter((level, place) => place && level > levels[place - 1] + 1);
  if (skips.length) problems.push(`headings that skip a level: ${skips}`);
  for (const landmark of ["main", "header", "footer"]) if (!document.querySelector(landmark)) problems.push(landmark);
  wrong("not labelled", all("input:not([type=hidden]), select, textarea").filter((one) => !one.labels.length));
  wrong("without a name", all("a[href], button, summary").filter((one) => !named(one)));
  wrong("a table without a caption", all("table").filter((one) => !one.caption));
  wrong("a heading of nothing", all("th").filter((one) => !one.scope));
  wrong("a picture without a name", all("svg").filter((one) => !one.getAttribute("aria-labelledby")));
  wrong("a style of its own", all("[style]"));
  wrong("an id twice", all("[id]").filter((one) => ids.indexOf(one.id) !== ids.lastIndexOf(one.id)));
  wrong("no machine's time", all("time").filter((one) => Number.isNaN(Date.parse(one.dateTime))));
  wrong("a navigation without a name", all("nav").filter((one) => !one.getAttribute("aria-label")));
  wrong("a state without a sign or a word",
    all(".state").filter((one) => visible(one) && one.textContent.trim().split(/\\s+/).length < 2));
  return problems;
}"""

CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [x, y, z] = [r, g, b].map((one) => linear(one / 255));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const color = rgba(getComputedStyle(at).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const words = [...one.childNodes].filter((node) => node.nodeType === 3 && node.textContent.trim());
    const unseen = one.closest(".unseen, .skip, title, desc, script, noscript");
    if (!words.length || !one.checkVisibility() || unseen) continue;
    const style = getComputedStyle(one);
    const [front, back] = [rgba(one instanceof SVGElement ? style.fill : style.color), behind(one)].map(light);
    const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    found.push([contrast, `${one.tagName}.${one.getAttribute("class")}: ${words[0].textContent.trim().slice(0, 40)}`]);
  }
  return found;
}"""

EVERY_STATE = """(names) => {
  for (const under of ["main", ".filters", ".notice", "table.drains tbody tr:not(.group) td"]) {
    const place = document.querySelector(under);
    for (const name of place ? names : []) {
      const state = document.createElement("span");
      state.className = `state ${name}`;
      state.textContent = `x ${name}`;
      place.append(state);
    }
  }
}"""


async def pages(scene: Scene) -> dict[str, str]:
    """Every kind of page, and where it is."""
    return {
        "drains": "/",
        "a wrong filter": "/?pod=x",
        "nothing found": "/?app=nobody",
        "a drain": f"/drains/{await scene.drain_id('orders-gone')}",
        "a refused drain": f"/drains/{await scene.drain_id('markup-annotated')}",
        "dead letters": "/dead",
        "sweep": "/sweep",
        "replay": "/replays?app=orders",
        "sign in": "/sign-in",
    }


async def test_every_page_has_names_headings_labels_and_captions(scene: Scene) -> None:
    async with scene.reader() as reader:
        for what, path in (await pages(scene)).items():
            await reader.page.goto(path)
            assert await reader.page.evaluate(STRUCTURE) == [], what
        await reader.page.goto("/replays?app=orders")
        await reader.page.get_by_role("button", name="Show the plan").click()
        await reader.page.locator("#plan").wait_for()
        assert await reader.page.evaluate(STRUCTURE) == [], "a plan"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read_in_both_schemes(scene: Scene, scheme: str) -> None:
    states = [*(str(one) for one in Outcome), *(one.name for one in ReplayAction)]
    async with scene.reader(color_scheme=scheme) as reader:
        for what, path in (await pages(scene)).items():
            await reader.page.goto(path)
            await reader.page.evaluate(EVERY_STATE, states)
            found = await reader.page.evaluate(CONTRASTS)
            assert len(found) > 5, what
            assert [text for contrast, text in found if contrast < LEAST_CONTRAST] == [], what
        back = await reader.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (back == "rgb(255, 255, 255)") == (scheme == "light")
