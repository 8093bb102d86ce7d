"""Captions by an endpoint on this very machine, which also misbehaves: 429, 500, silence, nonsense, refusal."""

import base64
import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.tiny_world import trellis
from trellis_cli.data.captioning import BadAnswer, checked_caption, checked_description, checked_short, cost
from trellis_cli.stages.export_objects import export_objects

KEY = "sk-very-secret-123"
DESCRIPTION = "A wooden chair with four turned legs, a high back of five slats and a woven seat."
CAPTION = "A high-backed wooden chair with a woven seat."
SHORT = [" ".join(["chair"] * words) for words in (12, 11, 10, 9, 8, 7, 6, 5, 4, 2)]
Answer = Callable[["Server", dict[str, Any]], tuple[int, Any, dict[str, str]]]


def good(server: "Server", body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    """The right answer to each of the three questions, told apart by what they hold."""
    content = body["messages"][0]["content"]
    if isinstance(content, list):
        text = DESCRIPTION
    else:
        text = f"```json\n{json.dumps(SHORT)}\n```" if "JSON" in content else f'"{CAPTION}"'
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}}]}, {}


class Server(ThreadingHTTPServer):
    """Answers with `script`, one entry a request; when that is used up, well."""

    def __init__(self) -> None:
        self.script: list[Answer] = []
        self.bodies: list[dict[str, Any]] = []
        self.times: list[float] = []
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.bodies.append({**body, "path": self.path, "key": self.headers["Authorization"]})
        server.times.append(time.monotonic())
        code, answer, headers = (server.script.pop(0) if server.script else good)(server, body)
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        try:
            self.send_response(code)
            for name, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
        except OSError:  # who asked has hung up
            pass

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    export_objects("toybox", None, tmp_path, num=3)
    return tmp_path / "manifest.jsonl"


def caption(server: Server, manifest: Path, *options: object, code: int = 0) -> list[dict[str, Any]]:
    out = manifest.with_name("captioned.jsonl")
    trellis(
        "data", "caption", manifest, "-o", out, "--endpoint", server.url, "--model", "seer", "--timeout", 2,
        "--retries", 2, *options, code=code,
    )  # fmt: skip
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def status(code: int, **headers: str) -> Answer:
    return lambda server, body: (code, {"error": {"message": f"no, {KEY}"}}, headers)


def says(text: Any) -> Answer:
    return lambda server, body: (200, {"choices": [{"message": {"role": "assistant", "content": text}}]}, {})


def raw(data: bytes) -> Answer:
    return lambda server, body: (200, data, {})


def hangs(server: Server, body: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
    time.sleep(3)
    return good(server, body)


def test_three_questions_an_object(server: Server, manifest: Path) -> None:
    rows = caption(server, manifest)
    assert all(row["captions"] == [*reversed(SHORT), CAPTION] for row in rows) and len(rows) == 3
    assert len(server.bodies) == 9 and {b["model"] for b in server.bodies} == {"seer"}
    assert {b["key"] for b in server.bodies} == {f"Bearer {KEY}"}
    pictures = [part["image_url"]["url"] for part in server.bodies[0]["messages"][0]["content"][1:]]
    assert len(pictures) == 4
    for url in pictures:
        picture = Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2])))
        assert picture.size == (512, 512) and picture.getpixel((0, 0)) == (255, 255, 255)
        assert len(picture.getcolors(1 << 20)) > 20
    assert DESCRIPTION in server.bodies[1]["messages"][0]["content"]
    kept = [json.loads(line) for line in manifest.with_name("captioned.jsonl.captions.jsonl").read_text().splitlines()]
    assert [k["description"] for k in kept] == [DESCRIPTION] * 3
    caption(server, manifest)
    assert len(server.bodies) == 9  # nothing is asked twice


@pytest.mark.parametrize(
    "bad",
    [
        status(429, **{"retry-after": "0.2"}), status(500), status(503), hangs, raw(b"{"), raw(b"<html>"),
        says(""), says(None),
    ],
)  # fmt: skip
def test_what_passes_is_asked_again_or_costs_one_object(server: Server, manifest: Path, bad: Answer) -> None:
    """What the openai package retries goes unnoticed; an answer that is none costs the object it was for."""
    server.script = [bad]
    lost = bad not in (hangs,) and bad(server, {})[0] == 200
    rows = caption(server, manifest, code=5 if lost else 0)
    assert sum(row["captions"][-1] == CAPTION for row in rows) == (2 if lost else 3)
    if lost:
        assert len(rows) == 3  # and keeps the captions it had
        rows = caption(server, manifest, "--retry-failed")
        assert all(row["captions"][-1] == CAPTION for row in rows)


def test_bad_answers_are_told_and_asked_again(server: Server, manifest: Path) -> None:
    long = says(" ".join(["word"] * 60))
    server.script = [good, long, good, says("[1, 2]"), says("no list"), good]
    rows = caption(server, manifest)
    assert all(row["captions"][-1] == CAPTION for row in rows)
    assert "a caption of 60 words" in server.bodies[2]["messages"][0]["content"]
    assert "not a JSON list of 10 texts" in server.bodies[4]["messages"][0]["content"]
    server.bodies.clear()


def test_an_object_without_a_usable_answer_fails_alone(server: Server, manifest: Path) -> None:
    server.script = [says("hm")] * 3
    rows = caption(server, manifest, code=5)
    assert sum(row["captions"][-1] == CAPTION for row in rows) == 2
    assert "no answer of 3 could be used" in manifest.with_name("captioned.jsonl.ledger.jsonl").read_text()


def test_an_endpoint_that_stays_silent_is_given_up(server: Server, manifest: Path) -> None:
    export_objects("toybox", None, manifest.parent, num=8)
    server.script = [status(500)] * 99
    caption(server, manifest, "--retries", 0, code=1)
    assert len(server.bodies) == 5
    server.script.clear()
    caption(server, manifest, "--retry-failed")


@pytest.mark.parametrize("code", [401, 404])
def test_a_refusal_ends_at_once_and_tells_no_secret(
    server: Server, manifest: Path, code: int, capsys: pytest.CaptureFixture
) -> None:
    from trellis_cli.main import run

    server.script = [good, good, good, status(code)]
    with pytest.raises(SystemExit) as caught:
        run(["data", "caption", str(manifest), "-o", str(manifest.with_name("c.jsonl")), "--endpoint", server.url,
             "--model", "seer"])  # fmt: skip
    said = capsys.readouterr()
    assert caught.value.code == 2 and "the endpoint refuses" in said.err and len(server.bodies) == 4
    written = "".join(p.read_text() for p in manifest.parent.glob("c.jsonl*"))
    assert KEY not in said.err + said.out + written and "***" in said.err
    assert len(manifest.with_name("c.jsonl.captions.jsonl").read_text().splitlines()) == 1  # what was done is kept


def test_requests_keep_their_pace(server: Server, manifest: Path) -> None:
    caption(server, manifest, "--per-minute", 300)
    assert server.times[-1] - server.times[0] > 8 * 0.2 - 0.15  # nine requests, five a second


def test_no_key_no_question(manifest: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    out = manifest.with_name("c.jsonl")
    trellis("data", "caption", manifest, "-o", out, "--model", "m", code=4)
    trellis("data", "caption", manifest, "-o", out, "--model", "m", "--endpoint", "nowhere", code=2)
    trellis("data", "caption", manifest, "-o", manifest, "--model", "m", "--endpoint", "http://localhost:1", code=2)


def test_the_cost_is_told_beforehand(manifest: Path) -> None:
    out = manifest.with_name("c.jsonl")
    options = ("--model", "m", "--dry-run", "--price-in", 2.5, "--price-out", 10, "--json")
    told = json.loads(trellis("data", "caption", manifest, "-o", out, *options))
    assert told["objects"] == 3 and told["requests"] == 9
    assert told["dollars"] == pytest.approx((told["tokens_in"] * 2.5 + told["tokens_out"] * 10) / 1e6)
    assert cost(1000, 4).dollars is None and cost(1000, 4).tokens_in > 1000 * 4 * 255
    assert not out.exists()


@pytest.mark.parametrize(
    ("check", "answer"),
    [
        (checked_description, "a chair"), (checked_caption, ""), (checked_caption, "w " * 41), (checked_short, "[]"),
        (checked_short, json.dumps(SHORT[:9])), (checked_short, json.dumps([*SHORT[:9], ""])),
        (checked_short, json.dumps([*SHORT[:9], 3])), (checked_short, json.dumps([SHORT[0]] * 10)),
        (checked_short, json.dumps(["w " * 30, *SHORT[1:]])), (checked_short, "[}"),
    ],
)  # fmt: skip
def test_what_is_no_answer(check: Callable[[str], Any], answer: str) -> None:
    with pytest.raises(BadAnswer):
        check(answer)


def test_a_model_of_this_machine_answers(manifest: Path, tmp_path: Path) -> None:
    """A random one: it sees and writes by the same road as a real one, and what it writes is found to be no answer."""
    from tests.published_models import describer
    from trellis_cli.networks.local_describer import LocalDescriber

    folder = describer(tmp_path / "seer")
    model = LocalDescriber(str(folder))
    pictures = [Image.new("RGBA", (40, 30), colour) for colour in ("red", "blue")]
    assert set(model.ask("a red chair", pictures).split()) <= {"a", "chair", "red", "USER:", "ASSISTANT:"}
    assert model.ask("a red chair") == model.ask("a red chair")
    out = manifest.with_name("c.jsonl")
    trellis("data", "caption", manifest, "-o", out, "--model", folder, "--local", "--device", "cpu", code=5)
    assert "no answer of 3 could be used" in out.with_name("c.jsonl.ledger.jsonl").read_text()
    trellis("data", "caption", manifest, "-o", out, "--model", tmp_path / "nowhere", "--local", code=4)


def test_workers_ask_side_by_side_and_share_the_rate(server: Server, manifest: Path) -> None:
    rows = caption(server, manifest, "--workers", 2, "--per-minute", 240)
    assert all(CAPTION in row["captions"] for row in rows) and len(server.bodies) == 9
    sidecar = manifest.with_name("captioned.jsonl.captions.jsonl")
    assert len(sidecar.read_text().splitlines()) == 3
    first, last = min(server.times), max(server.times)
    assert last - first >= 4 * 60 / 240  # nine requests, four of them to the slower of two at half the rate


def test_half_a_line_of_a_killed_process_costs_no_other(server: Server, manifest: Path) -> None:
    caption(server, manifest)
    sidecar = manifest.with_name("captioned.jsonl.captions.jsonl")
    whole = sidecar.read_text()
    sidecar.write_text(whole[:-20])
    asked = len(server.bodies)
    caption(server, manifest)
    assert len(server.bodies) == asked + 3
    caption(server, manifest)
    assert len(server.bodies) == asked + 3  # what was asked anew is known


@pytest.mark.parametrize("bad", [status(400), status(413), status(422)])
def test_a_request_that_is_refused_costs_its_object(server: Server, manifest: Path, bad: Answer) -> None:
    server.script = [bad]
    rows = caption(server, manifest, code=5)
    assert sum(row["captions"][-1] == CAPTION for row in rows) == 2
    assert "refuses this object" in manifest.with_name("captioned.jsonl.ledger.jsonl").read_text()
    caption(server, manifest, "--retry-failed")


def test_refusals_are_no_captions(server: Server, manifest: Path) -> None:
    sorry = "I'm sorry, but I can't assist with that request."
    server.script = [says(sorry), good, says(f"“{sorry}”"), good, says(json.dumps([sorry] * 10)), good]
    server.script += [good, good, says(json.dumps(["a chair"] * 10)), good]
    rows = caption(server, manifest)
    assert all(row["captions"][-1] == CAPTION and "sorry" not in str(row) for row in rows)
    assert len(server.bodies) == 9 + 4


def test_another_model_is_asked_anew(server: Server, manifest: Path) -> None:
    caption(server, manifest)
    caption(server, manifest, "--model", "other")
    assert len(server.bodies) == 18
    caption(server, manifest)
    assert len(server.bodies) == 18  # what the first said is known still
    other = manifest.with_name("captioned.jsonl")
    other.with_name("captioned.jsonl.captions.jsonl").unlink()
    other.write_text("mine")
    caption_words = ("data", "caption", manifest, "-o", other, "--endpoint", server.url, "--model", "seer")
    trellis(*caption_words, code=2)
    assert other.read_text() == "mine"
