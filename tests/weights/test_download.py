import errno
import random
import shutil
from collections import namedtuple

import pytest

from puna.errors import PullError
from puna.weights.pull import download as module
from puna.weights.pull.download import download
from puna.weights.pull.http import join, open_url, public
from tests.weights.pull_server import Page, Server, gguf, sha

BODY = gguf(400_000)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(module, "BACKOFF", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    running = Server()
    yield running
    running.close()


def code(call, *args, **named):
    with pytest.raises(PullError) as caught:
        call(*args, **named)
    for language in ("en", "zh"):
        message, hint = caught.value.describe(language)
        assert message
        assert hint
    return caught.value.code


def test_whole_file_and_nothing_else(server, tmp_path):
    server.pages["/f"] = Page(BODY)
    steps = []
    download(server.url + "/f", tmp_path / "f", sha256=sha(BODY), size=len(BODY), progress=steps.append)
    assert (tmp_path / "f").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
    done = [step.done for step in steps if step.what == "download"]
    assert done == sorted(done)
    assert done[-1] == steps[0].total == len(BODY)


@pytest.mark.parametrize("digest", [None, sha(BODY)])
@pytest.mark.parametrize("etag", [None, '"one"', 'W/"weak"'])
@pytest.mark.parametrize("ranges", [True, False])
def test_cut_connections_are_resumed(server, tmp_path, ranges, etag, digest):
    server.pages["/f"] = Page(BODY, ranges=ranges, etag=etag, cuts=[1, 100_000, 150_000])
    download(server.url + "/f", tmp_path / "f", sha256=digest)
    assert (tmp_path / "f").read_bytes() == BODY
    assert len(server.log) == 4
    resumable = digest or etag == '"one"'
    assert all("Range" in headers for headers in server.gets("/f")[1:]) == bool(resumable)


def test_a_second_call_goes_on(server, tmp_path, monkeypatch):
    server.pages["/f"] = Page(BODY, cuts=[250_000])
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    assert code(download, server.url + "/f", tmp_path / "f") == "E-PULL-NETWORK"
    assert (tmp_path / "f.part").stat().st_size == 250_000
    assert not (tmp_path / "f").exists()
    download(server.url + "/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY
    last = server.gets("/f")[-1]
    assert (last["Range"], last["If-Range"]) == ("bytes=250000-", server.pages["/f"].etag)


def test_a_changed_file_starts_anew(server, tmp_path, monkeypatch):
    server.pages["/f"] = Page(gguf(400_000, seed=2), cuts=[250_000])
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    code(download, server.url + "/f", tmp_path / "f")
    server.pages["/f"] = Page(BODY)
    download(server.url + "/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_another_mirror_can_finish_what_one_began(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    server.pages["/a"] = Page(BODY, etag='"a"', cuts=[250_000])
    server.pages["/b"] = Page(BODY, etag='"b"')
    code(download, server.url + "/a", tmp_path / "f", sha256=sha(BODY))
    download(server.url + "/b", tmp_path / "f", sha256=sha(BODY))
    assert server.gets("/b")[0]["Range"] == "bytes=250000-"
    assert (tmp_path / "f").read_bytes() == BODY


def test_a_spoiled_part_is_noticed_and_fetched_anew(server, tmp_path, monkeypatch):
    server.pages["/f"] = Page(BODY, cuts=[250_000])
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    code(download, server.url + "/f", tmp_path / "f", sha256=sha(BODY))
    (tmp_path / "f.part").write_bytes(bytes(250_000))
    download(server.url + "/f", tmp_path / "f", sha256=sha(BODY))
    assert (tmp_path / "f").read_bytes() == BODY


@pytest.mark.parametrize("length", [len(BODY), len(BODY) + 10])
def test_a_part_as_long_as_the_file_or_longer(server, tmp_path, monkeypatch, length):
    server.pages["/f"] = Page(BODY, cuts=[250_000])
    monkeypatch.setattr(module, "ATTEMPTS", 1)
    code(download, server.url + "/f", tmp_path / "f")
    (tmp_path / "f.part").write_bytes((BODY + bytes(10))[:length])
    download(server.url + "/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_wrong_sha256_leaves_nothing(server, tmp_path):
    server.pages["/f"] = Page(BODY)
    assert code(download, server.url + "/f", tmp_path / "f", sha256="0" * 64) == "E-PULL-SHA256"
    assert not (tmp_path / "f").exists()
    assert not (tmp_path / "f.part").exists()


def test_always_cut_and_wrong_ends(server, tmp_path):
    server.pages["/f"] = Page(BODY, cuts=[200_000, 10_000_000] * 50)
    assert code(download, server.url + "/f", tmp_path / "f", sha256="0" * 64) in {"E-PULL-SHA256", "E-PULL-NETWORK"}


@pytest.mark.parametrize("size", [len(BODY) - 1, len(BODY) + 1])
def test_wrong_size(server, tmp_path, size):
    server.pages["/f"] = Page(BODY)
    assert code(download, server.url + "/f", tmp_path / "f", size=size) == "E-PULL-SIZE"
    assert list(tmp_path.iterdir()) == []


def test_without_a_length_only_a_known_size_will_do(server, tmp_path):
    server.pages["/f"] = Page(BODY, length=False)
    assert code(download, server.url + "/f", tmp_path / "f") == "E-PULL-LENGTH"
    assert code(download, server.url + "/f", tmp_path / "f", size=len(BODY) - 5) == "E-PULL-SIZE"
    download(server.url + "/f", tmp_path / "f", size=len(BODY))
    assert (tmp_path / "f").read_bytes() == BODY


def test_busy_servers_are_asked_again_and_refusals_not(server, tmp_path):
    server.pages["/f"] = Page(BODY, statuses=[503, 429, 500])
    download(server.url + "/f", tmp_path / "f")
    assert len(server.log) == 4
    server.pages["/g"] = Page(BODY, statuses=[403] * 9)
    assert code(download, server.url + "/g", tmp_path / "g") == "E-PULL-HTTP"
    assert len(server.gets("/g")) == 1
    server.pages["/h"] = Page(BODY, statuses=[502] * 99)
    assert code(download, server.url + "/h", tmp_path / "h") == "E-PULL-HTTP"
    assert len(server.gets("/h")) == module.ATTEMPTS


def test_no_server(server, tmp_path):
    server.close()
    assert code(download, server.url + "/f", tmp_path / "f") == "E-PULL-NETWORK"


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "", "http://", "http://[", "http://a b/", "http://a:x/"],
)
def test_other_schemes_and_broken_urls(tmp_path, url):
    assert code(download, url, tmp_path / "f") == "E-PULL-URL"


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x"])
def test_redirects_to_other_schemes(server, tmp_path, to):
    server.pages["/f"] = Page(to=to)
    assert code(download, server.url + "/f", tmp_path / "f") == "E-PULL-REDIRECT"


def test_a_password_stays_with_its_host(server, tmp_path):
    other = Server()
    other.pages["/f"] = Page(BODY)
    server.pages["/same"] = Page(to="/here")
    server.pages["/here"] = Page(to=other.url + "/f")
    download(server.url.replace("//", "//me:p%40ss@") + "/same", tmp_path / "f")
    other.close()
    assert [headers.get("Authorization") for _, _, headers in server.log] == ["Basic bWU6cEBzcw=="] * 2
    assert "Authorization" not in other.log[0][2]


def test_public_and_join():
    assert public("https://me:secret@host:8/a?token=1#x") == "https://host:8/a"
    assert join("https://me:pw@host/simple/p/", "../../f.whl") == "https://me:pw@host/f.whl"
    assert join("https://me:pw@host/simple/p/", "https://host/f.whl") == "https://me:pw@host/f.whl"
    assert join("https://me:pw@host/simple/p/", "https://other/f.whl") == "https://other/f.whl"


def test_an_address_in_chinese(server, tmp_path):
    server.pages["/%E6%A8%A1%E5%9E%8B.gguf"] = Page(BODY)
    for path in ("/模型.gguf", "/%E6%A8%A1%E5%9E%8B.gguf?名=值"):
        download(server.url + path, tmp_path / "f")
        (tmp_path / "f").unlink()
    assert code(download, "http://" + "模" * 99 + "/", tmp_path / "f") == "E-PULL-URL"


def test_a_proxy_from_the_environment(server, monkeypatch):
    server.pages["http://model.invalid/f"] = Page(b"by proxy")
    monkeypatch.setenv("http_proxy", server.url)
    with open_url("http://model.invalid/f") as response:
        assert response.read() == b"by proxy"


def test_too_little_room(server, tmp_path, monkeypatch):
    server.pages["/f"] = Page(BODY)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 1000))
    assert code(download, server.url + "/f", tmp_path / "f") == "E-PULL-DISK"
    assert list(tmp_path.iterdir()) == []


def test_the_disk_fills_up(server, tmp_path, monkeypatch):
    server.pages["/f"] = Page(BODY)
    calls = []

    def full(path):
        calls.append(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(module, "sync", full)
        assert code(download, server.url + "/f", tmp_path / "f") == "E-PULL-DISK-FULL"
    assert calls
    assert not (tmp_path / "f").exists()
    assert code(download, server.url + "/f", tmp_path / "no" / "f") in {"E-PULL-WRITE", "E-PULL-NETWORK"}
    download(server.url + "/f", tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == BODY


def test_interruption_keeps_the_part(server, tmp_path):
    server.pages["/f"] = Page(BODY, pause=0.001)

    def stop(step):
        if step.done > 100_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.url + "/f", tmp_path / "f", progress=stop)
    assert (tmp_path / "f.part").stat().st_size > 100_000
    download(server.url + "/f", tmp_path / "f")
    assert "Range" in server.gets("/f")[-1]
    assert (tmp_path / "f").read_bytes() == BODY


def test_cut_anywhere_any_number_of_times(server, tmp_path):
    rng = random.Random(7)
    for round in range(20):
        cuts = [rng.randrange(1, 120_000) for _ in range(rng.randrange(8))]
        server.pages["/f"] = Page(BODY, cuts=cuts, ranges=True)
        download(server.url + "/f", tmp_path / f"f{round}")
        assert (tmp_path / f"f{round}").read_bytes() == BODY
