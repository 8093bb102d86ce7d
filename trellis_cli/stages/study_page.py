"""The page of a user study: one file that opens from disk, asks, and saves what was answered."""

import json
from collections.abc import Mapping
from typing import Any

STYLE = """
body { font: 17px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 74rem; padding: 0 1rem;
  text-align: center; }
.prompt { font-size: 1.4rem; margin: 1rem; } .prompt img { max-height: 200px; }
.candidates { display: flex; flex-wrap: wrap; gap: 1rem; justify-content: center; }
button { font: inherit; padding: .5rem; border: 2px solid #ccc; background: #fff; border-radius: .4rem; }
button:hover, button:focus { border-color: #4878a8; cursor: pointer; }
.candidates img, .candidates video { width: 230px; display: block; }
#unsure { margin: 1.5rem; } #progress { color: #777; }
"""

SCRIPT = """
"use strict";
const study = JSON.parse(document.getElementById("study").textContent);
const place = document.getElementById("place"), key = "trellis-study-" + study.id;

function shuffled(list) {
  const out = list.slice();
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(crypto.getRandomValues(new Uint32Array(1))[0] / 2 ** 32 * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

function remembered() {
  try { return JSON.parse(localStorage.getItem(key)); } catch { return null; }
}

function remember() {
  try { localStorage.setItem(key, JSON.stringify(state)); } catch { /* a browser that keeps nothing from disk */ }
}

const state = remembered() || {
  participant: Array.from(crypto.getRandomValues(new Uint32Array(2)), n => n.toString(16).padStart(8, "0")).join(""),
  trials: shuffled(study.cases.map((_, i) => i)).slice(0, study.trials)
    .map(i => ({ case: i, shown: shuffled(study.cases[i].candidates.map(c => c.id)) })),
  answers: [],
};

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function moving(file, text) {
  return file.startsWith("data:video/")
    ? element("video", { src: file, autoplay: true, loop: true, muted: true, playsInline: true })
    : element("img", { src: file, alt: text });
}

function answer(chosen) {
  const trial = state.trials[state.answers.length];
  state.answers.push({ case: study.cases[trial.case].id, shown: trial.shown, chosen });
  remember();
  show();
}

function show() {
  place.replaceChildren();
  const done = state.answers.length, trial = state.trials[done];
  document.getElementById("progress").textContent = done + " of " + state.trials.length;
  if (!trial) return finish();
  const asked = study.cases[trial.case];
  const prompt = asked.image ? moving(asked.image, "the picture asked for") : asked.text;
  const row = element("div", { className: "candidates" });
  for (const [n, id] of trial.shown.entries()) {
    const candidate = asked.candidates.find(c => c.id === id);
    const pick = element("button", { className: "candidate" }, moving(candidate.file, "candidate " + (n + 1)));
    pick.dataset.id = id;
    pick.onclick = () => answer(id);
    row.append(pick);
  }
  place.append(
    element("p", {}, "Which of these looks best, and is most like this?"),
    element("div", { className: "prompt" }, prompt), row,
    element("button", { id: "unsure", onclick: () => answer(null) }, "Not sure"),
  );
}

function finish() {
  const saved = JSON.stringify({ study: study.id, participant: state.participant, answers: state.answers }, null, 1);
  const link = element("a", {
    id: "save", download: "answers-" + state.participant + ".json",
    href: URL.createObjectURL(new Blob([saved], { type: "application/json" })),
  }, "Save the answers");
  place.append(element("p", {}, "Thank you. Please save your answers and send the file back."), element("p", {}, link));
  document.body.dataset.answers = saved;
}

show();
"""


def study_page(study: Mapping[str, Any]) -> str:
    """The HTML of a study.

    Args:
        study: id, trials, and cases, each with an id, a text or an image, and candidates with an id and a file; images
            and files as data URIs. Nothing in it says which method made what.
    """
    data = json.dumps(study).replace("<", "\\u003c")  # so that no text can end the script
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Which is best?</title>'
        f'<style>{STYLE}</style></head><body><p id="progress"></p><div id="place"></div>'
        f'<script type="application/json" id="study">{data}</script><script>{SCRIPT}</script></body></html>\n'
    )
