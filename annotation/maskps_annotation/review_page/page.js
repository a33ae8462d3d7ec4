// The list of persons, the decision about each, and the keys. cards.js draws one person, decisions.js saves and
// loads; the three, after the shared page.js, are one script.

const NEAR = "700px"; // cards closer to the window than this are built

const content = JSON.parse(byId("content").textContent);
const persons = content.persons;
const rowOf = new Map(persons.map((person, row) => [keyOf(person.scene, person.person), row]));
const decided = persons.map(() => ({ decision: "", comment: "" }));
const notes = persons.map(() => []); // decisions of other files about a person
const cards = [];
const undoable = []; // [row, state before]
let visible = []; // rows, in the order shown
let current = -1; // row
let unsaved = false;

function keyOf(scene, person) {
  return JSON.stringify([scene, person]);
}

// ---- deciding

function partsOf(comment) {
  return comment.split(";").map((part) => part.trim()).filter(Boolean);
}

function set(row, state) {
  decided[row] = state;
  unsaved = true;
  show(row);
  showCounts();
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

function showCounts() {
  const number = { accept: 0, reject: 0, "": 0 };
  for (const one of decided) number[one.decision]++;
  const done = number.accept + number.reject;
  const shown = visible.length < persons.length ? `; ${visible.length.toLocaleString("en")} shown` : "";
  byId("counts").textContent = `${done.toLocaleString("en")} of ${persons.length.toLocaleString("en")} decided: `
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
  touched: (one, two) => touched(persons[two]) - touched(persons[one]) || one - two,
};
const FILTERS = {
  all: () => true,
  undecided: (row) => !decided[row].decision,
  accepted: (row) => decided[row].decision === "accept",
  rejected: (row) => decided[row].decision === "reject",
  commented: (row) => decided[row].comment !== "",
  findings: (row) => persons[row].findings.length > 0,
  missing: (row) => !persons[row].path,
  asProposed: (row) => persons[row].proposal && !touched(persons[row]),
  corrected: (row) => touched(persons[row]) > 0,
  differing: (row) => persons[row].others.length > 0,
  notes: (row) => notes[row].length > 0,
};

// Points that an annotator changed in a proposed outline.
function touched({ proposal }) {
  return proposal ? proposal.moved + proposal.added + proposal.deleted : 0;
}

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
  say(visible.length ? "" : "No person matches: choose another filter, or clear the search.");
  showCounts();
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
  const reason = row !== undefined && persons[row].path && REASONS[event.key - 1];
  if (event.key in MOVES) step(MOVES[event.key]);
  else if (event.key === "u") undo();
  else if (event.key === "?") byId("help").showModal();
  else if (row !== undefined && event.key in ACTIONS) {
    if (row !== current) go(row);
    ACTIONS[event.key](row);
  } else if (reason) toggleReason(row, reason);
  else return;
  event.preventDefault();
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
  if (persons.some((person) => person.proposal)) {
    byId("show").append(make("option", { value: "asProposed" }, "Proposals accepted"),
      make("option", { value: "corrected" }, "Proposals corrected"));
    byId("order").append(make("option", { value: "touched" }, "Most corrected proposal first"));
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
  addEventListener("beforeprint", () => visible.forEach(build));
  addEventListener("pagehide", keepNow);
  addEventListener("storage", (event) => {
    if (event.key === place) say("This page is open in another tab as well: close one of the two.");
  });
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
}

document.addEventListener("DOMContentLoaded", start);
