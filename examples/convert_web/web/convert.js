// The little that moves: the drop zone of the first page, and the bar of a conversion.
// Everything works without it, too.
"use strict";

const at = (id) => document.getElementById(id);

function dropZone(input) {
  const zone = input.parentElement;
  const show = () => {
    const file = input.files[0];
    zone.classList.toggle("full", Boolean(file));
    at("chosen").textContent = file ? file.name : "Choose a file";
    at("hint").textContent = file
      ? Math.max(1, Math.round(file.size / 1024)) + " kB; choose or drop another"
      : "or drop it here";
  };
  input.addEventListener("change", show);
  for (const type of ["dragenter", "dragover"]) {
    zone.addEventListener(type, (event) => {
      event.preventDefault();
      zone.classList.add("over");
    });
  }
  for (const type of ["dragleave", "drop"]) {
    zone.addEventListener(type, () => zone.classList.remove("over"));
  }
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length > 0) {
      input.files = event.dataTransfer.files;
      show();
    }
  });
  if (input.files.length > 0) show(); // the browser kept it over a reload
}

const headings = {
  waiting: "Waiting",
  running: "Converting",
  done: "Converted",
  failed: "Not converted",
  cancelled: "Stopped",
};

function watch(page) {
  let over = false;
  let said = -1;

  const show = (now) => {
    if (over) return;
    over = !["waiting", "running"].includes(now.state);
    page.className = now.state;
    at("heading").textContent = headings[now.state];
    at("message").textContent = now.message;
    at("percent").textContent = now.percent + " %";
    at("bar").setAttribute("aria-valuenow", now.percent);
    at("fill").style.transform = "scaleX(" + now.percent / 100 + ")";
    for (const id of ["bar", "percent", "stop"]) at(id).hidden = over;
    at("more").hidden = !over;
    at("download").hidden = now.state !== "done";
    at("summary").hidden = now.state !== "done";
    at("operator").hidden = now.state !== "failed" || !("mails" in at("operator").dataset);
    if (now.state === "done") {
      at("summary").textContent = now.summary;
      at("notes").hidden = now.notes.length === 0;
      at("notes").replaceChildren(
        ...now.notes.map((note) => {
          const item = document.createElement("li");
          item.textContent = note;
          return item;
        })
      );
    }
    // A screen reader hears each quarter, and the end.
    const quarter = over ? 9 : Math.floor(now.percent / 25);
    if (quarter !== said) {
      said = quarter;
      at("said").textContent = over
        ? headings[now.state] + ". " + (now.summary ?? now.message)
        : now.percent + " percent";
    }
    if (over) {
      document.title = headings[now.state] + document.title.slice(document.title.indexOf(":"));
    }
  };

  // Where events do not come through, as behind some proxies, the page asks.
  const poll = async () => {
    while (!over) {
      try {
        const answer = await fetch(page.dataset.status);
        if (answer.ok) show(await answer.json());
        if (answer.status === 404) return;
      } catch {
        // The server is away for a moment.
      }
      await new Promise((next) => setTimeout(next, 500));
    }
  };

  const events = new EventSource(page.dataset.events);
  events.onmessage = (event) => {
    show(JSON.parse(event.data));
    if (over) events.close();
  };
  events.onerror = () => {
    events.close();
    poll();
  };
}

if (at("file")) dropZone(at("file"));
const conversion = at("conversion");
if (conversion && !at("bar").hidden) {
  at("fill").style.transform = "scaleX(" + at("bar").getAttribute("aria-valuenow") / 100 + ")";
  watch(conversion);
}
