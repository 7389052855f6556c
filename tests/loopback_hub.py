"""A small Hugging Face hub on this machine, for tests and for trying the whole path by hand.

    with LoopbackHub() as hub:
        hub.add("me/thing", {"config.json": b"{}", "model.safetensors": Path("...")})
        # HF_ENDPOINT=hub.address

    python tests/loopback_hub.py          serves a GPT-2 and an attn-only-4l of the real sizes with random weights

It answers what `huggingface_hub` asks: HEAD and GET of /{repository}/resolve/{revision}/{file} with ETag and
X-Repo-Commit, a redirect of large files to storage on another host (with X-Linked-ETag and X-Linked-Size), `Range`,
and /api/models/{repository}/revision/{revision}. Faults are asked for by file name.
"""

import contextlib
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = 100_000  # bytes; from here a file is in "LFS": its ETag is a SHA-256 and it lies in storage
_PIECE = 1 << 16


@dataclass
class Faults:
    """What goes wrong with a file of this name, at every repository."""

    breaks: list[int] = field(
        default_factory=list
    )  # the next answers end after so many bytes, the connection with them
    breaks_quietly: bool = False  # without a Content-Length, so that only the size tells
    status: int = 0  # in place of an answer, to HEAD
    headers: dict[str, str] = field(default_factory=dict)  # with that status
    status_of_body: int = 0  # in place of an answer, to GET alone
    body: bytes | None = None  # in place of the content, with a Content-Length of its own
    stalls_after: int = 0  # bytes, then nothing comes until the hub ends
    ignores_range: bool = False
    no_hub: bool = False  # a page without any of a hub's headers


@dataclass
class Repository:
    commit: str
    files: dict[str, bytes | Path]
    also: str = ""  # a revision that it answers to with its own commit

    def etag(self, name):
        content = self.files[name]
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        made = hashlib.sha256() if size >= LARGE else hashlib.sha1(f"blob {size}\0".encode())
        if isinstance(content, bytes):
            made.update(content)
            return made.hexdigest(), size
        with content.open("rb") as file:
            return hashlib.file_digest(file, lambda: made).hexdigest(), size


class LoopbackHub:
    """The server; `requests` is what was asked, as (method, file, Range, whether with a token).

    A GET that is only sent on to the storage is there as a REDIRECT.
    """

    def __init__(self, port=0):
        self.repositories, self.faults, self.requests = {}, {}, []
        self.gated, self.stalled, self._ending = set(), threading.Event(), threading.Event()
        self._etags = {}
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.address = f"http://127.0.0.1:{self.port}"

    def add(self, repository, files, commit=None):
        """Put a repository there, or another content under the same or a new commit."""
        commit = commit or hashlib.sha1(repository.encode()).hexdigest()
        self.repositories[repository] = Repository(commit, dict(files))
        self._etags = {key: value for key, value in self._etags.items() if key[0] != repository}
        return commit

    def fault(self, name, **what):
        self.faults[name] = Faults(**what)

    def etag(self, repository, name):
        key = (repository, name)
        if key not in self._etags:
            self._etags[key] = self.repositories[repository].etag(name)
        return self._etags[key]

    def asked(self, method, name):
        """The `Range` of every request of this kind, None where it had none."""
        return [span for asked, file, span, _ in self.requests if (asked, file) == (method, name)]

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._ending.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: LoopbackHub

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        path = unquote(urlsplit(self.path).path)
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            return self._list(found[1], found[2])
        if found := re.fullmatch(r"/(storage/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._file(bool(found[1]), *found.groups()[1:])
        return self._refuse(404, "")

    def _list(self, name, revision):
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._refuse(404, "RepoNotFound")
        files = [{"rfilename": file} for file in repository.files]
        return self._send(200, json.dumps({"id": name, "sha": repository.commit, "siblings": files}).encode(), {})

    def _file(self, stored, name, revision, file):
        hub, faults = self.hub, self.hub.faults.get(file, Faults())
        repository = hub.repositories.get(name)
        moved = not stored and repository and file in repository.files and hub.etag(name, file)[1] >= LARGE
        asked = "REDIRECT" if moved and self.command == "GET" else self.command
        hub.requests.append((asked, file, self.headers.get("Range"), "Authorization" in self.headers))
        if faults.no_hub:
            return self._send(200, b"<html>Please log in</html>", {})
        if faults.status:
            return self._refuse(faults.status, "", faults.headers)
        if name in hub.gated and "Authorization" not in self.headers:
            return self._refuse(401, "GatedRepo")
        if repository is None:
            return self._refuse(401, "RepoNotFound")
        if revision not in ("main", repository.commit, repository.also):
            return self._refuse(404, "RevisionNotFound")
        if file not in repository.files:
            return self._refuse(404, "EntryNotFound", {"X-Repo-Commit": repository.commit})
        etag, size = hub.etag(name, file)
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": repository.commit, "Accept-Ranges": "bytes"}
        if moved:
            linked = {"X-Linked-ETag": f'"{etag}"', "X-Linked-Size": str(size)}
            place = f"http://localhost:{hub.port}/storage/{name}/resolve/{repository.commit}/{file}"
            return self._send(302, b"moved", headers | linked | {"Location": place})
        if self.command == "GET" and faults.status_of_body:
            return self._refuse(faults.status_of_body, "")
        if self.command == "GET" and faults.body is not None:
            return self._send(200, faults.body, {"Content-Type": "text/html"})
        return self._content(repository.files[file], size, headers, faults)

    def _content(self, content, size, headers, faults):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        begin = int(asked[1]) if asked and not faults.ignores_range else 0
        if begin >= size and begin:
            return self._refuse(416, "", {"Content-Range": f"bytes */{size}"})
        end = size
        if self.command == "GET" and faults.breaks:
            end = min(size, begin + faults.breaks.pop(0))
        self.send_response(206 if begin else 200)
        if begin:
            headers["Content-Range"] = f"bytes {begin}-{size - 1}/{size}"
        if not (faults.breaks_quietly and end < size):
            headers["Content-Length"] = str(size - begin)
        if end < size or faults.breaks_quietly:
            headers["Connection"] = "close"
            self.close_connection = True
        self._end(headers)
        if self.command == "GET":
            for piece in _pieces(content, begin, faults.stalls_after or end):
                self.wfile.write(piece)
            if faults.stalls_after:
                self.hub.stalled.set()
                self.hub._ending.wait()
        return None

    def _refuse(self, status, code, headers=None):
        said = {"X-Error-Code": code, "X-Error-Message": code} if code else {}
        return self._send(status, json.dumps({"error": code or status}).encode(), said | (headers or {}))

    def _send(self, status, body, headers):
        self.send_response(status)
        self._end(headers | {"Content-Length": str(len(body))})
        if self.command == "GET":
            self.wfile.write(body)

    def _end(self, headers):
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()


def _pieces(content, begin, end):
    if isinstance(content, bytes):
        yield content[begin:end]
        return
    with content.open("rb") as file:
        file.seek(begin)
        while begin < end and (piece := file.read(min(_PIECE, end - begin))):
            begin += len(piece)
            yield piece


def main():
    import tempfile

    from made_checkpoints import attn_only_4l, gpt2, tokenizer_digits

    with tempfile.TemporaryDirectory() as folder, LoopbackHub(port=8765) as hub, contextlib.suppress(KeyboardInterrupt):
        hub.add("openai-community/gpt2", gpt2(Path(folder) / "gpt2", small=False))
        hub.add("NeelNanda/Attn_Only_4L512W_C4_Code", attn_only_4l(Path(folder) / "attn", small=False))
        hub.add("NeelNanda/gpt-neox-tokenizer-digits", tokenizer_digits())
        print(f"HF_ENDPOINT={hub.address}  (random weights; Ctrl-C ends it)", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
