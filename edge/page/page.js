"use strict";

// Polls the station and shows what it says. What is old must never look live: see `tick`.

const POLL_MS = 500;
const PICTURE_MS = 200;
const ANSWER_WITHIN_MS = 2000;
const LOST_AFTER_MS = 2500;
const SPEAK_EVERY_MS = 3000;
const HANDS_ON_MS = 4000;

const WORDS = { pass: "PASS", reject: "REJECT", review: "REVIEW" };
const SEVERITY = { pass: 0, review: 1, reject: 2 };
const element = (id) => document.getElementById(id);
const page = {
  status: null,
  shown: null,
  answeredAt: -Infinity,
  answeredWall: null,
  spokenAt: -Infinity,
  spokenNumber: null,
  touchedAt: -Infinity,
  tiles: new Map(),
};

function setText(id, text) {
  const target = element(id);
  if (target.textContent !== text) target.textContent = text;
}

function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function sign(decision) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#sign-${decision}`);
  svg.append(use);
  return svg;
}

const clockTime = (moment) => moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const count = (number) => number.toLocaleString("en").replaceAll(",", "\u202f");
const percent = (share) => `${(share * 100).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;

function ago(seconds) {
  if (seconds < 1.5) return "just now";
  if (seconds < 90) return `${Math.round(seconds)} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  return `${Math.round(seconds / 3600)} h ago`;
}

/* The last verdict */

const spokenLabel = (verdict) => (verdict.decision === "review" && verdict.reason) || verdict.label || "not classified";

function say(decision, word, label, meta, symbol = decision) {
  element("verdict").dataset.decision = decision;
  element("verdict-sign").setAttribute("href", `#sign-${symbol}`);
  setText("verdict-word", word);
  element("verdict-word").classList.toggle("long", word.length > 6);
  setText("verdict-label", label);
  element("verdict-label").classList.toggle("long", label.length > 14);
  setText("verdict-meta", meta);
}

// Of several parts since the last look the worst is shown, so that on a fast line no reject slips by unseen.
function shownVerdict({ started, verdicts }) {
  const newest = verdicts[0];
  if (!newest) return undefined;
  const known = page.shown && page.shown.started === started ? page.shown : null;
  const fresh = known ? verdicts.filter((verdict) => verdict.number > known.newest) : [newest];
  const worst = fresh.reduce((one, other) => (SEVERITY[other.decision] > SEVERITY[one.decision] ? other : one), fresh[0]);
  page.shown = { started, newest: newest.number, verdict: worst || known.verdict };
  return page.shown.verdict;
}

function showVerdict(status) {
  const verdict = shownVerdict(status);
  const age = verdict ? (Date.parse(status.now) - Date.parse(verdict.decided_at)) / 1000 : 0;
  if (isBlind(status)) {
    say("blind", "NO PICTURE", "parts are not inspected", lastKnown(verdict, `, ${ago(age)}`), "none");
  } else if (!verdict) {
    say("none", "WAITING", "for the first part", "\u00a0");
  } else {
    say(verdict.decision, WORDS[verdict.decision], spokenLabel(verdict), `Part ${count(verdict.number)} · ${ago(age)}`);
    speak(verdict);
  }
}

const isBlind = (status) => status.state === "camera lost" || (status.camera.frames > 0 && !status.camera.moving);
const lastKnown = (verdict, rest = "") => verdict ? `Last: part ${count(verdict.number)}, ${verdict.decision}${rest}` : "\u00a0";

function speak(verdict) {
  const now = performance.now();
  if (verdict.number === page.spokenNumber || now - page.spokenAt < SPEAK_EVERY_MS) return;
  page.spokenAt = now;
  page.spokenNumber = verdict.number;
  setText("spoken", `Part ${verdict.number}: ${verdict.decision}, ${spokenLabel(verdict)}`);
}

/* Counts */

function showCounts(parts) {
  setText("count-parts", count(parts.decided));
  setText("count-rate", parts.per_minute === null ? "\u00a0" : `${count(Math.round(parts.per_minute))} / min`);
  for (const decision of ["pass", "reject", "review"]) {
    const share = parts.decided ? parts[decision] / parts.decided : 0;
    setText(`count-${decision}`, count(parts[decision]));
    setText(`share-${decision}`, parts.decided ? percent(share) : "\u2013");
    const segment = document.querySelector(`.shares .${decision}`);
    segment.hidden = share === 0;
    segment.style.flexGrow = share;
  }
  const found = Object.entries(parts.by_label.reject).sort((one, other) => other[1] - one[1]);
  setText("found", found.length ? `Rejected for: ${found.map(([label, number]) => `${label} ${count(number)}`).join(" · ")}` : "Nothing rejected yet");
}

/* Last parts */

function tile(verdict, started) {
  const picture = verdict.picture
    ? make("img", { src: `/api/part/${verdict.number}.jpg?of=${started}`, alt: "", loading: "lazy" })
    : make("span", { class: "blank" }, "no picture");
  const tag = make("span", { class: "tag" }, sign(verdict.decision), verdict.decision);
  const number = make("span", { class: "number" }, count(verdict.number));
  const small = make("small", {}, verdict.label ? verdict.label + (verdict.decision === "review" ? "?" : "") : "no class");
  const button = make("button", { type: "button", "data-decision": verdict.decision, "aria-label": `Part ${verdict.number}, ${verdict.decision}, ${spokenLabel(verdict)}` }, picture, number, tag, small);
  button.addEventListener("click", () => showDetails(verdict, started));
  return make("li", {}, button);
}

function showStrip(status) {
  const strip = element("strip");
  const scrolled = strip.scrollLeft > 24;
  element("newest").hidden = !scrolled;
  // A part must not slip away from under a finger.
  if (scrolled || performance.now() - page.touchedAt < HANDS_ON_MS) return;
  const key = (verdict) => `${status.started}/${verdict.number}`;
  const wanted = new Set(status.verdicts.map(key));
  for (const [name, item] of page.tiles) {
    if (!wanted.has(name)) {
      item.remove();
      page.tiles.delete(name);
    }
  }
  for (const verdict of [...status.verdicts].reverse()) {
    if (page.tiles.has(key(verdict))) continue;
    const item = tile(verdict, status.started);
    page.tiles.set(key(verdict), item);
    strip.prepend(item);
  }
}

/* Details of one part */

function showDetails(verdict, started) {
  const dialog = element("details");
  dialog.dataset.decision = verdict.decision;
  element("details-sign").setAttribute("href", `#sign-${verdict.decision}`);
  setText("details-word", `${WORDS[verdict.decision]} · part ${count(verdict.number)}`);
  const picture = element("details-picture");
  picture.hidden = !verdict.picture;
  if (verdict.picture) picture.src = `/api/part/${verdict.number}.jpg?of=${started}`;
  picture.alt = `Picture of part ${verdict.number}`;
  showBar(verdict);
  const facts = [
    ["Class", verdict.label || "not classified"],
    ["Reason", verdict.reason || "\u2013"],
    ["Looks", String(verdict.views)],
    ["Decided", `${clockTime(new Date(verdict.decided_at))}, ${verdict.latency_ms.toFixed(1)} ms after the gate`],
  ];
  element("details-facts").replaceChildren(...facts.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]));
  if (!dialog.open) dialog.showModal();
}

function showBar(verdict) {
  const { pass, reject } = verdict.limits;
  const short = (number) => number.toFixed(3).replace(/0$/, "");
  const bar = element("bar");
  bar.querySelector(".pass").style.width = `${pass * 100}%`;
  bar.querySelector(".review").style.width = `${(reject - pass) * 100}%`;
  bar.querySelector(".reject").style.width = `${(1 - reject) * 100}%`;
  bar.querySelector(".mark").style.left = `${verdict.score * 100}%`;
  bar.setAttribute("aria-label", `Defect score ${verdict.score}; passes up to ${pass}, rejected from ${reject}`);
  setText("bar-pass", `pass ≤ ${short(pass)}`);
  setText("bar-score", `this part ${short(verdict.score)}`);
  setText("bar-reject", `reject ≥ ${short(reject)}`);
}

/* State of the line */

function showState(status) {
  const { camera, mqtt, model, belt, outbox, parts, ready } = status;
  const dropped = Object.values(camera.dropped).reduce((sum, number) => sum + number, 0);
  const rows = [
    ["Camera", camera.up ? (camera.moving ? "good" : "warn") : "bad", camera.up ? (camera.moving ? "running" : "no frames") : "lost", dropped ? `${camera.per_second.toFixed(0)}/s · ${count(dropped)} skipped` : `${camera.per_second.toFixed(0)} pictures/s`],
    ["Broker", mqtt.wanted ? (mqtt.up ? "good" : "warn") : "off", mqtt.wanted ? (mqtt.up ? "connected" : "not reached") : "off", ""],
    ["Outbox", ...outboxCells(mqtt, outbox)],
    ["Journal", ready.journal ? "bad" : "good", ready.journal ? "not writing" : "writing", ""],
    ["Model", model ? (ready.model ? "bad" : "good") : "bad", model ? model.name : "none", model ? `${model.version} · ${model.hash8}` : ""],
    ["Belt", belt.speed_px_s === null ? "off" : "good", belt.speed_px_s === null ? "unknown" : `${Math.round(belt.speed_px_s)} px/s`, parts.latency_ms === null ? "" : `verdict in ${parts.latency_ms.toFixed(0)} ms`],
  ];
  element("state").replaceChildren(...rows.map(([term, mood, word, more]) =>
    make("div", { class: mood }, make("dt", {}, term), make("dd", {}, word), make("dd", {}, more))));
}

function outboxCells(mqtt, { pending, oldest_s: oldest }) {
  if (!mqtt.wanted) return ["off", "off", ""];
  if (!pending) return ["good", "empty", ""];
  // A verdict or two on the way to the broker is normal; what has waited for seconds is not.
  const isOld = oldest === null || oldest > 3;
  return [isOld ? "warn" : "good", `${count(pending)} waiting`, oldest === null ? "" : `${Math.round(oldest)} s`];
}

/* Banners */

function banners(status) {
  const list = [];
  if (!status.conservation) list.push(["alarm", "Count check failed", "Some part has no verdict, or two. Do not trust this batch; call service."]);
  if (status.state === "camera lost") list.push(["alarm", "Camera lost", "Parts are not inspected. Check its cable and power; Linegate keeps looking for it."]);
  else if (isBlind(status)) list.push(["alarm", "No new pictures", "Parts are not inspected. Check the camera."]);
  if (status.ready.journal && status.uptime_s > 5) list.push(["alarm", "Journal not writing", "Verdicts wait in memory and would be lost on a power cut. Free the disk."]);
  if (status.mqtt.wanted && !status.mqtt.up && status.uptime_s > 5) list.push(["warn", "Broker not reached", "The PLC gets no verdicts now. They are kept here and sent later; none is lost."]);
  if (status.state === "stopping") list.push(["warn", "Stopping", "The station is being shut down."]);
  if (status.simulated) list.push(["simulated", "Simulation", "Pictures come from a simulator or a recording. Nothing real is inspected."]);
  return list;
}

function showBanners(list) {
  const box = element("banners");
  const text = JSON.stringify(list);
  if (box.dataset.shown === text) return;
  box.dataset.shown = text;
  box.replaceChildren(...list.map(([kind, word, rest]) => make("p", { class: `banner ${kind}` }, make("b", {}, word), make("span", {}, rest))));
}

/* The beat of the page */

function show(status) {
  page.status = status;
  const { site, line, station, recipe } = status.station;
  if (element("where").dataset.shown !== JSON.stringify(status.station)) {
    element("where").dataset.shown = JSON.stringify(status.station);
    element("where").replaceChildren(`${site} / ${line} / `, make("b", {}, station), ` · ${recipe}`);
    document.title = `${station} · Linegate`;
  }
  setText("clock", clockTime(new Date(status.now)));
  showVerdict(status);
  showCounts(status.parts);
  showStrip(status);
  showState(status);
}

async function asked(path, read) {
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    return answer.ok ? await read(answer) : null;
  } catch {
    return null; // No answer, or half of one. `tick` tells when it has been too long.
  }
}

async function poll() {
  const status = await asked("/api/status", (answer) => answer.json());
  setTimeout(poll, POLL_MS);
  if (status !== null) {
    page.answeredAt = performance.now();
    page.answeredWall = new Date();
    show(status);
  }
  tick();
}

async function pollPicture() {
  const bitmap = document.hidden ? null : await asked("/api/picture.jpg", async (answer) => createImageBitmap(await answer.blob()));
  setTimeout(pollPicture, PICTURE_MS);
  if (bitmap !== null) draw(bitmap);
}

function draw(bitmap) {
  const canvas = element("picture");
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) {
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
  }
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
}

// Runs whether or not the station answers: it takes the life out of old figures.
function tick() {
  const now = performance.now();
  const isLost = now - page.answeredAt > LOST_AFTER_MS && now > LOST_AFTER_MS;
  const link = isLost ? "lost" : page.status ? "live" : "connecting";
  document.documentElement.dataset.link = link;
  setText("link-word", { live: "live", lost: "no connection", connecting: "connecting" }[link]);
  showPictureState(isLost);
  if (isLost) {
    const since = page.answeredWall ? `since ${clockTime(page.answeredWall)}. All figures below are old.` : "yet. Is Linegate running?";
    showBanners([["alarm", "No connection", `to the station ${since}`]]);
    say("none", "NO DATA", "no connection to the station", lastKnown(page.status && page.status.verdicts[0]));
  } else if (page.status) {
    showBanners(banners(page.status));
  }
}

function showPictureState(isLost) {
  const camera = page.status && page.status.camera;
  if (!camera || !camera.frames) return;
  const isOld = isLost || isBlind(page.status);
  element("live").dataset.state = isOld ? "stale" : "live";
  if (isOld) setText("picture-note", isLost ? "Old picture: no connection" : `Old picture: nothing new for ${Math.round(camera.age_s)} s`);
}

element("strip").addEventListener("pointerdown", () => { page.touchedAt = performance.now(); });
element("newest").addEventListener("click", () => {
  page.touchedAt = -Infinity;
  element("strip").scrollTo({ left: 0 });
});
element("details-close").addEventListener("click", () => element("details").close());
element("details").addEventListener("click", (event) => {
  if (event.target === element("details")) element("details").close();
});
setInterval(tick, 250);
poll();
pollPicture();
