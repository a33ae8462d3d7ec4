// The page: the query, the filters, the hits. Its state is in the address, but for pictures.

const MOST_BYTES = 20e6;
const DEFAULTS = { cameras: null, from: "", to: "", least: 0, one: false, top: 50 };

const isNarrow = matchMedia("(max-width: 62rem)"); // one column: the hits are below
const state = {
  info: null,
  stage: null, // the picture or scene to choose from
  examples: [], // {stage, box, thumb} of a picture, or {person, box?}
  filters: { ...DEFAULTS },
  hits: [],
  marks: new Map(), // person -> "right" or "wrong"
  open: -1, // place of the hit whose scene is shown
};

// Messages

let again = null; // what "Try again" does

function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function fail(error, retry = null) {
  if (error.name === "AbortError") return;
  say("error-text", error.status === 403
    ? "The page does not know the token of this start. Open the address that maskps serve printed last."
    : error.message);
  again = retry;
  byId("retry").hidden = !retry;
  byId("error").hidden = false;
}

let working = 0;

async function busily(work, retry) {
  working += 1;
  byId("busy").hidden = false;
  try {
    const result = await work();
    byId("error").hidden = true;
    return result;
  } catch (error) {
    fail(error, retry);
    return null;
  } finally {
    working -= 1;
    byId("busy").hidden = working === 0;
  }
}

// The picture

async function detect(file) {
  const found = await askJson("/api/detect", { body: file });
  return { ...found, path: `/api/picture/${found.picture}` };
}

async function dropPhoto(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) {
    fail(new Refusal(413, { where: file.name, found: `${(file.size / 1e6).toFixed(0)} MB`, expected: "at most 20 MB",
      hint: "make the picture smaller" }));
    return;
  }
  say("found", "Looking for persons ...");
  const found = await busily(() => detect(file), () => dropPhoto(file));
  say("found", "");
  if (found) setStage({ ...found, file, name: file.name });
}

async function stageScene(person) {
  const scene = await busily(() => askJson(`/api/scene/${person}`), () => stageScene(person));
  if (!scene) return;
  const chosen = scene.persons.findIndex((one) => one.person === person);
  const at = scene.kind === "video" ? `, ${filmTime(scene.frame_time)}` : "";
  setStage({ ...scene, name: `${scene.path}${at}`, path: `/api/scene/${person}/picture` }, chosen);
}

function setStage(stage, focused = -1) {
  stage.framed = framed(stage, stage.path, { pick: (row) => choosePerson(stage, row), chosen: -1 });
  stage.drawing = drawable(stage.framed.element, stage, {
    isDrawing: () => byId("draw").getAttribute("aria-pressed") === "true",
    drawn: (box) => chooseBox(stage, box),
  });
  state.stage = stage;
  byId("stage").replaceChildren(stage.framed.element);
  byId("stage-area").hidden = false;
  byId("who").classList.add("has-picture");
  say("stage-name", stage.name);
  byId("before").hidden = !stage.before;
  byId("after").hidden = !stage.after;
  byId("draw").setAttribute("aria-pressed", "false");
  byId("stage").classList.remove("drawing");
  const number = stage.persons.length;
  if (!number) say("found", "Nobody found with a score of 0.5 or more. Drag a box around the person.");
  else if (number === 1) say("found", "1 person found.");
  else say("found", `${number} persons found: click one, or choose with the arrow keys and Enter.`);
  byId("who").scrollIntoView({ block: "nearest" });
  stage.framed.focus();
  if (number === 1 && focused < 0) choosePerson(stage, 0);
}

function unmarkStage() {
  state.stage?.framed.mark(-1);
  state.stage?.drawing.show(null);
}

function choosePerson(stage, row) {
  const { box, person } = stage.persons[row];
  stage.framed.mark(row);
  stage.drawing.show(null);
  choose(stage.picture ? { stage, box } : { person });
}

function chooseBox(stage, box) {
  stage.framed.mark(-1);
  stage.drawing.show(box);
  choose(stage.picture ? { stage, box } : { person: stage.person, box });
}

function choose(example) {
  const adds = byId("adds").checked && state.examples.length;
  setExamples(adds ? [...state.examples, example] : [example]);
  search({ remembered: true });
  if (isNarrow.matches) byId("status").scrollIntoView();
}

function typedBox(event) {
  event.preventDefault();
  const numbers = byId("box").value.split(/[\s,;]+/).filter(Boolean).map(Number);
  if (numbers.length === 4 && numbers.every(Number.isFinite)) {
    chooseBox(state.stage, numbers);
  } else {
    fail(new Refusal(400, { where: "The box", found: byId("box").value || "nothing",
      expected: "four numbers such as 120, 40, 210, 330" }));
  }
}

// Examples

const isSame = (one, other) => one.stage === other.stage && one.person === other.person
  && String(one.box) === String(other.box);

function setExamples(examples) {
  state.examples = examples.filter((one, at) => examples.findIndex((other) => isSame(one, other)) === at);
  byId("examples-area").hidden = !state.examples.length;
  byId("adds-label").hidden = !state.examples.length;
  say("examples-title", state.examples.length > 1 ? `${state.examples.length} examples, averaged` : "Example");
  byId("examples").replaceChildren(...state.examples.map(exampleItem));
}

function exampleItem(example, number) {
  const remove = make("button", { type: "button", className: "chip", "aria-label": `Remove example ${number + 1}` }, "Remove");
  remove.addEventListener("click", () => {
    setExamples(state.examples.filter((one) => one !== example));
    (byId("examples").querySelector("button") ?? byId("choose")).focus();
    search({ remembered: true });
  });
  return make("li", {}, exampleThumb(example, `Example ${number + 1}`), remove);
}

function exampleThumb(example, alt) {
  if (!example.box) return picture(`/api/crop/${example.person}`, alt, "crop");
  const canvas = make("canvas", { width: 90, height: 180, role: "img", "aria-label": alt });
  const stage = example.stage ?? state.stage;
  pictures.get(stage?.path ?? `/api/scene/${example.person}/picture`).then(async (url) => {
    const image = make("img", { src: url });
    await image.decode();
    const scale = image.naturalWidth / (stage?.width ?? image.naturalWidth);
    const [x0, y0, x1, y1] = example.box.map((value) => value * scale);
    const fit = Math.min(90 / (x1 - x0), 180 / (y1 - y0));
    const [width, height] = [(x1 - x0) * fit, (y1 - y0) * fit];
    canvas.getContext("2d").drawImage(image, x0, y0, x1 - x0, y1 - y0, (90 - width) / 2, (180 - height) / 2, width, height);
  }).catch(() => {});
  return canvas;
}

function searchWith(person) {
  byId("scene").close();
  unmarkStage();
  setExamples([{ person }]);
  search({ remembered: true });
  byId("results").scrollIntoView({ block: "start" });
}

function addExamples(persons) {
  const before = state.examples.length;
  setExamples([...state.examples, ...persons.map((person) => ({ person }))]);
  if (state.examples.length > before) search({ remembered: true });
}

// Search

let current = null; // of the search under way

async function search({ remembered = false } = {}) {
  current?.abort();
  remember(remembered);
  if (!state.examples.length) {
    showHits([]);
    say("status", "");
    byId("start").hidden = false;
    return;
  }
  const own = new AbortController();
  current = own;
  say("status", "Searching ...");
  const found = await busily(() => searchOnce(own.signal), () => search());
  if (own !== current) return;
  if (!found) {
    say("status", "");
    return;
  }
  byId("start").hidden = true;
  showHits(found.hits);
  say("status", found.hits.length
    ? `${count(found.hits.length, "hit")} among ${count(found.persons, "person")}.`
    : found.persons
      ? "Nobody in the gallery passes the filters. Lower the least similarity, or reset the filters."
      : "The gallery is empty. Add photos or videos with maskps gallery add, then search again.");
}

async function searchOnce(signal) {
  const asked = () => JSON.stringify({ examples: state.examples.map(askedExample), ...askedFilters() });
  try {
    return await askJson("/api/search", { body: asked(), signal });
  } catch (error) {
    const photos = new Set(state.examples.map((one) => one.stage).filter(Boolean));
    if (error.status !== 410 || error.where !== "the picture" || !photos.size) throw error;
    for (const stage of photos) stage.picture = (await detect(stage.file)).picture; // was dropped after ten minutes
    return askJson("/api/search", { body: asked(), signal });
  }
}

function askedExample({ stage, person, box }) {
  if (stage) return { picture: stage.picture, box };
  return box ? { person, box } : { person };
}

function askedFilters() {
  const { cameras, from, to, least, one, top } = state.filters;
  return { cameras, from: from || null, to: to || null, min_similarity: least || -1, per_source: one ? 1 : null, top };
}

// Filters

function setFilters(changes) {
  Object.assign(state.filters, changes);
  showFilters();
  searchSoon();
}

function showFilters() {
  const { cameras, from, to, least, one, top } = state.filters;
  for (const box of byId("cameras").querySelectorAll("input")) box.checked = !cameras || cameras.includes(box.value);
  byId("from").value = from;
  byId("to").value = to;
  byId("least").value = least;
  say("least-text", least ? least.toFixed(2) : "any");
  byId("one").checked = one;
  byId("top").value = top;
  const set = [cameras, from, to, least, one].filter(Boolean).length;
  byId("filters-set").hidden = !set;
  say("filters-set", `${set} set`);
  byId("all-times").hidden = !cameras && !from && !to;
}

let soon = 0;

function searchSoon() {
  clearTimeout(soon);
  soon = setTimeout(search, 150);
}

function readFilters() {
  const boxes = [...byId("cameras").querySelectorAll("input")];
  const chosen = boxes.filter((box) => box.checked).map((box) => box.value);
  setFilters({
    cameras: chosen.length === boxes.length ? null : chosen,
    from: byId("from").value, to: byId("to").value,
    least: Number(byId("least").value), one: byId("one").checked, top: Number(byId("top").value),
  });
}

function showCameras() {
  const boxes = state.info.cameras.map((camera) =>
    make("label", { className: "check" }, make("input", { type: "checkbox", value: camera, checked: true }), make("bdi", {}, camera)));
  byId("cameras").append(...boxes);
  byId("cameras").hidden = !boxes.length;
  byId("scenes-camera").append(make("option", { value: "" }, "all"),
    ...state.info.cameras.map((camera) => make("option", { value: camera }, camera)));
}

// Hits

function showHits(hits) {
  state.hits = hits;
  byId("results").hidden = !hits.length;
  say("hits-title", `${count(hits.length, "hit")}, the most similar first`);
  const focused = document.activeElement.closest("#hits > li");
  const at = focused ? [...focused.querySelectorAll("button")].indexOf(document.activeElement) : -1;
  byId("hits").replaceChildren(...hits.map(hitItem));
  if (focused) { // the same button of the same person, if the person is still there
    const items = [...byId("hits").children];
    (items.find((item) => item.dataset.person === focused.dataset.person) ?? items[0])?.querySelectorAll("button")[at].focus();
  }
  showTimeline();
  showMarks();
}

function showTimeline() {
  drawTimeline(state.hits, (camera, from, to) => setFilters({
    cameras: camera === null ? state.filters.cameras : [camera], ...(from ? { from, to } : {}),
  }));
}

function hitItem(hit, at) {
  const where = [hit.camera, hit.time].filter(Boolean).join(", ");
  const opens = make("button", { type: "button", className: "opens",
    "aria-label": `Hit ${hit.rank}, similarity ${hit.similarity.toFixed(3)}${where && `, ${where}`}: whole scene` },
  hit.is_file_there ? picture(`/api/crop/${hit.person}`, "", "crop")
    : make("span", { className: "missing" }, "the file is gone, or has changed since it was added"));
  opens.addEventListener("click", () => openScene(at));
  const facts = [make("p", { className: "number" }, `${hit.rank}. `, make("b", {}, hit.similarity.toFixed(3))),
    make("meter", { min: 0, max: 1, value: Math.max(0, hit.similarity), "aria-label": "similarity" })];
  if (hit.camera) facts.push(make("bdi", {}, hit.camera), make("br"));
  if (hit.time) facts.push(make("time", {}, hit.time.slice(0, 19)), make("br"));
  if (hit.kind === "video") facts.push(`video, ${filmTime(hit.frame_time)}`);
  return make("li", { className: "card", "data-person": hit.person }, opens, ...facts, deeds(hit));
}

function deeds(hit) {
  const deed = (text, what, does, className = "chip") => {
    const button = make("button", { type: "button", className, "aria-label": `${what}, hit ${hit.rank}` }, text);
    button.addEventListener("click", does);
    return button;
  };
  return make("div", { className: "deeds screen" },
    deed("Search", "Search with this one", () => searchWith(hit.person)),
    deed("Add", "Add as example", () => addExamples([hit.person])),
    deed("Right", "Right", () => mark(hit, "right"), "chip good"),
    deed("Wrong", "Wrong", () => mark(hit, "wrong"), "chip bad"));
}

function mark(hit, as) {
  if (state.marks.get(hit.person) === as) state.marks.delete(hit.person);
  else state.marks.set(hit.person, as);
  showMarks();
}

const rightOnes = () => state.hits.filter((hit) => state.marks.get(hit.person) === "right").map((hit) => hit.person);

function showMarks() {
  for (const item of byId("hits").children) {
    const given = state.marks.get(item.dataset.person);
    for (const as of ["right", "wrong"]) {
      item.classList.toggle(as, given === as);
      item.querySelector(as === "right" ? ".good" : ".bad").setAttribute("aria-pressed", given === as);
    }
  }
  byId("add-right").hidden = !rightOnes().length;
  const open = state.hits[state.open];
  for (const as of ["right", "wrong"]) byId(`scene-${as}`).setAttribute("aria-pressed", !!open && state.marks.get(open.person) === as);
}

// From a button of a hit, arrow keys lead to the same button of the next one.
function moveAmongHits(event) {
  const item = event.target.closest("#hits > li");
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!item || !step) return;
  const next = step > 0 ? item.nextElementSibling : item.previousElementSibling;
  const at = [...item.querySelectorAll("button")].indexOf(event.target);
  next?.querySelectorAll("button")[at]?.focus();
  event.preventDefault();
}

// The scene of a hit

async function openScene(at) {
  const hit = state.hits[at];
  state.open = at;
  const facts = { similarity: hit.similarity.toFixed(3), camera: hit.camera ?? "not known", time: hit.time ?? "not known",
    [hit.kind === "video" ? "video" : "photo"]: hit.path, ...(hit.kind === "video" ? { "in the video at": filmTime(hit.frame_time) } : {}),
    "detector's score": hit.score.toFixed(2), person: hit.person };
  say("scene-title", `Hit ${hit.rank} of ${state.hits.length}`);
  byId("scene-facts").replaceChildren(...Object.entries(facts).flatMap(([name, value]) =>
    [make("dt", {}, name), make("dd", {}, make("bdi", {}, value))]));
  byId("scene-previous").disabled = at === 0;
  byId("scene-next").disabled = at === state.hits.length - 1;
  byId("scene-picture").replaceChildren();
  say("scene-state", "Loading ...");
  showMarks();
  if (!byId("scene").open) byId("scene").showModal();
  try {
    const scene = await askJson(`/api/scene/${hit.person}`);
    if (state.open !== at) return;
    const chosen = scene.persons.findIndex((one) => one.person === hit.person);
    const shown = framed(scene, `/api/scene/${hit.person}/picture`, { chosen, pick: (row) => searchWith(scene.persons[row].person) });
    byId("scene-picture").replaceChildren(shown.element);
    say("scene-state", scene.persons.length > 1 ? "Click another person to search with that one." : "");
    byId("scene-use").disabled = false;
  } catch (error) {
    if (state.open !== at) return;
    say("scene-state", `It cannot be shown: ${error.found || error.message}.`);
    byId("scene-use").disabled = true;
  }
}

function sceneKeys(event) {
  if (event.target.closest(".framed")) return;
  const does = { ArrowLeft: "scene-previous", ArrowRight: "scene-next", r: "scene-right", w: "scene-wrong" }[event.key];
  if (does && !event.ctrlKey && !event.metaKey && !event.altKey) byId(does).click();
}

function onOpen(does) {
  return () => does(state.hits[state.open]);
}

// The scenes of the gallery

let nextScenes = 0;

async function listScenes({ anew = false } = {}) {
  if (anew) {
    nextScenes = 0;
    byId("scenes-list").replaceChildren();
  }
  const camera = byId("scenes-camera").value;
  const asked = new URLSearchParams({ start: nextScenes, ...(camera && { camera }) });
  say("scenes-state", "Loading ...");
  const found = await busily(() => askJson(`/api/sources?${asked}`)).finally(() => say("scenes-state", ""));
  if (!found || byId("scenes-camera").value !== camera) return;
  byId("scenes-list").append(...found.sources.map(sceneItem));
  nextScenes = found.next;
  byId("scenes-more").hidden = found.next === null;
  if (!byId("scenes-list").children.length) say("scenes-state", "Nobody is in these photos.");
}

function sceneItem(source) {
  const shown = source.is_file_there ? picture(`/api/scene/${source.person}/thumb`, "", "scene")
    : make("span", { className: "missing" }, "the file is gone, or has changed");
  const name = source.path.split(/[\\/]/).at(-1);
  const button = make("button", { type: "button", disabled: !source.is_file_there }, shown, make("bdi", {}, name), make("br"),
    make("span", { className: "soft" }, [source.camera, source.time?.slice(0, 19), count(source.count, "person")].filter(Boolean).join(", ")));
  button.addEventListener("click", () => {
    byId("scenes").close();
    stageScene(source.person);
  });
  return make("li", {}, button);
}

// The address

function remember(isNew) {
  const kept = new URLSearchParams({ token: fragment().get("token") ?? "" });
  for (const { stage, person, box } of state.examples) if (!stage && !box) kept.append("person", person);
  const { cameras, from, to, least, one, top } = state.filters;
  for (const camera of cameras ?? []) kept.append("camera", camera);
  if (cameras && !cameras.length) kept.append("no-camera", "1");
  for (const [name, value] of Object.entries({ from, to, least, one: one ? 1 : "", top: top === DEFAULTS.top ? "" : top })) {
    if (value) kept.set(name, value);
  }
  const key = `${performance.timeOrigin}-${remembered.size}`;
  remembered.set(key, state.examples);
  history[isNew ? "pushState" : "replaceState"](key, "", `#${kept}`);
}

const remembered = new Map(); // state of the history -> examples; those of photos are in no address

function recall() {
  const kept = fragment();
  const cameras = kept.getAll("camera");
  state.filters = {
    cameras: cameras.length || kept.has("no-camera") ? cameras : null,
    from: kept.get("from") ?? "", to: kept.get("to") ?? "", least: Number(kept.get("least")) || 0,
    one: kept.has("one"), top: Number(kept.get("top")) || DEFAULTS.top,
  };
  showFilters();
  unmarkStage();
  setExamples(remembered.get(history.state)
    ?? kept.getAll("person").filter((one) => /^\d+$/.test(one)).map((person) => ({ person })));
  search();
}

async function begin() {
  const info = await busily(() => askJson("/api/info"), begin);
  if (!info) {
    say("gallery", "No connection to the gallery.");
    return;
  }
  state.info = info;
  const [first, last] = [info.first, info.last].map((time) => time?.slice(0, 10));
  const span = !first ? "" : first === last ? `, ${first}` : `, ${first} to ${last}`;
  say("gallery", `${info.gallery}: ${count(info.persons, "person")} in ${count(info.sources, "file")}${span}`);
  say("note", info.note);
  if (info.terms) byId("note").append(` Data terms: ${info.terms}.`);
  if (!info.persons) say("status", "The gallery holds nobody yet. Add photos: maskps gallery add GALLERY PHOTOS");
  showCameras();
  recall();
}

// What happens on the page

let redraw = 0;

function listen() {
  const onClick = (id, does) => byId(id).addEventListener("click", does);
  onClick("choose", () => byId("file").click());
  byId("file").addEventListener("change", () => { dropPhoto(byId("file").files[0]); byId("file").value = ""; });
  onClick("browse", () => { byId("scenes").showModal(); listScenes({ anew: true }); });
  onClick("draw", () => {
    const isDrawing = byId("stage").classList.toggle("drawing");
    byId("draw").setAttribute("aria-pressed", isDrawing);
  });
  onClick("before", () => stageScene(state.stage.before));
  onClick("after", () => stageScene(state.stage.after));
  byId("box-form").addEventListener("submit", typedBox);
  byId("filter-form").addEventListener("input", readFilters);
  byId("filter-form").addEventListener("submit", (event) => event.preventDefault());
  onClick("reset", () => setFilters({ ...DEFAULTS }));
  onClick("all-times", () => setFilters({ cameras: null, from: "", to: "" }));
  onClick("retry", () => { byId("error").hidden = true; again?.(); });
  onClick("dismiss", () => { byId("error").hidden = true; });
  byId("hits").addEventListener("keydown", moveAmongHits);
  onClick("add-right", () => addExamples(rightOnes()));
  onClick("save-csv", () => saveCsv(state.hits, state.marks));
  onClick("save-json", () => saveJson(state.hits, state.marks, exportAbout()));
  onClick("scene-previous", () => openScene(state.open - 1));
  onClick("scene-next", () => openScene(state.open + 1));
  onClick("scene-close", () => byId("scene").close());
  onClick("scene-search", onOpen((hit) => searchWith(hit.person)));
  onClick("scene-add", onOpen((hit) => { byId("scene").close(); addExamples([hit.person]); }));
  onClick("scene-use", onOpen((hit) => { byId("scene").close(); stageScene(hit.person); }));
  onClick("scene-right", onOpen((hit) => mark(hit, "right")));
  onClick("scene-wrong", onOpen((hit) => mark(hit, "wrong")));
  byId("scene").addEventListener("keydown", sceneKeys);
  byId("scene").addEventListener("close", () => { state.open = -1; });
  onClick("scenes-close", () => byId("scenes").close());
  onClick("scenes-more", () => listScenes());
  byId("scenes-camera").addEventListener("change", () => listScenes({ anew: true }));
  window.addEventListener("popstate", () => state.info ? recall() : begin());
  window.addEventListener("resize", () => { clearTimeout(redraw); redraw = setTimeout(showTimeline, 200); });
  listenForDrops();
}

function listenForDrops() {
  const dragging = (is) => document.body.classList.toggle("dragging", is);
  document.addEventListener("dragover", (event) => { event.preventDefault(); dragging(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) dragging(false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    dragging(false);
    dropPhoto(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => dropPhoto(event.clipboardData.files[0]));
}

function exportAbout() {
  const examples = state.examples.map(({ stage, person, box }) => ({ ...(stage ? { photo: stage.name } : { person }), ...(box && { box }) }));
  const { gallery, note, terms } = state.info;
  return { note, terms, gallery, query: { examples, ...askedFilters() } };
}

listen();
if (isNarrow.matches) byId("filters").open = false;
begin();
