"""Weights from an address, here from a server that the test starts."""

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import chainrule as cr
from chainrule.errors import CheckpointError, DataError


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path):
    """A folder and the address under which its files are found."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_weights_are_downloaded_once_and_loaded(served, tmp_path, monkeypatch):
    from chainrule.utils.model_zoo import load_url

    folder, address = served
    model = cr.nn.Linear(2, 3)
    cr.save(model.state_dict(), folder / "linear.safetensors")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "cache"))
    state = cr.hub.load_state_dict_from_url(f"{address}/linear.safetensors", progress=False)
    assert (state["weight"] == model.weight).all() and state["bias"].shape == (3,)
    (folder / "linear.safetensors").unlink()
    again = load_url(f"{address}/linear.safetensors", map_location="cpu")
    assert (again["weight"] == model.weight).all()
    assert (tmp_path / "cache/weights/linear.safetensors").exists()


def test_the_checksum_in_a_name_is_checked_on_demand(served, tmp_path):
    folder, address = served
    cr.save({"w": cr.ones(2)}, folder / "w")
    digits = hashlib.sha256((folder / "w").read_bytes()).hexdigest()[:8]
    right, wrong = f"w-{digits}.safetensors", "w-00000000.safetensors"
    load = partial(
        cr.hub.load_state_dict_from_url, f"{address}/w", model_dir=tmp_path, check_hash=True
    )
    assert load(file_name=right)["w"].tolist() == [1, 1]
    with pytest.raises(DataError, match=r"another checksum than its name says; delete it"):
        load(file_name=wrong)
    with pytest.raises(DataError, match=r"^load_state_dict_from_url: w names no checksum"):
        load()


def test_what_cannot_be_loaded_is_said(served, tmp_path):
    folder, address = served
    (folder / "model.pth").write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match=r"model\.pth is damaged"):
        cr.hub.load_state_dict_from_url(f"{address}/model.pth", tmp_path)
    with pytest.raises(DataError, match=r"no mirror delivered nothing"):
        cr.hub.load_state_dict_from_url(f"{address}/nothing", tmp_path)
    with pytest.raises(AttributeError, match=r"^chainrule\.hub has no load: chainrule\.models"):
        cr.hub.load("pytorch/vision", "resnet18")
