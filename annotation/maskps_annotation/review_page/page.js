"use strict";

// The order on the page; the keys 1 to 7.
const REASONS = ["missed part", "too much", "wrong person", "bag missing", "bag included wrongly",
  "occluder included", "too coarse"];
const CELLS = 14;
const NEAR = "700px"; // from the window: closer cards are built
const STATES = { accept: "accepted", reject: "rejected", "": "undecided" };
const MARKS = { accept: "✓ ", reject: "✕ ", "": "" }; // a state is never told by its colour alone

const byId = (id) => document.getElementById(id);
const content = JSON.parse(byId("content").textContent);
const persons = content.persons;
const rowOf = new Map(persons.map((person, row) => [keyOf(person.scene, person.person), row]));
const decided = persons.map(() => ({ decision: "", comment: "" }));
const notes = persons.map(() => []); // what other files say of a person
const cards = [];
const undoable = []; // [row, what it was before]
let visible = []; // rows, in the order shown
let current = -1; // row
let unsaved = false;

function keyOf(scene, person) {
  return JSON.stringify([scene, person]);
}

// ---- elements: text is only ever text

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

// ---- one person

function tile(person, caption, label, ...drawn) {
  const [width, height] = person.size;
  const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label }, ...drawn);
  return make("figure", {}, picture, make("figcaption", { dir: "auto" }, caption));
}

function photo(row, attributes = {}) {
  const [width, height] = persons[row].size;
  const data = byId(`picture-${row}`).textContent;
  return draw("image", { href: `data:image/webp;base64,${data}`, width, height, ...attributes });
}

function frame(person) {
  const [x0, y0, x1, y1] = person.box;
  return draw("rect", { class: "frame", x: x0, y: y0, width: x1 - x0, height: y1 - y0 });
}

function rims(path, kind = "") {
  return [draw("path", { class: "halo", d: path }), draw("path", { class: `rim ${kind}`, d: path })];
}

function cellsPath(hex) {
  const isOn = (bit) => (parseInt(hex[bit >> 2], 16) >> (3 - (bit & 3))) & 1;
  let path = "";
  for (let bit = 0; bit < CELLS * CELLS; bit++) {
    if (isOn(bit)) path += `M${bit % CELLS} ${Math.floor(bit / CELLS)}h1v1h-1z`;
  }
  return path;
}

function tiles(row) {
  const person = persons[row];
  const [x0, y0, x1, y1] = person.box;
  const made = make("div", { className: person.size[0] > 1.2 * person.size[1] ? "tiles wide" : "tiles" });
  if (!person.path) {
    made.append(tile(person, "no outline yet", "The person, without outline", photo(row), frame(person)));
  } else {
    const cut = draw("clipPath", { id: `cut-${row}` }, draw("path", { d: person.path, "clip-rule": "evenodd" }));
    const scale = `translate(${x0} ${y0}) scale(${(x1 - x0) / CELLS} ${(y1 - y0) / CELLS})`;
    made.append(
      tile(person, "outline", "The person with the outline", photo(row), frame(person), ...rims(person.path)),
      tile(person, "cut-out", "What the outline cuts out", cut, photo(row, { "clip-path": `url(#cut-${row})` })),
      tile(person, "14×14 target", "The 14 by 14 target in the box",
        draw("path", { class: "cells", d: cellsPath(person.target), transform: scale }), frame(person)),
    );
  }
  for (const other of person.others) {
    const far = other.iou === null ? "" : `: IoU ${other.iou.toFixed(2)}, ${count(other.cells, "other cell")}`;
    const both = person.path ? rims(person.path) : [];
    made.append(tile(person, `${other.what}${far}`, `Another drawing: ${other.what}`, photo(row), ...both,
      ...rims(other.path, "other")));
  }
  return made;
}

function facts(person) {
  const parts = [];
  if (person.path && person.by) parts.push(`by ${person.by}`);
  if (!person.path && person.annotators.length) parts.push(`with ${person.annotators.join(", ")}`);
  if (person.path) parts.push(`${percent(person.share)} of the box`);
  if (person.outside >= 0.005) parts.push(`${percent(person.outside)} of it outside`);
  return make("p", { dir: "auto" }, parts.join(" · "));
}

function findings(person) {
  const list = make("ul", { className: "findings" });
  for (const one of person.findings) {
    const who = person.annotators.length > 1 ? `${one.who}: ` : "";
    list.append(make("li", { className: one.level, title: one.hint }, make("b", {}, `${one.level} `),
      `${one.code}: ${who}${one.found}`));
  }
  if (person.path && person.findings.some((one) => one.level === "error" && one.code !== "person-missing")) {
    list.append(make("li", {}, "A drawing with an error is not used; the outline shown is another one."));
  }
  return list;
}

function build(row) {
  const card = cards[row];
  if (card.firstChild) return;
  const person = persons[row];
  const verdict = (decision, kind, name, key) => make("button", {
    type: "button", className: `verdict ${kind}`, "data-decision": decision, title: `key ${key}`,
    onclick: () => change(row, { decision: decided[row].decision === decision ? "" : decision }),
  }, name);
  const reasons = !person.path ? [] : REASONS.map((reason, number) => make("button", {
    type: "button", "data-reason": reason, onclick: () => toggleReason(row, reason),
  }, make("small", { "aria-hidden": "true" }, `${number + 1} `), reason));
  const buttons = person.path
    ? [verdict("accept", "good", "Accept", "a"), verdict("reject", "bad", "Reject", "r")]
    : [verdict("reject", "bad", "Reject: have it drawn", "r")];
  const comment = make("textarea", {
    className: "comment", rows: 1, placeholder: "comment", dir: "auto", "aria-label": `Comment on ${nameOf(person)}`,
  });
  let before = null;
  comment.addEventListener("focus", () => { before = { ...decided[row] }; });
  comment.addEventListener("input", () => set(row, { ...decided[row], comment: comment.value }));
  comment.addEventListener("change", () => { if (before) undoable.push([row, before]); before = { ...decided[row] }; });
  card.append(
    make("div", { className: "head" },
      make("h2", {}, make("bdi", {}, person.scene), ` box ${person.person} `,
        make("small", {}, "identity ", make("bdi", {}, person.identity))),
      make("span", { className: "state" })),
    make("div", { className: "body" }, tiles(row),
      make("div", { className: "side" }, facts(person), findings(person), make("div", { className: "told" }))),
    make("div", { className: "decide" }, ...buttons,
      make("div", { className: "reasons", role: "group", "aria-label": "Reasons" }, ...reasons)),
    comment,
  );
  show(row);
}

function nameOf(person) {
  return `${person.scene} box ${person.person}`;
}

function show(row) {
  const card = cards[row];
  const { decision, comment } = decided[row];
  card.className = decision;
  card.setAttribute("aria-label", `${nameOf(persons[row])}, ${STATES[decision]}`);
  if (!card.firstChild) return;
  card.querySelector(".state").textContent = MARKS[decision] + STATES[decision];
  for (const button of card.querySelectorAll("[data-decision]")) {
    button.setAttribute("aria-pressed", String(button.dataset.decision === decision));
  }
  const parts = partsOf(comment);
  for (const button of card.querySelectorAll("[data-reason]")) {
    button.setAttribute("aria-pressed", String(parts.includes(button.dataset.reason)));
  }
  const field = card.querySelector(".comment");
  if (field.value !== comment) field.value = comment;
  card.querySelector(".told").replaceChildren(
    ...notes[row].map((note) => make("p", { className: "notes", dir: "auto" }, note)));
}

// ---- deciding

function partsOf(comment) {
  return comment.split(";").map((part) => part.trim()).filter(Boolean);
}

function set(row, state) {
  decided[row] = state;
  unsaved = true;
  show(row);
  tellCounts();
  keep();
}

function change(row, difference) {
  undoable.push([row, { ...decided[row] }]);
  set(row, { ...decided[row], ...difference });
}

function toggleReason(row, reason) {
  const parts = partsOf(decided[row].comment);
  const others = parts.filter((part) => part !== reason);
  change(row, { comment: (others.length < parts.length ? others : [...parts, reason]).join("; ") });
}

function undo() {
  const last = undoable.pop();
  if (!last) return say("Nothing to undo.");
  set(...last);
  go(last[0]);
  say(`Undone: ${nameOf(persons[last[0]])}`);
}

function tellCounts() {
  const number = { accept: 0, reject: 0, "": 0 };
  for (const one of decided) number[one.decision]++;
  const done = number.accept + number.reject;
  const shown = visible.length < persons.length ? `; ${visible.length.toLocaleString("en")} shown` : "";
  byId("counts").textContent = `${done.toLocaleString("en")} of ${count(persons.length, "person")} decided: `
    + `${number.accept.toLocaleString("en")} accepted, ${number.reject.toLocaleString("en")} rejected${shown}`;
  byId("progress").max = persons.length;
  byId("progress").value = done;
}

function say(text) {
  byId("message").textContent = text;
}

// ---- what is shown, and in which order

const ORDERS = {
  worst: (one, two) => persons[one].rank - persons[two].rank || persons[two].odd - persons[one].odd || one - two,
  annotator: (one, two) => (persons[one].annotators[0] ?? "\uffff")
    .localeCompare(persons[two].annotators[0] ?? "\uffff") || one - two,
  image: (one, two) => one - two,
};
const FILTERS = {
  all: () => true,
  undecided: (row) => !decided[row].decision,
  accepted: (row) => decided[row].decision === "accept",
  rejected: (row) => decided[row].decision === "reject",
  commented: (row) => decided[row].comment !== "",
  findings: (row) => persons[row].findings.length > 0,
  missing: (row) => !persons[row].path,
  differing: (row) => persons[row].others.length > 0,
  notes: (row) => notes[row].length > 0,
};

function arrange() {
  const filter = FILTERS[byId("show").value];
  const annotator = byId("annotator").value;
  const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (row) => {
    const person = persons[row];
    const text = [person.scene, person.identity, decided[row].comment].join("\n").toLowerCase();
    return filter(row) && (!annotator || person.annotators.includes(annotator))
      && words.every((word) => text.includes(word));
  };
  visible = persons.map((_, row) => row).filter(matches).sort(ORDERS[byId("order").value]);
  byId("persons").replaceChildren(...visible.map((row) => cards[row].parentElement));
  say(visible.length ? "" : "Nobody is left: choose another filter, or clear the search.");
  tellCounts();
}

function go(row) {
  build(row);
  current = row;
  cards[row].focus({ preventScroll: true });
  cards[row].scrollIntoView({ block: "nearest" });
}

function step(by) {
  const at = visible.indexOf(current);
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), visible.length - 1);
  if (visible.length) go(visible[next]);
}

// ---- keys

const ACTIONS = {
  a: (row) => { if (persons[row].path) change(row, { decision: "accept" }); step(1); },
  r: (row) => change(row, { decision: "reject" }),
  c: (row) => cards[row].querySelector(".comment").focus(),
};
const MOVES = { j: 1, ArrowRight: 1, ArrowDown: 1, k: -1, ArrowLeft: -1, ArrowUp: -1 };

function onKey(event) {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "s") {
    event.preventDefault();
    return save();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (event.target.closest("input, select, textarea")) {
    if (event.key === "Escape" && event.target.matches(".comment")) event.target.closest("article").focus();
    return;
  }
  const row = visible.includes(current) ? current : visible[0];
  if (event.key in MOVES) step(MOVES[event.key]);
  else if (event.key === "u") undo();
  else if (event.key === "?") byId("help").showModal();
  else if (row !== undefined && event.key in ACTIONS) {
    if (row !== current) go(row);
    ACTIONS[event.key](row);
  } else if (row !== undefined && persons[row].path && REASONS[event.key - 1]) toggleReason(row, REASONS[event.key - 1]);
  else return;
  event.preventDefault();
}

// ---- the file of decisions

function decisions() {
  return {
    format: content.format, version: content.version, fingerprint: content.fingerprint, subset: content.subset,
    reviewer: byId("reviewer").value.trim(),
    decisions: persons.flatMap(({ scene, person, outline }, row) => {
      const { decision, comment } = decided[row];
      return decision || comment.trim() ? [{ scene, person, decision, comment: comment.trim(), outline }] : [];
    }),
  };
}

function save() {
  const saved = decisions();
  const name = [content.subset, saved.reviewer].filter(Boolean).join("-").replace(/[^\p{L}\p{N}._-]+/gu, "_");
  const url = URL.createObjectURL(new Blob([JSON.stringify(saved, null, 1)], { type: "application/json" }));
  make("a", { href: url, download: `${name}.review.json` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60000);
  unsaved = false;
  keep();
  say(`Saved ${count(saved.decisions.length, "decision")} as ${name}.review.json, where this browser puts downloads.`);
}

function readDecisions(text) {
  let read;
  try {
    read = JSON.parse(text);
  } catch {
    throw new Error("it is no JSON, or cut off");
  }
  if (read?.format !== content.format) throw new Error("it is no file of decisions");
  if (read.version !== content.version) throw new Error(`its version is ${read.version}, not ${content.version}`);
  if (read.fingerprint !== content.fingerprint) throw new Error("it is about another data set");
  const isOne = (one) => typeof one?.scene === "string" && Number.isInteger(one.person) && Object.hasOwn(STATES, one.decision)
    && typeof one.comment === "string" && typeof one.outline === "string";
  if (!Array.isArray(read.decisions) || !read.decisions.every(isOne)) throw new Error("it was edited");
  return read;
}

// Adds decisions to those on the page, which stay where they differ; returns how many of which kind there were.
function merge(read, source) {
  const told = { added: 0, older: 0, other: 0, unknown: 0 };
  for (const one of read.decisions) {
    const row = rowOf.get(keyOf(one.scene, one.person));
    if (row === undefined) {
      told.unknown++;
      continue;
    }
    const mine = decided[row];
    const isOlder = one.outline !== persons[row].outline;
    if (isOlder || ((mine.decision || mine.comment)
        && (mine.decision !== one.decision || mine.comment !== one.comment))) {
      told[isOlder ? "older" : "other"]++;
      const what = [one.decision && STATES[one.decision], one.comment].filter(Boolean).join(": ");
      const note = `${isOlder ? "Before the outline changed" : "Elsewhere"}, ${read.reviewer || source}: ${what}`;
      if (!notes[row].includes(note)) notes[row].push(note);
    } else {
      told.added++;
      decided[row] = { decision: one.decision, comment: one.comment };
    }
    show(row);
  }
  if (!byId("reviewer").value && typeof read.reviewer === "string") byId("reviewer").value = read.reviewer;
  return told;
}

async function load(files) {
  const lines = [];
  for (const file of files) {
    try {
      const told = merge(readDecisions(await file.text()), file.name);
      unsaved ||= told.added > 0;
      lines.push([`${file.name}: ${count(told.added, "decision")} loaded`,
        told.older && `${told.older} about outlines that changed since, shown at the person`,
        told.other && `${told.other} unlike those here, which stay; shown at the person`,
        told.unknown && `${told.unknown} of persons who are not on this page`].filter(Boolean).join("; "));
    } catch (error) {
      lines.push(`${file.name} is not loaded: ${error.message}`);
    }
  }
  arrange();
  keep();
  say(lines.join(". "));
}

// ---- what the browser keeps meanwhile

const storage = (() => {
  try {
    localStorage.setItem("maskps-review", "");
    localStorage.removeItem("maskps-review");
    return localStorage;
  } catch {
    return null; // a private window, or switched off
  }
})();
const place = `maskps-review:${content.fingerprint}:${content.masks}`;
let waiting = 0;

function keep() {
  clearTimeout(waiting);
  waiting = setTimeout(keepNow, 200);
}

function keepNow() {
  clearTimeout(waiting);
  try {
    storage?.setItem(place, JSON.stringify({ ...decisions(), unsaved }));
  } catch {
    tellKept(false); // full
  }
}

function tellKept(isKept) {
  const kept = byId("kept");
  kept.className = isKept ? "soft" : "warning";
  kept.textContent = isKept
    ? "This browser keeps what you decide, on this computer only. Save the decisions to hand them on."
    : "This browser keeps nothing here (a private window?): save the decisions before you leave.";
}

function restore() {
  tellKept(storage !== null);
  const text = storage?.getItem(place);
  if (!text) return;
  try {
    const read = readDecisions(text);
    const told = merge(read, "this browser");
    unsaved = Boolean(read.unsaved);
    if (told.added) say(`${count(told.added, "decision")} of last time are here again.`);
  } catch {
    // not ours: it is written over by the next decision
  }
}

// ---- start

function start() {
  const near = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) build(Number(entry.target.dataset.row));
  }, { rootMargin: NEAR });
  persons.forEach((_, row) => {
    const card = make("article", { tabIndex: -1, "data-row": row });
    card.addEventListener("focusin", () => { current = row; });
    make("li", {}, card);
    cards.push(card);
    near.observe(card);
    show(row);
  });
  for (const name of [...new Set(persons.flatMap((person) => person.annotators))].sort()) {
    byId("annotator").append(make("option", { value: name }, name));
  }
  restore();
  const last = byId("message").textContent;
  arrange();
  say(last);
  for (const id of ["order", "show", "annotator", "search"]) byId(id).addEventListener("input", arrange);
  byId("reviewer").addEventListener("input", keep);
  byId("controls").addEventListener("submit", (event) => event.preventDefault());
  byId("save").addEventListener("click", save);
  byId("load").addEventListener("click", () => byId("load-file").click());
  byId("load-file").addEventListener("change", async (event) => {
    await load([...event.target.files]);
    event.target.value = "";
  });
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  document.addEventListener("keydown", onKey);
  addEventListener("pagehide", keepNow);
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
}

start();
