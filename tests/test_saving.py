"""save and load: what comes back is what was saved; what is broken says so."""

import io
from collections import OrderedDict

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import chainrule as cr
from chainrule import nn, optim
from chainrule.errors import CheckpointError, ConfigError, DTypeError


def trained():
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    optimizer = optim.Adam(
        [{"params": net[0].parameters(), "lr": 0.5}, {"params": [net[1].weight]}]
    )
    net(cr.randn(3, 1, 2, 2)).pow(3).sum().backward()
    optimizer.step()
    return net, optimizer


def same(a, b):
    assert type(a) is type(b) or (isinstance(a, cr.Tensor) and isinstance(b, cr.Tensor))
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            same(x, y)
    elif isinstance(a, cr.Tensor | np.ndarray):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    else:
        assert a == b


def test_a_state_dict_has_its_names_in_the_file(tmp_path):
    net, _ = trained()
    cr.save(net.state_dict(), tmp_path / "net.pt")
    assert set(load_file(tmp_path / "net.pt")) == set(net.state_dict())
    state = cr.load(tmp_path / "net.pt")
    same(net.state_dict(), state)
    twin = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    twin.load_state_dict(state)
    same(net.state_dict(), twin.state_dict())


def test_a_checkpoint_of_everything():
    net, optimizer = trained()
    checkpoint = {
        "epoch": 3, "model": net.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.5,
        "name": "a.b", "shape": (1, 2), "history": [[0.1, True], None], 7: cr.ones(1).half(),
        "empty": {}, "none": [], "flag": np.True_, "images": np.arange(3, dtype=np.uint8),
        "model.0.weight": cr.zeros(2, 0), "scalar": cr.tensor(2), "mean": np.float32(0.5),
        "strided": cr.arange(6).view(2, 3).T, "infinite": float("inf"),
    }  # fmt: skip
    file = io.BytesIO()
    cr.save(checkpoint, file)
    file.seek(0)
    loaded = cr.load(file, map_location="cpu", weights_only=True)
    checkpoint |= {"flag": True, "mean": 0.5}
    same(checkpoint, loaded)
    assert isinstance(loaded["model"], OrderedDict)
    optimizer.load_state_dict(loaded["optimizer"])


def test_a_single_tensor_and_a_list(tmp_path):
    for value in (cr.tensor([1.5, 2.5]), [cr.ones(2), cr.zeros(1)], 3):
        cr.save(value, str(tmp_path / "value"))
        same(value, cr.load(str(tmp_path / "value")))


def test_files_of_others_hold_tensors_by_name(tmp_path):
    save_file({"w": np.ones(2, np.float32)}, tmp_path / "w.safetensors")
    same({"w": cr.ones(2)}, cr.load(tmp_path / "w.safetensors"))


@pytest.mark.parametrize("thing", [nn.ReLU(), {"a": [object()]}, {1j: 2}])
def test_what_cannot_be_saved(thing, tmp_path):
    with pytest.raises(DTypeError, match=r"save: (cannot save a|a key of a dict)"):
        cr.save(thing, tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_broken_files(tmp_path):
    path = tmp_path / "net.pt"
    cr.save({"w": cr.ones(9)}, path)
    whole = path.read_bytes()
    for broken in (whole[:-1], whole[:20], b"", b"hello", whole.replace(b"tensor", b"tensir")):
        path.write_bytes(broken)
        with pytest.raises(
            CheckpointError, match=r"net\.pt is broken, or no safetensors file and none"
        ):
            cr.load(path)
    path.write_bytes(b"PK\x03\x04....")
    with pytest.raises(CheckpointError, match=r"net\.pt is damaged \(File is not a zip file"):
        cr.load(path)
    with pytest.raises(ConfigError, match="CPU only"):
        cr.load(path, map_location="cuda:0")
    with pytest.raises(FileNotFoundError):
        cr.load(tmp_path / "nothing")


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "net.pt"
    cr.save({"w": cr.ones(2)}, path)
    path.chmod(0o640)

    def full(*args):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match=r"No space left on device.*net\.pt"):
            cr.save({"w": cr.zeros(9)}, path)
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt"]
    same({"w": cr.ones(2)}, cr.load(path))
    link = tmp_path / "link.pt"
    link.symlink_to(path)
    cr.save({"w": cr.zeros(3)}, link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o640
    same({"w": cr.zeros(3)}, cr.load(path))
    cr.save({}, "/dev/null")
    with pytest.raises(FileNotFoundError, match=r"nowhere/net\.pt"):
        cr.save({}, tmp_path / "nowhere" / "net.pt")


def test_what_contains_itself_is_refused():
    round_and_round: dict[str, object] = {}
    round_and_round["again"] = round_and_round
    with pytest.raises(DTypeError, match="save: a dict or list contains itself"):
        cr.save(round_and_round, io.BytesIO())


@pytest.mark.parametrize("mark", [b"\x80", b"PK"])
def test_a_safetensors_file_whose_length_looks_like_the_mark_of_a_pickle_or_zip(tmp_path, mark):
    length = int.from_bytes(mark, "little") + 2**16
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
    whole = length.to_bytes(8, "little") + header + np.ones(1, "<f4").tobytes()
    assert whole.startswith(mark)
    (tmp_path / "w.safetensors").write_bytes(whole)
    same({"w": cr.ones(1)}, cr.load(tmp_path / "w.safetensors"))
