// The file of decisions, and the copy that the browser keeps until it is saved.

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
  if (!saved.decisions.length) return say("There are no decisions to save yet.");
  const name = [content.subset, saved.reviewer].filter(Boolean).join("-").replace(/[^\p{L}\p{N}._-]+/gu, "_");
  saveFile(`${name}.review.json`, JSON.stringify(saved, null, 1), "application/json");
  unsaved = false;
  keep();
  say(`Saved ${count(saved.decisions.length, "decision")} as ${name}.review.json, in the downloads of this browser.`);
}

function readDecisions(text) {
  let read;
  try {
    read = JSON.parse(text);
  } catch {
    throw new Error("it is not JSON, or cut off");
  }
  if (read?.format !== content.format) throw new Error("it is not a file of decisions");
  if (read.version !== content.version) throw new Error(`its version is ${read.version}, not ${content.version}`);
  if (read.fingerprint !== content.fingerprint) throw new Error("it is about another data set");
  const isOne = (one) => typeof one?.scene === "string" && Number.isInteger(one.person)
    && Object.hasOwn(STATES, one.decision) && typeof one.comment === "string" && typeof one.outline === "string";
  if (!Array.isArray(read.decisions) || !read.decisions.every(isOne)) throw new Error("its entries are damaged or were edited");
  return read;
}

// Adds decisions to the page, where existing ones stay; returns how many there were of each kind.
function merge(read, source) {
  const counts = { added: 0, older: 0, other: 0, unknown: 0 };
  for (const one of read.decisions) {
    const row = rowOf.get(keyOf(one.scene, one.person));
    if (row === undefined) {
      counts.unknown++;
      continue;
    }
    const mine = decided[row];
    const isOlder = one.outline !== persons[row].outline;
    if (isOlder || ((mine.decision || mine.comment)
        && (mine.decision !== one.decision || mine.comment !== one.comment))) {
      counts[isOlder ? "older" : "other"]++;
      const what = [one.decision && STATES[one.decision], one.comment].filter(Boolean).join(": ");
      const note = `${isOlder ? "Before the outline changed" : "Elsewhere"}, ${read.reviewer || source}: ${what}`;
      if (!notes[row].includes(note)) notes[row].push(note);
    } else {
      counts.added++;
      decided[row] = { decision: one.decision, comment: one.comment };
    }
    show(row);
  }
  if (!byId("reviewer").value && typeof read.reviewer === "string") byId("reviewer").value = read.reviewer;
  return counts;
}

async function load(files) {
  const lines = [];
  for (const file of files) {
    try {
      const counts = merge(readDecisions(await file.text()), file.name);
      unsaved ||= counts.added > 0;
      lines.push([`${file.name}: ${count(counts.added, "decision")} loaded`,
        counts.older && `${counts.older} about outlines that changed since, shown beside the person`,
        counts.other && `${counts.other} different from those here, which stay; shown beside the person`,
        counts.unknown && `${counts.unknown} about persons who are not on this page`].filter(Boolean).join("; "));
    } catch (error) {
      lines.push(`${file.name} was not loaded: ${error.message}`);
    }
  }
  arrange();
  keep();
  say(lines.join(". "));
}

// ---- what the browser keeps

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
    showKept(false); // full
  }
}

function showKept(isKept) {
  const kept = byId("kept");
  kept.className = isKept ? "note screen" : "warning";
  kept.textContent = isKept
    ? "This browser keeps your decisions, on this computer only. Save them to pass them on."
    : "This browser cannot keep your decisions (a private window?): save them before you leave.";
}

function restore() {
  showKept(storage !== null);
  const text = storage?.getItem(place);
  if (!text) return;
  try {
    const read = readDecisions(text);
    const counts = merge(read, "this browser");
    unsaved = Boolean(read.unsaved);
    if (counts.added) say(`${count(counts.added, "decision")} from last time restored.`);
  } catch {
    // not ours: the next decision overwrites it
  }
}
