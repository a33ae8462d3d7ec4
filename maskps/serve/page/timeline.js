// Hits over time, one row a camera. Times are those of the clock on the server's machine, as in its texts.

const STEPS = [1, 10, 60, 300, 600, 1800, 3600, 10800, 21600, 43200, 86400, 604800, 2592000, 31536000];
const UNKNOWN = "camera not known";
const BAR_WIDTH = 16; // pixels, at least

const wallTime = (text) => Date.parse(`${text.slice(0, 10)}T${text.slice(11, 19)}Z`) / 1000;
const wallText = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19);
const shortTime = (seconds) => wallText(seconds).replace("T", " ").replace(/:00$/, "");

// The time in a video, as hours, minutes and seconds.
function filmTime(seconds) {
  const [whole, part] = seconds.toFixed(2).split(".");
  const two = (number) => String(Math.floor(number) % 60).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(whole / 60)}:${two(whole)}.${part}`;
}

// Returns the rows of the strip: for each camera the bins with hits, from the first to the last time.
function binned(hits, width) {
  const timed = hits.filter((hit) => hit.time).map((hit) => ({ ...hit, at: wallTime(hit.time) }));
  if (!timed.length) return null;
  const times = timed.map((hit) => hit.at);
  const [first, last] = [Math.min(...times), Math.max(...times)];
  const most = Math.max(4, Math.floor(width / BAR_WIDTH));
  const step = STEPS.find((one) => (last - first) / one < most - 1) ?? STEPS.at(-1);
  const start = Math.floor(first / step) * step;
  const end = Math.max(Math.floor(last / step) * step + step, start + 4 * step);
  const cameras = new Map();
  for (const hit of timed) {
    const bins = cameras.get(hit.camera) ?? cameras.set(hit.camera, new Map()).get(hit.camera);
    const bin = Math.floor(hit.at / step) * step;
    bins.set(bin, [...(bins.get(bin) ?? []), hit]);
  }
  const rows = [...cameras].sort(([a], [b]) => (a === null) - (b === null) || String(a).localeCompare(String(b)));
  return { start, end, step, rows, timeless: hits.length - timed.length };
}

// `choose` gets a camera's name (null: not known) and, for a bar, its start and end as texts.
function drawTimeline(hits, choose) {
  const strip = byId("strip");
  const found = binned(hits, byId("start").parentElement.clientWidth - (innerWidth > 640 ? 200 : 130));
  const hadFocus = strip.contains(document.activeElement);
  byId("timeline").hidden = !found;
  if (!found) return;
  const { start, end, step, rows, timeless } = found;
  const most = Math.max(...rows.flatMap(([, bins]) => [...bins.values()].map((one) => one.length)));
  const buttons = [];
  const drawn = rows.map(([camera, bins]) => {
    const name = camera === null ? make("span", { className: "soft" }, UNKNOWN)
      : make("button", { type: "button", className: "link", title: camera, "aria-label": `${camera}: only this camera` }, make("bdi", {}, camera));
    name.addEventListener("click", () => camera === null || choose(camera));
    const track = make("div", { className: "track" });
    for (const [bin, inside] of [...bins].sort(([a], [b]) => a - b)) {
      const best = Math.max(...inside.map((hit) => hit.similarity)).toFixed(3);
      const label = `${camera ?? UNKNOWN}, ${shortTime(bin)} to ${shortTime(bin + step)}: ${count(inside.length, "hit")}, best ${best}`;
      const bar = make("button", { type: "button", title: label, "aria-label": label });
      bar.style.left = inPercent(bin - start, end - start);
      bar.style.width = inPercent(step, end - start);
      bar.style.setProperty("--high", inPercent(0.3 + (0.7 * inside.length) / most, 1));
      bar.addEventListener("click", () => choose(camera, wallText(bin), wallText(bin + step)));
      track.append(bar);
      buttons.push(bar);
    }
    return make("div", { className: "row" }, name, track);
  });
  onlyOneByTab(buttons, buttons[0]);
  const middle = start + (end - start) / 2;
  const axis = make("div", { className: "axis", "aria-hidden": "true" },
    ...[start, middle, end].map((at) => make("span", {}, shortTime(at))));
  strip.replaceChildren(...drawn, axis);
  if (hadFocus) buttons[0].focus();
  strip.onkeydown = (event) => moveByArrows(strip, buttons, event);
  byId("timeless").textContent = timeless ? `${count(timeless, "hit")} without a time.` : "";
}
