// The file of decisions, and what the browser keeps of it meanwhile.

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
  if (!saved.decisions.length) return say("Nothing is decided yet.");
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
  const isOne = (one) => typeof one?.scene === "string" && Number.isInteger(one.person)
    && Object.hasOwn(STATES, one.decision) && typeof one.comment === "string" && typeof one.outline === "string";
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
