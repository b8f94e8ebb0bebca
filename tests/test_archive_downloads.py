"""Archives that are not on disk: downloaded, or named where there is no network."""

import dataclasses
import functools
import hashlib
import http.server
import shutil
import threading
import time
import urllib.request

import pytest
from small_archives import CIFAR, COLOURED, assert_holds, cifar_at, small

from grjax.data import source_builder
from grjax.data.source_files import Download
from grjax.data.svhn import Svhn
from grjax.data.tfds_source import read
from grjax.errors import ConfigError


def test_what_is_not_on_disk_is_downloaded(tmp_path, tfds_dir):
    builder, files, *_ = CIFAR["cifar100"]
    served = cifar_at(tmp_path / "served", "cifar100", "python archive")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(served.parent))
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://localhost:{server.server_port}/{served.name}"
        digest = hashlib.sha256(served.read_bytes()).hexdigest()
        distribution = small(builder, files)
        layout = dataclasses.replace(distribution.layouts[0], downloads={served.name: Download(url, digest)})
        distribution = dataclasses.replace(distribution, layouts=(layout, *distribution.layouts[1:]))
        assert_holds(read(builder, None, distribution), COLOURED)
        server.shutdown()
    shutil.rmtree(tfds_dir / "cifar100")
    assert_holds(read(builder, None, distribution), COLOURED)  # from the file that was downloaded


def test_without_network_one_line_says_what_to_fetch_within_seconds(tmp_path, tfds_dir):
    distribution = small(Svhn, {})
    (layout,) = distribution.layouts
    downloads = {
        name: Download(f"http://localhost:9/{name}", each.sha256) for name, each in layout.downloads.items()
    }
    distribution = dataclasses.replace(
        distribution, layouts=(dataclasses.replace(layout, downloads=downloads),)
    )
    start = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        read(Svhn, None, distribution)
    assert time.monotonic() - start < 100  # where downloads are tried again and again, it is minutes
    message = str(caught.value)
    assert "\n" not in message
    assert str(tfds_dir / "downloads" / "manual") in message
    for name, each in layout.downloads.items():
        assert f"http://localhost:9/{name} (sha256 {each.sha256})" in message
    assert not list(tfds_dir.glob("svhn/*"))


def test_a_server_that_never_answers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(source_builder, "_SECONDS_TO_ANSWER", 0.2)
    with http.server.HTTPServer(("localhost", 0), None) as silent:
        assert "localhost" in source_builder._unreachable(f"http://localhost:{silent.server_port}/file")
    # Looking up a name may take long, and knows no timeout.
    over = threading.Event()

    def look_up(*args, **kwargs):
        over.wait()
        raise OSError("nowhere")

    monkeypatch.setattr(urllib.request, "urlopen", look_up)
    assert source_builder._unreachable("http://nowhere/file") == "no answer from nowhere in 0.2 s"
    over.set()  # so it was not waited for


@pytest.mark.parametrize(("status", "reachable"), [(200, True), (403, True), (405, True), (503, False)])
def test_a_server_that_only_dislikes_to_be_asked_is_reachable(status, reachable):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        reason = source_builder._unreachable(f"http://localhost:{server.server_port}/file")
        server.shutdown()
    assert (reason == "") is reachable
