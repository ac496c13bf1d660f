// The little that moves: the drop zone of the first page, and the bar of a conversion.
// Everything works without it, too.
"use strict";

document.documentElement.classList.add("script");

const at = (id) => document.getElementById(id);

function dropZone(input) {
  const zone = input.parentElement;
  const bound = at("hint").textContent;
  const show = () => {
    const file = input.files[0];
    zone.classList.toggle("full", Boolean(file));
    at("chosen").textContent = file ? file.name : "Choose a file";
    at("hint").textContent = file
      ? Math.max(1, Math.round(file.size / 1024)) + " kB; choose or drop another"
      : "or drop it here; " + bound;
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
  show(); // the browser may have kept a file over a reload
}

const headings = {
  waiting: "Waiting",
  running: "Converting",
  done: "Converted",
  failed: "Not converted",
  cancelled: "Stopped",
  gone: "There is no such conversion any more",
};

function watch(page) {
  const file = document.title.slice(document.title.indexOf(": "));
  let over = false;
  let said = -1;

  const title = (heading, percent) => {
    document.title = heading + (percent ? " " + percent + " %" : "") + file;
  };

  const show = (now) => {
    if (over) return;
    over = !["waiting", "running"].includes(now.state);
    page.className = now.state;
    at("heading").textContent = headings[now.state];
    at("message").textContent = now.message;
    at("percent").textContent = now.percent + " %";
    at("bar").value = now.percent;
    title(headings[now.state], over ? 0 : now.percent);
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
  };

  // What the page shows is no longer known to be so.
  const doubt = (sentence) => {
    if (at("message").textContent === sentence) return;
    at("message").textContent = sentence;
    at("said").textContent = sentence;
    said = -1;
  };

  const gone = () => {
    show({ state: "gone", message: "It may be too old, or was removed.", percent: 0 });
    at("conversion").querySelector(".lead").hidden = true;
  };

  // Where events do not come through, as behind some proxies, the page asks; and so does a
  // page that nobody looks at, but seldom: of a browser's six connections to a site each
  // page with events holds one, and a seventh would never load.
  let events = null;
  let heard = true; // events came through, the last time
  let asking = false;
  let wake = () => {};

  const ask = async () => {
    if (asking) return;
    asking = true;
    while (!over && events === null) {
      try {
        const answer = await fetch(page.dataset.status);
        if (answer.ok) show(await answer.json());
        else if (answer.status === 404) gone();
        else throw new Error(answer.statusText);
      } catch {
        doubt("The site does not answer; this page goes on asking.");
      }
      await new Promise((next) => {
        wake = next;
        setTimeout(next, document.hidden ? 5000 : 500);
      });
    }
    asking = false;
  };

  const listen = () => {
    events = new EventSource(page.dataset.events);
    events.onmessage = (event) => {
      show(JSON.parse(event.data));
      if (over) events.close();
    };
    events.onerror = () => {
      events.close();
      events = null;
      heard = false;
      ask();
    };
  };

  document.addEventListener("visibilitychange", () => {
    if (over) return;
    if (!document.hidden) {
      if (heard && events === null) listen();
      wake();
    } else if (events !== null) {
      events.close();
      events = null;
      ask();
    }
  });
  if (document.hidden) ask();
  else listen();
}

document.addEventListener("DOMContentLoaded", () => {
  if (at("file")) dropZone(at("file"));
  if (at("conversion") && !at("bar").hidden) watch(at("conversion"));
});
