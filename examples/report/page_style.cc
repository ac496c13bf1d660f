#include "report/page_style.h"

namespace report {

std::string_view page_style() {
  return R"css(:root {
  color-scheme: light;
  --back: #fbfaf7; --card: #ffffff; --ink: #1d2126; --soft: #545c66; --rule: #d9d6ce;
  --grid: #e7e4dc; --good: #00694b; --bad: #b3261e; --focus: #0a58ca;
  --s0: #c4500a; --s1: #4f5965; --s2: #0868ac; --s3: #00795a; --s4: #9a4a97; --s5: #80620a;
}
@media (prefers-color-scheme: dark) {
  :root:not([data-theme="light"]) {
    color-scheme: dark;
    --back: #14171b; --card: #1c2026; --ink: #e8e9ea; --soft: #a7afb9; --rule: #363c45;
    --grid: #2b3038; --good: #5fd3a8; --bad: #ff8a80; --focus: #7cb7ff;
    --s0: #f58b4c; --s1: #b4bdc8; --s2: #5db4ee; --s3: #3cc49a; --s4: #d98fd4; --s5: #d9b84a;
  }
}
:root[data-theme="dark"] {
  color-scheme: dark;
  --back: #14171b; --card: #1c2026; --ink: #e8e9ea; --soft: #a7afb9; --rule: #363c45;
  --grid: #2b3038; --good: #5fd3a8; --bad: #ff8a80; --focus: #7cb7ff;
  --s0: #f58b4c; --s1: #b4bdc8; --s2: #5db4ee; --s3: #3cc49a; --s4: #d98fd4; --s5: #d9b84a;
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.25rem clamp(0.9rem, 3vw, 2.5rem) 3rem; max-width: 78rem;
  background: var(--back); color: var(--ink);
  font: 1rem/1.55 system-ui, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
header { position: relative; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 0; padding-right: 6.5rem;
  text-wrap: balance; }
h2 {
  font-size: 1.3rem; line-height: 1.3; margin: 2.6rem 0 0.5rem; padding-top: 1.1rem;
  border-top: 1px solid var(--rule);
}
h3 { font-size: 1rem; margin: 0; display: flex; align-items: center; gap: 0.4rem; }
p { margin: 0.6rem 0; max-width: 68ch; }
.lead { color: var(--soft); font-size: 1.05rem; margin-top: 0.5rem; }
:focus-visible { outline: 3px solid var(--focus); outline-offset: 2px; }
button {
  font: inherit; color: inherit; background: var(--card); border: 1px solid var(--rule);
  border-radius: 0.5rem; padding: 0.35rem 0.7rem; min-height: 2.5rem; cursor: pointer;
}
button:hover { border-color: var(--soft); }
.theme { position: absolute; top: 0; right: 0; font-size: 0.9rem; }
.verdict {
  border-left: 4px solid; border-radius: 0 0.5rem 0.5rem 0; background: var(--card);
  padding: 0.7rem 1rem; max-width: none;
}
.verdict.good { border-color: var(--good); } .verdict.good span { color: var(--good); }
.verdict.bad { border-color: var(--bad); } .verdict.bad span { color: var(--bad); }
.verdict span { font-weight: 700; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); }
.s3 { --c: var(--s3); } .s4 { --c: var(--s4); } .s5 { --c: var(--s5); }
ul.cards {
  list-style: none; padding: 0; margin: 1.2rem 0; display: grid; gap: 0.8rem;
  grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr));
}
.cards li {
  background: var(--card); border: 1px solid var(--rule); border-top: 4px solid var(--c);
  border-radius: 0.6rem; padding: 0.8rem 1rem;
}
.cards p { margin: 0.2rem 0 0; font-size: 0.93rem; color: var(--soft); }
.cards .figure { font-size: 1.55rem; font-weight: 650; line-height: 1.25; color: var(--ink);
  font-variant-numeric: tabular-nums; }
.cards .figure.bad { color: var(--bad); }
ul.legend {
  list-style: none; padding: 0; margin: 0.8rem 0; display: flex; flex-wrap: wrap;
  gap: 0.3rem; align-items: center; font-size: 0.88rem;
}
.legend li { display: flex; align-items: center; gap: 0.3rem; }
.legend button { display: flex; align-items: center; gap: 0.25rem; padding: 0.2rem 0.4rem; }
.legend button[aria-pressed="false"] { color: var(--soft); text-decoration: line-through; }
.legend button[aria-pressed="false"] svg { opacity: 0.35; }
svg.key { flex: none; }
.figures {
  display: grid; gap: 1rem 1.2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(19.5rem, 100%), 1fr));
}
figure {
  margin: 0; background: var(--card); border: 1px solid var(--rule);
  border-radius: 0.6rem; padding: 0.7rem 0.7rem 0.4rem; min-width: 0;
}
figcaption { font-weight: 650; margin-bottom: 0.2rem; }
figure svg { display: block; width: 100%; max-width: 34rem; height: auto; }
figure svg text { font-size: 11.5px; fill: var(--soft); font-variant-numeric: tabular-nums; }
figure svg text.axis-title { fill: var(--ink); font-size: 11.5px; }
figure svg text.end { fill: var(--c); font-size: 12px; font-weight: 650; }
.grid { stroke: var(--grid); stroke-width: 1; }
.axis { stroke: var(--soft); stroke-width: 1; }
.line { fill: none; stroke: var(--c); stroke-width: 2.25; stroke-linejoin: round; }
.line.dashed { stroke-dasharray: 5 4; }
.mark { fill: var(--c); stroke: var(--card); stroke-width: 1; }
.mark.hollow { fill: var(--card); stroke: var(--c); stroke-width: 2; }
.span { stroke: var(--c); stroke-width: 4; stroke-opacity: 0.4; }
.cap { stroke: var(--c); stroke-width: 2; }
.bar { fill: var(--c); }
.bar.upper { fill: var(--c); fill-opacity: 0.35; stroke: var(--c); stroke-width: 1; }
.hide-s0 .figures .s0, .hide-s1 .figures .s1, .hide-s2 .figures .s2,
.hide-s3 .figures .s3, .hide-s4 .figures .s4, .hide-s5 .figures .s5 { display: none; }
.scroll {
  overflow-x: auto; border: 1px solid var(--rule); border-radius: 0.6rem;
  background: var(--card); margin: 1rem 0; position: relative;
}
table { border-collapse: collapse; width: 100%; font-size: 0.92rem;
  font-variant-numeric: tabular-nums; }
caption { position: absolute; width: 1px; height: 1px; overflow: hidden;
  clip-path: inset(50%); }
th, td { padding: 0.3rem 0.7rem; text-align: right; white-space: nowrap; font-weight: 400; }
thead th { font-weight: 650; border-bottom: 1px solid var(--soft); vertical-align: bottom; }
.left { text-align: left; }
tbody th { background: var(--card); }
tbody tr > th:first-child, thead th:first-child { position: sticky; left: 0;
  background: var(--card); }
tr.section th { text-align: left; font-weight: 650; padding-top: 1rem;
  border-bottom: 1px solid var(--rule); }
tr.section span, tr.remark span { position: sticky; left: 0.7rem; }
tr.rule > * { border-top: 1px solid var(--grid); }
tr.remark td { text-align: left; color: var(--soft); white-space: normal; }
tr.remark span { display: inline-block; max-width: min(66ch, 84vw); }
tbody tr:not(.section):not(.remark):hover > * {
  background: color-mix(in srgb, var(--card), var(--soft) 12%); }
.tone-bad { color: var(--bad); font-weight: 650; } .tone-good { color: var(--good); }
.tone-dim { color: var(--soft); } .tone-strong { font-weight: 650; }
dl { display: grid; gap: 0.1rem 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); }
dl div { padding: 0.35rem 0; border-bottom: 1px solid var(--grid); }
dt { color: var(--soft); font-size: 0.88rem; } dd { margin: 0; overflow-wrap: anywhere; }
pre { overflow-x: auto; background: var(--card); border: 1px solid var(--rule);
  border-radius: 0.6rem; padding: 0.8rem 1rem; font-size: 0.9rem; }
@media (max-width: 34rem) {
  h1 { padding-right: 0; }
  .theme { position: static; margin-top: 0.7rem; }
}
@media print { button { display: none; } figure, .cards li { break-inside: avoid; } }
)css";
}

std::string_view page_script() {
  return R"js((function () {
  var root = document.documentElement;
  var dark = matchMedia("(prefers-color-scheme: dark)");
  var button = document.createElement("button");
  button.type = "button";
  button.className = "theme";
  function shown() { return root.dataset.theme || (dark.matches ? "dark" : "light"); }
  function label() { button.textContent = shown() === "dark" ? "Light page" : "Dark page"; }
  button.addEventListener("click", function () {
    root.dataset.theme = shown() === "dark" ? "light" : "dark";
    label();
  });
  dark.addEventListener("change", label);
  label();
  document.querySelector("header").append(button);
  document.querySelectorAll(".legend li").forEach(function (item) {
    var name = item.dataset.series;
    var toggle = document.createElement("button");
    toggle.type = "button";
    toggle.dataset.series = name;
    toggle.setAttribute("aria-pressed", "true");
    toggle.append.apply(toggle, item.childNodes);
    toggle.addEventListener("click", function () {
      var hidden = root.classList.toggle("hide-" + name);
      document.querySelectorAll(".legend button[data-series=" + name + "]").forEach(
        function (other) { other.setAttribute("aria-pressed", String(!hidden)); });
    });
    item.append(toggle);
  });
})();
)js";
}

}  // namespace report
