// Tables sort by a click on a head, numbers by size. Without this the page is complete, only not sortable.
"use strict";
const number = (text) => {
  const found = /^<?([+\-−]?[\d,]*\.?\d+)/.exec(text);  // p may be "<0.001"
  return found ? Number(found[1].replace(/,/g, "").replace("−", "-")) : NaN;
};
const compare = (one, other) => {
  const [a, b] = [number(one), number(other)];
  if (Number.isNaN(a) && Number.isNaN(b)) return one.localeCompare(other);
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
  return a - b;
};
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  heads.forEach((head, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const text = (row) => row.cells[index].textContent.trim();
      body.append(...[...body.rows].sort((one, other) => sign * compare(text(one), text(other))));
    });
  });
}
