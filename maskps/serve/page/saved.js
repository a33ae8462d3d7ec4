// Hits with their marks, as files.

const COLUMNS = "rank similarity person path kind camera time frame_time x0 y0 x1 y1 score mark".split(" ");

// No spreadsheet may calculate a text from a file's name.
function cell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && /^[=+\-@\t\r]/.test(value) ? `'${value}` : `${value}`;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function saveCsv(hits, marks) {
  const lines = hits.map((hit) => {
    const [x0, y0, x1, y1] = hit.box;
    const row = { ...hit, x0, y0, x1, y1, mark: marks.get(hit.person) };
    return COLUMNS.map((name) => cell(row[name])).join(",");
  });
  saveFile("hits.csv", `${[COLUMNS.join(","), ...lines].join("\n")}\n`, "text/csv");
}

function saveJson(hits, marks, about) {
  const marked = hits.map(({ source, ...hit }) => ({ ...hit, mark: marks.get(hit.person) ?? null }));
  const content = { format: "maskps-marked-hits", version: 1, ...about, hits: marked };
  saveFile("hits.json", `${JSON.stringify(content, null, 2)}\n`, "application/json");
}
