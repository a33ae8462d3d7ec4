// One person: pictures, findings, buttons.

// The order on the page; the keys 1 to 7.
const REASONS = ["missed part", "too much", "wrong person", "bag missing", "bag included wrongly",
  "occluder included", "too coarse"];
const CELLS = 14;
const STATES = { accept: "accepted", reject: "rejected", "": "undecided" };
const MARKS = { accept: "✓ ", reject: "✕ ", "": "" }; // colour alone never shows a state

function draw(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;

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
    const far = other.iou === null ? "" : `: IoU ${other.iou.toFixed(2)}, ${count(other.cells, "cell")} differ`;
    const both = person.path ? rims(person.path) : [];
    made.append(tile(person, `${other.what}${far}`, `Another drawing: ${other.what}`, photo(row), ...both,
      ...rims(other.path, "other")));
  }
  return made;
}

function who(person) {
  const made = person.proposal;
  if (!made) return `by ${person.by}`;
  if (!touched(person)) return `proposed by ${made.by}, accepted by ${person.by}`;
  const vertices = ["moved", "added", "deleted"].filter((kind) => made[kind]).map((kind) => `${made[kind]} ${kind}`);
  return `proposed by ${made.by}, corrected by ${person.by}: vertices ${vertices.join(", ")}`;
}

function facts(person) {
  const parts = [];
  if (person.path && person.by) parts.push(who(person));
  if (!person.path && person.annotators.length) parts.push(`with ${person.annotators.join(", ")}`);
  if (person.path) parts.push(`${percent(person.share)} of the box`);
  if (person.outside >= 0.005) parts.push(`${percent(person.outside)} of it outside`);
  return make("p", { dir: "auto" }, parts.join(" · "));
}

function findings(person) {
  const list = make("ul", { className: "findings" });
  for (const one of person.findings) {
    const who = person.annotators.length > 1 ? `${one.who}: ` : "";
    list.append(make("li", { "data-level": one.level, title: one.hint }, make("b", {}, `${one.level} `),
      `${one.code}: ${who}${one.found}`));
  }
  if (person.path && person.findings.some((one) => one.level === "error" && one.code !== "person-missing")) {
    list.append(make("li", {}, "A drawing with an error is not used; the outline shown is a different one."));
  }
  return list.childElementCount ? [list] : [];
}

function build(row) {
  const card = cards[row];
  if (card.firstChild) return;
  const person = persons[row];
  const verdict = (decision, kind, name, key) => make("button", {
    type: "button", className: kind, "data-decision": decision, title: `key ${key}`,
    onclick: () => change(row, { decision: decided[row].decision === decision ? "" : decision }),
  }, name);
  const reasons = !person.path ? [] : REASONS.map((reason, number) => make("button", {
    type: "button", className: "chip", "data-reason": reason, onclick: () => toggleReason(row, reason),
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
      make("div", { className: "side" }, facts(person), ...findings(person), make("div", { className: "others" }))),
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
  card.className = `card ${decision}`;
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
  card.querySelector(".others").replaceChildren(
    ...notes[row].map((note) => make("p", { className: "notes", dir: "auto" }, note)));
}
