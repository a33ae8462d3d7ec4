// Asks the server. The token is in the address, and goes into a header: no other page can send it.

const fragment = () => new URLSearchParams(location.hash.slice(1));

class Refusal extends Error {
  constructor(status, parts) {
    const { where = "", expected = "", found = "", hint = "" } = parts;
    const end = [expected && `expected: ${expected}`, hint].filter(Boolean).join("; ");
    super(`${where}: ${found || "refused"}${end ? ` (${end})` : ""}`);
    Object.assign(this, { status, where, found });
  }
}

async function ask(path, { body, signal } = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: body === undefined ? "GET" : "POST",
      headers: { "X-Maskps-Token": fragment().get("token") || "" },
      body, signal, cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, { where: "The server does not answer", found: "it has ended, or was started anew",
      hint: "start maskps serve again, and open the address that it prints" });
  }
  if (answer.ok) return answer;
  const parts = await answer.json().catch(() => ({}));
  throw new Refusal(answer.status, parts.error || { where: `status ${answer.status}` });
}

const askJson = async (path, options) => (await ask(path, options)).json();

// Pictures come by `ask`, too, since an <img> cannot send the token. Few at a time, each once.
const pictures = {
  kept: new Map(), // address -> promise of a blob's URL; the last used one last
  most: 400, atOnce: 4, running: 0, waiting: [],

  get(path) {
    const known = this.kept.get(path) || this.load(path);
    this.kept.delete(path);
    this.kept.set(path, known);
    return known;
  },

  load(path) {
    const loading = this.turn().then(() => ask(path)).then((answer) => answer.blob())
      .then((blob) => URL.createObjectURL(blob)).finally(() => this.done());
    loading.catch(() => this.kept.delete(path)); // asked again next time
    for (const [old, url] of this.kept) {
      if (this.kept.size < this.most) break;
      this.kept.delete(old);
      url.then((one) => URL.revokeObjectURL(one), () => {});
    }
    return loading;
  },

  async turn() {
    if (this.running >= this.atOnce) await new Promise((go) => this.waiting.push(go));
    this.running += 1;
  },

  done() {
    this.running -= 1;
    this.waiting.shift()?.();
  },
};

// A picture that is loaded when it comes into sight; `className` is that of the image.
function picture(path, alt, className) {
  const place = make("span", { className: `${className} waiting`, "data-path": path, "data-alt": alt });
  inSight.observe(place);
  return place;
}

async function showPicture(place) {
  const name = place.className.replace(" waiting", "");
  try {
    place.replaceWith(make("img", { className: name, alt: place.dataset.alt, src: await pictures.get(place.dataset.path) }));
  } catch (error) {
    place.replaceWith(make("span", { className: "missing" }, error.found || error.message));
  }
}

const inSight = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    inSight.unobserve(target);
    showPicture(target);
  }
}, { rootMargin: "200px" });
