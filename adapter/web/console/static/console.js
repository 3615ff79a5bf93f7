// The console works without this file; with it, it judges as you type and follows the journal.
"use strict";

const one = (selector, root = document) => root.querySelector(selector);
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// Moments stand in UTC; they are shown in the reader's own zone, UTC stays in the title.
function localize(root) {
  const two = (number) => String(number).padStart(2, "0");
  for (const time of all("time[datetime]:not([title])", root)) {
    const at = new Date(time.dateTime);
    if (isNaN(at)) continue;
    time.title = time.textContent;
    time.textContent = `${two(at.getDate())}.${two(at.getMonth() + 1)}.${at.getFullYear()} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  }
}

// Replace only the parts that changed, so that what is open stays open and what is typed stays typed.
function renew(target, html) {
  const fresh = document.createElement("div");
  fresh.innerHTML = html;
  localize(fresh);
  for (const part of all("[id]", target)) {
    const other = one(`#${CSS.escape(part.id)}`, fresh);
    if (other && part.tagName === "DETAILS") other.open = part.open;
  }
  swap(target, fresh);
}

function swap(old, fresh) {
  const names = (root) => [...root.children].map((child) => child.id).join(" ");
  if (old.children.length && names(old) === names(fresh) && [...fresh.children].every((child) => child.id)) {
    const others = [...fresh.children]; // those that are moved into the page leave this list as it is
    [...old.children].forEach((child, place) => {
      const other = others[place];
      if (child.outerHTML === other.outerHTML) return;
      if (child.querySelector(":scope > [id^=part-]")) swap(child, other);
      else child.replaceWith(other);
    });
  } else {
    old.replaceChildren(...fresh.childNodes);
  }
}

function follow(target) {
  const source = new EventSource(target.dataset.live);
  source.addEventListener("story", (event) => renew(target, JSON.parse(event.data).html));
  source.addEventListener("end", () => source.close());
  addEventListener("pagehide", () => source.close());
}

function awaitTaken(target) {
  const source = new EventSource(target.dataset.found);
  source.addEventListener("found", () => { source.close(); location.reload(); });
  addEventListener("pagehide", () => source.close());
}

function refresh(target) {
  const look = async () => {
    if (!document.hidden) {
      try {
        const answer = await fetch(target.dataset.refresh);
        if (answer.ok && !answer.redirected) renew(target, await answer.text());
      } catch { /* the next look may find the console again */ }
    }
    setTimeout(look, Number(target.dataset.every) * 1000);
  };
  setTimeout(look, Number(target.dataset.every) * 1000);
}

class Editor {
  constructor(area) {
    this.area = area;
    this.lines = area.previousElementSibling;
    this.verdict = one("#verdict");
    this.asked = 0;
    const reason = one("[data-reason]");
    area.addEventListener("input", () => {
      this.number();
      this.soon();
      if (reason && reason.value === reason.defaultValue) reason.value = ""; // an example's own reason leaves with it
    });
    area.addEventListener("scroll", () => { this.lines.style.transform = `translateY(${-area.scrollTop}px)`; });
    area.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) area.form.requestSubmit();
    });
    this.verdict.addEventListener("click", (event) => {
      const jump = event.target.closest(".jump");
      if (jump && jump.dataset.line) this.go(Number(jump.dataset.line));
    });
    this.number();
    this.mark(all(".jump", this.verdict).map((jump) => Number(jump.dataset.line)));
  }

  number() {
    const wanted = this.area.value.split("\n").length;
    while (this.lines.children.length < wanted) this.lines.append(document.createElement("i"));
    while (this.lines.children.length > wanted) this.lines.lastElementChild.remove();
    this.area.rows = Math.min(Math.max(wanted, 8), 42);
  }

  soon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.check(), 250);
  }

  async check() {
    const turn = ++this.asked;
    const form = new FormData();
    form.set("action", this.area.form.elements.action.value);
    form.set("body", this.area.value);
    let said;
    try {
      const answer = await fetch(this.area.dataset.check, {
        method: "POST", body: form, headers: { "X-CSRF": document.body.dataset.csrf },
      });
      if (!answer.ok) return;
      said = await answer.json();
    } catch { return; }
    if (turn !== this.asked) return;
    this.verdict.className = `verdict ${said.good ? "good" : "bad"}`;
    one("[data-sentence]").textContent = said.sentence;
    one("[data-faults]").replaceChildren(...said.faults.map((fault) => this.fault(fault)));
    this.mark(said.faults.map((fault) => fault.line));
  }

  fault({ path, rule, line }) {
    const entry = document.createElement("li");
    const jump = document.createElement("button");
    const name = document.createElement("code");
    const sentence = document.createElement("span");
    jump.type = "button";
    jump.className = "jump";
    jump.dataset.line = line || "";
    name.textContent = path;
    sentence.textContent = rule;
    jump.append(name);
    if (line) {
      const place = document.createElement("span");
      place.className = "dim";
      place.textContent = document.documentElement.lang === "ru" ? `строка ${line}` : `line ${line}`;
      jump.append(place);
    }
    entry.append(jump, sentence);
    return entry;
  }

  mark(wanted) {
    const bad = new Set(wanted);
    [...this.lines.children].forEach((line, place) => line.classList.toggle("bad", bad.has(place + 1)));
    this.area.setAttribute("aria-invalid", String(bad.size > 0 || this.verdict.classList.contains("bad")));
  }

  go(line) {
    const before = this.area.value.split("\n").slice(0, line - 1).join("\n").length;
    const start = before + (line > 1 ? 1 : 0);
    const end = this.area.value.indexOf("\n", start);
    this.area.focus();
    this.area.setSelectionRange(start, end < 0 ? this.area.value.length : end);
  }
}

// Choosing by mouse opens the action at once; by keyboard the button does, because arrows pass over the others.
function choose(select) {
  let pointed = false;
  select.addEventListener("pointerdown", () => { pointed = true; });
  select.addEventListener("keydown", () => { pointed = false; });
  select.addEventListener("change", () => { if (pointed) select.form.requestSubmit(); });
}

localize(document);
all("[data-live]").forEach(follow);
all("[data-found]").forEach(awaitTaken);
all("[data-refresh]").forEach(refresh);
all("[data-check]").forEach((area) => new Editor(area));
all("[data-choose]").forEach(choose);
