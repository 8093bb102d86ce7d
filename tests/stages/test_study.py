"""A user study: its page answered in a headless browser, its key, and the count."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from tests.tiny_world import trellis
from trellis_cli.errors import FileError
from trellis_cli.stages.study import TRIALS, read_cases, tally
from trellis_cli.stages.suite_assets import make_toy

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
METHODS = ("ours", "theirs", "others")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cases of three methods: pictures, one turning mesh, one prompt that is a picture."""
    folder = tmp_path_factory.mktemp("study")
    lines = ["case,method,file,text,image"]
    for k in range(4):
        for m, method in enumerate(METHODS):
            Image.new("RGB", (8, 8), (60 * m, 50 * k, 0)).save(folder / f"{k}-{m}.png")
            prompt = ",0-0.png" if k == 3 else f'"a chair </script><b> number {k}",'
            lines.append(f"case {k},{method},{k}-{m}.png,{prompt}")
    make_toy("chair", 1, folder / "chair.glb")
    lines[1] = lines[1].replace("0-0.png", "chair.glb")
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    trellis("study", "page", folder / "cases.csv", "-o", folder / "study.html", "--trials", 3)
    return folder


def embedded(folder: Path) -> dict:
    page = (folder / "study.html").read_text()
    (found,) = re.findall(r'<script type="application/json" id="study">(.*?)</script>', page, re.DOTALL)
    return json.loads(found)


def test_the_page_holds_all_and_tells_no_method(folder: Path) -> None:
    page, key = (folder / "study.html").read_text(), json.loads((folder / "study.key.json").read_text())
    study = embedded(folder)
    assert not any(method in page for method in METHODS) and not re.search(r"(src|href)=.?(http|//)", page)
    assert study["trials"] == 3 and len(study["cases"]) == 4 and study["id"] == key["study"]
    for case in study["cases"]:
        assert sorted(key["methods"][c["id"]] for c in case["candidates"]) == sorted(METHODS)
        assert [c["id"] for c in case["candidates"]] == sorted(c["id"] for c in case["candidates"])
    kinds = {c["file"].split(";")[0] for case in study["cases"] for c in case["candidates"]}
    assert kinds == {"data:image/png", "data:image/webp"} and study["cases"][3]["image"].startswith("data:image/png")


def test_an_object_turns(folder: Path) -> None:
    from trellis_cli.stages.study import turning

    (folder / "x.webp").write_bytes(turning(folder / "chair.glb", frames=6, size=48))
    with Image.open(folder / "x.webp") as picture:
        assert picture.size == (48, 48) and getattr(picture, "n_frames", 1) == 6


DOM = """
const made = [], kept = {}, ids = {};
function node(name) {
  const it = { name, dataset: {}, children: [], append(...c) { this.children.push(...c); },
    replaceChildren(...c) { this.children = c; }, click() { this.onclick(); } };
  made.push(it);
  return it;
}
for (const id of ["study", "place", "progress"]) ids[id] = node("p");
const body = node("body");
globalThis.document = { body, createElement: node, getElementById: id => ids[id] };
globalThis.localStorage = { getItem: key => kept[key] ?? null, setItem(key, value) { kept[key] = value; } };
globalThis.crypto = { getRandomValues: a => a.map(() => Math.random() * 2 ** 32) };
globalThis.Blob = class { constructor(parts) { this.text = parts.join(""); } };
globalThis.URL = { createObjectURL: blob => "blob:" + blob.text };
const all = it => [it, ...(it.children ?? []).flatMap(all)];
const found = test => all(ids.place).filter(it => it && it.name && test(it));
const candidates = () => found(it => it.className === "candidate");
const unsure = () => found(it => it.id === "unsure")[0];
"""


def test_the_script_alone_counts_clicks_and_goes_on_where_it_was(folder: Path) -> None:
    """The page's own script on the few parts of a browser that it uses; closed after two answers, and opened again."""
    import quickjs

    script = re.findall(r"<script>(.*?)</script>", (folder / "study.html").read_text(), re.DOTALL)[0]
    context = quickjs.Context()
    context.eval(DOM)
    context.set("given", json.dumps(embedded(folder)))
    context.eval("ids.study.textContent = given")
    context.eval(f"(() => {{{script}}})(); candidates()[0].click(); unsure().click();")
    assert context.eval("ids.progress.textContent") == "2 of 3"
    context.eval(f"(() => {{{script}}})();")  # opened again
    assert context.eval("ids.progress.textContent") == "2 of 3"
    context.eval("candidates().slice(-1)[0].click()")
    check_clicked(folder, json.loads(context.eval("body.dataset.answers")))
    (link,) = json.loads(context.eval("JSON.stringify(found(it => it.id === 'save'))"))
    assert json.loads(link["href"].removeprefix("blob:")) == json.loads(context.eval("body.dataset.answers"))


def check_clicked(folder: Path, saved: dict) -> None:
    """Of three answers the first is the first candidate, the second "not sure", the third the last candidate."""
    first, second, third = saved["answers"]
    assert first["chosen"] == first["shown"][0] and second["chosen"] is None and third["chosen"] == third["shown"][-1]
    cases = {case["id"]: {c["id"] for c in case["candidates"]} for case in embedded(folder)["cases"]}
    assert len({a["case"] for a in saved["answers"]}) == 3
    assert all(set(a["shown"]) == cases[a["case"]] for a in saved["answers"])


@pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed here")
def test_answers_are_those_that_were_clicked(folder: Path, tmp_path: Path) -> None:
    """First the first candidate, then "not sure", then the last: by clicks in a headless browser."""
    assert BROWSER is not None
    clicks = """<script>
      const c = () => document.querySelectorAll("button.candidate");
      c()[0].click(); document.getElementById("unsure").click(); c()[c().length - 1].click();
    </script></body>"""
    page = tmp_path / "page.html"
    page.write_text((folder / "study.html").read_text().replace("</body>", clicks))
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}",
               "--dump-dom", page.as_uri()]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    (found,) = re.findall(r'data-answers="(.*?)"', dom, re.DOTALL)
    saved = json.loads(found.replace("&quot;", '"').replace("&amp;", "&"))
    check_clicked(folder, saved)
    assert "3 of 3" in dom and 'download="answers-' in dom
    (tmp_path / "answers.json").write_text(json.dumps(saved))
    said = json.loads(trellis("study", "tally", folder / "study.key.json", tmp_path / "answers.json", "--json"))
    assert said["answers"] == 3 and said["unsure"] == 1
    assert sum(m["selections"] for m in said["methods"].values()) == 2


def answers(path: Path, study: str, who: str, chosen: list[str | None], shown: list[str]) -> Path:
    made = [{"case": "case 0", "shown": shown, "chosen": id_} for id_ in chosen]
    path.write_text(json.dumps({"study": study, "participant": who, "answers": made}))
    return path


def test_the_count_is_that_of_a_table_like_the_paper_s(tmp_path: Path) -> None:
    """Ten answers of two people; one sent theirs twice."""
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"study": "s", "methods": {"1": "ours", "2": "theirs"}}))
    a = answers(tmp_path / "a.json", "s", "a", ["1"] * 4 + ["2"] + [None], ["1", "2"])
    b = answers(tmp_path / "b.json", "s", "b", ["1"] * 3 + ["2"], ["2", "1"])
    again = answers(tmp_path / "c.json", "s", "a", ["2"] * 9, ["1", "2"])
    found = tally(key, [a, b, again])
    assert (found.answers, found.unsure, found.participants) == (10, 1, 2)
    assert list(found.methods) == ["ours", "theirs"]
    ours = found.methods["ours"]
    assert (ours["selections"], ours["share"], ours["shown"]) == (7, 0.7, 10)
    assert (ours["low"], ours["high"]) == (pytest.approx(0.3968, abs=1e-3), pytest.approx(0.8922, abs=1e-3))  # Wilson's
    assert "not sure" in found.text and "10 answers of 2 participants" in found.text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("case,method,file,text\na,x,0.png,t\n", "one method alone"),
        ("case,method,file,text\na,x,0.png,\na,y,0.png,\n", "has no prompt"),
        ("case,method,file,text\na,x,0.png,t\na,x,0.png,t\n", "twice"),
        ("case,method,file,text\na,x,0.png,t\na,y,nothing.png,t\n", "is not there"),
        ("name,file\na,b\n", "no table of cases"),
        ("case,method,file,text\n", "holds no case"),
    ],
)
def test_what_is_no_table_of_cases(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "0.png").write_bytes(b"")
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(FileError, match=said):
        read_cases(tmp_path / "cases.csv")


def test_nothing_is_written_over_and_strangers_are_refused(folder: Path, tmp_path: Path) -> None:
    trellis("study", "page", folder / "cases.csv", "-o", folder / "study.html", code=2)
    trellis("study", "page", folder / "cases.csv", "-o", folder / "study.htm", code=2)
    trellis("study", "page", tmp_path / "nothing.csv", "-o", tmp_path / "x.html", code=3)
    other = answers(tmp_path / "a.json", "another", "a", ["1"], ["1"])
    trellis("study", "tally", folder / "study.key.json", other, code=3)
    mine = json.loads((folder / "study.key.json").read_text())["study"]
    unknown = answers(tmp_path / "b.json", mine, "a", ["1"], ["1"])
    trellis("study", "tally", folder / "study.key.json", unknown, code=3)
    trellis("study", "tally", folder / "study.key.json", folder / "cases.csv", code=3)
    assert TRIALS == 50
