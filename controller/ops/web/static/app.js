// Keeps a page fresh, and shows times in the reader's zone. Without it the page is complete, and refreshed by hand.
//
// Order: the times are rewritten; where the page has live parts ([data-live]), the server's events are listened to; an
// event, or the time that a part names (data-every), makes the page ask for itself with fragment=1 and exchange these
// parts. Only what the server rendered, and so escaped, becomes markup; an event's content never does.
"use strict";

const EVENTS = "/api/v1/events?ends=1";
const GATHER_INTERVAL = 400; // milliseconds in which several events are one
const RETRY_INTERVAL = 3000; // milliseconds before the next try when the connection is lost
const ANSWER_TIMEOUT = 25000; // milliseconds for one answer
const LISTENING = "Live.";

const byId = (id) => document.getElementById(id);
const pad = (number, size = 2) => String(number).padStart(size, "0");

// --- times

function parts(at, get) {
  const date = `${get(at, "FullYear")}-${pad(get(at, "Month") + 1)}-${pad(get(at, "Date"))}`;
  const clock = `${pad(get(at, "Hours"))}:${pad(get(at, "Minutes"))}:${pad(get(at, "Seconds"))}`;
  return { date, clock };
}
const inZone = (at) => parts(at, (one, name) => one[`get${name}`]());
const inUtc = (at) => parts(at, (one, name) => one[`getUTC${name}`]());

function localise(time) {
  const at = new Date(time.dateTime);
  if (Number.isNaN(at.getTime())) return;
  const fraction = time.hasAttribute("data-precise") ? `.${pad(at.getUTCMilliseconds(), 3)}` : "";
  const [here, utc, today] = [inZone(at), inUtc(at), inZone(new Date())];
  const isUtc = at.getTimezoneOffset() === 0;
  const day = here.date === today.date ? "" : `${here.date} `;
  const beside = document.createElement("span");
  beside.className = "utc";
  beside.textContent = isUtc ? "UTC" : `${utc.date === here.date ? "" : `${utc.date} `}${utc.clock} UTC`;
  time.title = `${here.date} ${here.clock}${fraction} here, ${utc.date} ${utc.clock}${fraction} UTC`;
  time.replaceChildren(`${day}${here.clock}${fraction} `, beside);
}

function localiseAll(root) {
  for (const time of root.querySelectorAll("time[datetime]")) localise(time);
}

function setTime(time, at) {
  time.dateTime = at.toISOString();
  localise(time);
}

// --- live parts

const live = () => [...document.querySelectorAll("[data-live]")];
let known = new Date(); // when what is shown was so
let timer = 0;
let due = Infinity;
let busy = false;
let leaving = false;
let listening = false;
let source = null;

function ask(milliseconds) {
  const at = Date.now() + milliseconds;
  if (at >= due) return;
  clearTimeout(timer);
  due = at;
  timer = setTimeout(refresh, milliseconds);
}

async function refresh() {
  due = Infinity;
  // What nobody looks at is fetched when somebody does.
  if (leaving || document.hidden) return;
  if (busy) return ask(GATHER_INTERVAL);
  busy = true;
  try {
    const address = new URL(location.href);
    address.searchParams.set("fragment", "1");
    address.hash = "";
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT);
    const answer = await fetch(address, { credentials: "same-origin", cache: "no-store", signal });
    if (answer.status === 401) return signIn();
    if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
    const text = await answer.text();
    byId("lost").hidden = true;
    if (isReading()) return ask(RETRY_INTERVAL);
    exchange(new DOMParser().parseFromString(text, "text/html"));
    found();
  } catch (error) {
    if (!leaving) lose(error);
  } finally {
    busy = false;
  }
}

function signIn() {
  leaving = true;
  location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
}

// Somebody who marks a name to copy it would lose it.
function isReading() {
  const marked = document.getSelection();
  return !marked.isCollapsed && live().some((part) => part.contains(marked.anchorNode));
}

function exchange(answer) {
  const focus = focusIn();
  const opened = [...document.querySelectorAll("[data-live] details")].map((one) => one.open);
  const anchor = anchorOf();
  let summary = "";
  for (const part of live()) {
    const next = [...answer.querySelectorAll("[data-live]")].find((one) => one.dataset.live === part.dataset.live);
    if (!next) continue;
    if (next.dataset.summary && next.dataset.summary !== part.dataset.summary) summary = next.dataset.summary;
    const fresh = document.importNode(next, true);
    localiseAll(fresh);
    part.replaceWith(fresh);
  }
  document.querySelectorAll("[data-live] details").forEach((one, place) => {
    if (place in opened) one.open = opened[place];
  });
  if (focus) focus();
  if (anchor) anchor();
  if (summary) byId("announcement").textContent = `Updated. ${summary}`;
}

const keyOf = (element) => element.id || element.getAttribute("href") || element.getAttribute("name") || element.tagName;
const FOCUSABLE = "a[href], button, input, summary, [tabindex]";

function focusIn() {
  const part = live().find((one) => one.contains(document.activeElement));
  if (!part) return null;
  const [name, key] = [part.dataset.live, keyOf(document.activeElement)];
  const alike = [...part.querySelectorAll(FOCUSABLE)].filter((one) => keyOf(one) === key);
  const place = alike.indexOf(document.activeElement);
  return () => {
    const next = live().find((one) => one.dataset.live === name);
    if (!next) return;
    const again = [...next.querySelectorAll(FOCUSABLE)].filter((one) => keyOf(one) === key);
    const wanted = again[Math.min(place, again.length - 1)];
    if (wanted) return wanted.focus({ preventScroll: true });
    // It is gone: whoever goes on with Tab goes on from here, not from the top.
    next.tabIndex = -1;
    next.focus({ preventScroll: true });
  };
}

// The row that is being looked at stays where it is when rows come above it.
function anchorOf() {
  if (window.scrollY === 0) return null;
  const rows = [...document.querySelectorAll("[data-key]")];
  const row = rows.find((one) => one.getBoundingClientRect().top >= 0);
  if (!row) return null;
  const [key, top] = [row.dataset.key, row.getBoundingClientRect().top];
  return () => {
    const again = [...document.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
    if (again) window.scrollBy(0, again.getBoundingClientRect().top - top);
  };
}

function found() {
  known = new Date();
  showStatus();
  const every = live().map((part) => Number(part.dataset.every || 0)).filter((seconds) => seconds > 0);
  if (every.length) ask(Math.min(...every) * 1000);
}

function lose(error) {
  const banner = byId("lost");
  if (banner.hidden) {
    const title = document.createElement("strong");
    title.textContent = "Connection lost.";
    const time = document.createElement("time");
    setTime(time, known);
    const why = document.createElement("span");
    why.className = "reason";
    banner.replaceChildren(title, " Showing what was known at ", time, "; trying again. ", why);
    banner.hidden = false;
  }
  const answered = String(error.message).startsWith("the server");
  banner.querySelector(".reason").textContent = answered ? `(${error.message})` : "";
  showStatus();
  ask(RETRY_INTERVAL);
}

function showStatus() {
  const state = byId("live");
  if (!state) return;
  state.textContent = !byId("lost").hidden ? "Not connected." : listening ? LISTENING : "Connecting…";
  setTime(byId("known"), known);
}

function listen() {
  if (leaving) return;
  source = new EventSource(EVENTS);
  source.onopen = () => {
    listening = true;
    showStatus();
    ask(0); // what happened since the page was made, or while nobody listened
  };
  for (const kind of ["drain", "end"]) {
    source.addEventListener(kind, (event) => {
      if (concerns(event)) ask(GATHER_INTERVAL);
    });
  }
  source.onerror = () => {
    if (leaving) return;
    listening = false;
    showStatus();
    ask(0); // finds out whether it is the network, the server, or a session that has ended
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, RETRY_INTERVAL);
  };
}

function concerns(event) {
  const [drain] = live().filter((part) => part.dataset.drain);
  if (!drain) return true;
  try {
    const data = JSON.parse(event.data);
    return (data.drain_ids ?? [data.drain_id]).includes(drain.dataset.drain);
  } catch {
    return true;
  }
}

function begin() {
  if (!live().length) return;
  showStatus();
  found();
  listen();
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) ask(0);
  });
  window.addEventListener("offline", () => ask(0));
  window.addEventListener("online", () => ask(0));
}

window.addEventListener("pagehide", () => {
  leaving = true;
  if (source) source.close();
});
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

// --- keys and forms

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, select, textarea")) return;
  const first = document.querySelector("[data-first]");
  if (!first) return;
  event.preventDefault();
  const folded = first.closest("details");
  if (folded) folded.open = true;
  first.focus();
  first.select();
});

document.addEventListener("formdata", (event) => {
  // An address says what was asked for, and no more.
  if (event.target.method !== "get") return;
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  const notice = form.querySelector(".busy");
  if (!notice) return;
  // A plan takes its time: a second press must not ask for a second one.
  if (form.getAttribute("aria-busy") === "true") return event.preventDefault();
  form.setAttribute("aria-busy", "true");
  notice.hidden = false;
});

document.documentElement.classList.add("has-script");
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
if (new Date().getTimezoneOffset() !== 0) {
  byId("zone").textContent = `Times are those of ${zone || "your zone"}; UTC is beside them, or in a list where you point at one.`;
}
// On a phone an empty filter would stand between the regions and the drains.
if (matchMedia("(max-width: 48rem)").matches) {
  for (const folded of document.querySelectorAll("details[data-fold]")) folded.open = false;
}
localiseAll(document);
begin();
