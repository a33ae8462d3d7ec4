// A picture with a button around each person, and boxes that are drawn on it.

const inPercent = (part, whole) => `${(100 * part) / whole}%`;

function place(element, [x0, y0, x1, y1], { width, height }) {
  element.style.left = inPercent(x0, width);
  element.style.top = inPercent(y0, height);
  element.style.width = inPercent(x1 - x0, width);
  element.style.height = inPercent(y1 - y0, height);
}

// Arrow keys move the focus among buttons, of which one is in the order of the Tab key.
function moveByArrows(group, buttons, event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  const now = buttons.indexOf(document.activeElement);
  const next = { Home: 0, End: buttons.length - 1 }[event.key] ?? (now + (step ?? NaN) + buttons.length) % buttons.length;
  if (now < 0 || !(next >= 0) || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  onlyOneByTab(buttons, buttons[next]);
  buttons[next].focus();
}

function onlyOneByTab(buttons, chosen) {
  for (const button of buttons) button.tabIndex = button === chosen ? 0 : -1;
}

// `scene` has width, height and persons with boxes; `pick` gets a person's row.
function framed(scene, path, { pick, chosen = -1 }) {
  const image = make("img", { alt: "The scene", draggable: false });
  const element = make("div", { className: "framed", role: "group", "aria-label": "Persons in the picture" }, image);
  element.style.setProperty("--ratio", scene.width / scene.height);
  const rows = scene.persons.map((person, row) => row).sort((a, b) => scene.persons[a].box[0] - scene.persons[b].box[0]);
  const buttons = rows.map((row, number) => {
    const { box, score } = scene.persons[row];
    const label = `Person ${number + 1} of ${rows.length}, found with a score of ${score.toFixed(2)}`;
    const button = make("button", { type: "button", className: "frame", "aria-label": label,
      "aria-pressed": row === chosen }, make("span", {}, `${number + 1}`));
    place(button, box, scene);
    button.style.zIndex = 1 + Math.round(999 * (1 - ((box[2] - box[0]) * (box[3] - box[1])) / (scene.width * scene.height)));
    return button;
  });
  onlyOneByTab(buttons, buttons[Math.max(0, rows.indexOf(chosen))]);
  buttons.forEach((button, at) => button.addEventListener("click", () => {
    onlyOneByTab(buttons, button);
    pick(rows[at]);
  }));
  element.append(...buttons);
  element.addEventListener("keydown", (event) => moveByArrows(element, buttons, event));
  pictures.get(path).then((url) => { image.src = url; }, (error) => { image.alt = error.found || error.message; });
  const mark = (row) => buttons.forEach((button, at) => button.setAttribute("aria-pressed", rows[at] === row));
  return { element, image, mark, focus: () => buttons.find((button) => button.tabIndex === 0)?.focus() };
}

// Lets a box be dragged on a picture: with the mouse always, with a finger while `isDrawing()`.
function drawable(element, scene, { isDrawing, drawn }) {
  const frame = make("div", { className: "drawn", hidden: true });
  element.append(frame);
  let start = null;
  let box = null;
  const point = (event) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    const inside = (part) => Math.min(1, Math.max(0, part));
    return [inside((event.clientX - left) / width) * scene.width, inside((event.clientY - top) / height) * scene.height];
  };
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || (event.pointerType === "touch" && !isDrawing())) return;
    start = { x: event.clientX, y: event.clientY, at: point(event) };
    box = null;
  });
  element.addEventListener("pointermove", (event) => {
    if (!start || (!box && Math.hypot(event.clientX - start.x, event.clientY - start.y) < 6)) return;
    if (!box) element.setPointerCapture(event.pointerId);
    const [x, y] = point(event);
    box = [Math.min(x, start.at[0]), Math.min(y, start.at[1]), Math.max(x, start.at[0]), Math.max(y, start.at[1])];
    frame.hidden = false;
    place(frame, box, scene);
  });
  element.addEventListener("pointerup", () => {
    start = null;
    if (box && box[2] - box[0] >= 1 && box[3] - box[1] >= 1) drawn(box.map((value) => Math.round(10 * value) / 10));
  });
  element.addEventListener("pointercancel", () => { start = null; box = null; });
  element.addEventListener("click", (event) => { // the end of a drag on a person's frame is not a click on it
    if (box) event.stopPropagation();
    box = null;
  }, true);
  return { show(shown) { frame.hidden = !shown; if (shown) place(frame, shown, scene); } };
}
