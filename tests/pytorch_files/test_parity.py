"""Files that PyTorch writes, in all its formats and protocols, give what PyTorch reads."""

import io
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import models
from chainrule.errors import CheckpointError
from tests.models.torch_twins import source

torch = pytest.importorskip(
    "torch", reason="parity with PyTorch needs the extra: pip install 'chainrule[parity]'"
)
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

ZIP, LEGACY = {}, {"_use_new_zipfile_serialization": False}
FORMATS = [
    {**form, "pickle_protocol": protocol} for form in (ZIP, LEGACY) for protocol in (2, 3, 4, 5)
]


def through(value, form):
    file = io.BytesIO()
    torch.save(value, file, **form)
    file.seek(0)
    return cr.load(file)


def same(theirs, ours, place=""):
    """The same types, values, shapes and strides."""
    if isinstance(theirs, torch.Tensor):
        assert type(ours) is cr.Tensor, place
        assert ours.requires_grad == theirs.requires_grad, place
        assert tuple(ours.shape) == tuple(theirs.shape), place
        if theirs.numel():
            assert ours.stride() == theirs.stride(), place
        if theirs.dtype == torch.bfloat16:
            theirs = theirs.float()
        assert str(theirs.dtype) == f"torch.{ours.dtype}", place
        np.testing.assert_array_equal(ours.detach().array, theirs.detach().numpy(), place)
    elif isinstance(theirs, dict):
        assert type(ours) is type(theirs) and list(ours) == list(theirs), place
        for key, value in theirs.items():
            same(value, ours[key], f"{place}.{key}")
    elif isinstance(theirs, np.ndarray):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, place
        np.testing.assert_array_equal(ours, theirs, place)
    elif type(theirs) in (list, tuple):
        assert type(ours) is type(theirs) and len(ours) == len(theirs), place
        for i, (a, b) in enumerate(zip(theirs, ours, strict=True)):
            same(a, b, f"{place}.{i}")
    else:
        assert type(ours) is type(theirs) and ours == theirs, place


def checkpoint():
    """What training scripts save."""
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 4])
    return {
        "epoch": 3, "state_dict": model.state_dict(), "optimizer": optimizer.state_dict(),
        "scheduler": schedule.state_dict(), "best": 0.5, "name": "käfig", "none": None,
        "huge": 10**30, "nested": (1, [2, {"a": (3,)}], {4, 5}), "complex": 1j, "flag": True,
        "bytes": b"ab\xff", "bytearray": bytearray(b"x\xfe"), "frozen": frozenset([1]),
        (1, "pair"): "key",
    }  # fmt: skip


def tensors():
    base = torch.arange(24.0)
    kinds = ["float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8",
             "uint8", "uint16", "uint32", "uint64", "bool"]  # fmt: skip
    return {
        "transposed": base.view(4, 6).T, "part": base[3:7], "every third": base[1::3],
        "overlapping": base.as_strided((5, 4), (2, 1), 3), "expanded": torch.ones(1).expand(3, 4),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "empty": torch.zeros(0, 3), "scalar": torch.tensor(2), "parameter":
        torch.nn.Parameter(torch.ones(2)), "grad": torch.ones(2, requires_grad=True),
        **{kind: torch.tensor([0, 1, 3]).to(getattr(torch, kind)) for kind in kinds},
    }  # fmt: skip


def arrays():
    return {
        "rows": np.arange(6.0).reshape(2, 3), "columns": np.asfortranarray([[1, 2], [3, 4]]),
        "big-endian": np.arange(3, dtype=">i4"), "flags": np.array([True]), "empty":
        np.zeros((0, 2)), "texts": np.array(["ab", "c"]), "scalar": np.float32(3.5),
        "double": np.float64(1), "twice": [np.ones(2)] * 2,
    }  # fmt: skip


@pytest.mark.parametrize("form", FORMATS, ids=str)
@pytest.mark.parametrize("make", [checkpoint, tensors, arrays])
def test_what_pytorch_saves_is_loaded(make, form):
    value = make()
    same(value, through(value, form))


@pytest.mark.parametrize("form", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_sizes_devices_and_types(form):
    value = [torch.Size([1, 2]), torch.device("cuda:1"), torch.float16, torch.bfloat16]
    size, device, half, bfloat16 = through(value, form)
    assert isinstance(size, cr.Size) and size == (1, 2) and size.numel() == 2
    assert device == cr.device("cpu") and half == cr.float16 and bfloat16 == cr.float32


@pytest.mark.parametrize("form", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_tensors_share_memory_as_they_did(form):
    base = torch.arange(6.0)
    halves = through({"all": base, "rows": base.view(2, 3), "end": base[4:]}, form)
    halves["all"].array[:] = -1
    assert (halves["rows"].array == -1).all() and (halves["end"].array == -1).all()
    wide = torch.ones(4).bfloat16()
    a, b = through([wide, wide[1:]], form)
    a.array[1] = 7
    assert b.array[0] == 7


def test_a_file_without_checksums():
    torch.serialization.set_crc32_options(False)
    try:
        assert through(torch.ones(2), ZIP).tolist() == [1, 1]
    finally:
        torch.serialization.set_crc32_options(True)


@pytest.mark.parametrize("form", [ZIP, LEGACY], ids=["zip", "legacy"])
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: torch.nn.Linear(1, 1), r"a whole module .*Linear\).*save its weights alone"),
        (lambda: print, r"names __builtin__\.print, which is no tensor or plain value"),
        (lambda: torch.ones(1, dtype=torch.complex64), r"ComplexFloatStorage.*save \.real"),
        (lambda: torch.ones(2).to(torch.float8_e5m2), r"float8_e5m2.*save \.float\(\)"),
        (lambda: torch.ones(2).to_sparse(), r"a sparse tensor; save tensor\.to_dense\(\)"),
        (
            lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
            r"a quantized tensor; save tensor\.dequantize\(\)",
        ),
        (lambda: torch.empty(2, device="meta"), r"a tensor without values"),
    ],
)
def test_what_is_refused_says_what_to_do(make, message, form):
    with pytest.raises(CheckpointError, match=message):
        through(make(), form)


def test_a_program_of_torchscript_is_refused(tmp_path):
    torch.jit.trace(torch.nn.Linear(1, 1), torch.ones(1)).save(str(tmp_path / "net.pt"))
    with pytest.raises(CheckpointError, match=r"net\.pt is a program of TorchScript"):
        cr.load(tmp_path / "net.pt")


@pytest.mark.parametrize("form", [ZIP, LEGACY], ids=["zip", "legacy"])
def test_weights_of_a_twin_give_its_outputs(form, tmp_path):
    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            t = torch.nn
            self.conv1, self.conv2 = t.Conv2d(1, 6, 5, padding=2), t.Conv2d(6, 16, 5)
            self.fc1, self.fc2, self.fc3 = t.Linear(400, 120), t.Linear(120, 84), t.Linear(84, 10)

        def forward(self, x):
            x = torch.max_pool2d(self.conv1(x).relu(), 2)
            x = torch.max_pool2d(self.conv2(x).relu(), 2).flatten(1)
            return self.fc3(self.fc2(self.fc1(x).relu()).relu())

    twin, ours = Twin(), models.lenet5()
    torch.save(twin.state_dict(), tmp_path / "twin.pth", **form)
    ours.load_state_dict(cr.load(tmp_path / "twin.pth", map_location="cpu"))
    x = np.random.default_rng(0).standard_normal((3, 1, 28, 28)).astype(np.float32)
    scores = ours(cr.tensor(x)).detach().array
    np.testing.assert_allclose(scores, twin(torch.tensor(x)).detach().numpy(), atol=1e-5)


def old_names(state):
    """As torchvision's first DenseNet files have them."""
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", k): v for k, v in state.items()
    }


@pytest.mark.parametrize(
    ("family", "name", "options", "rename", "form"),
    [
        ("resnet", "resnet18", {}, dict, ZIP),
        ("densenet", "densenet121", {}, old_names, LEGACY),
        ("googlenet", "googlenet", {"aux_logits": False, "transform_input": True}, dict, ZIP),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_of_torchvisions_models(family, name, options, rename, form, tmp_path):
    """The twin, made by PyTorch, saves its weights; the model made with them gives its scores."""
    torch.manual_seed(0)
    shared = {key: value for key, value in options.items() if key != "aux_logits"}
    twin = getattr(source(family, "torch"), name)(7, **shared)
    for module in twin.modules():  # statistics as after training, not 0 and 1
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 1.5)
    state = {f"module.{key}": value for key, value in rename(twin.state_dict()).items()}
    torch.save({"state_dict": state, "epoch": 90}, tmp_path / "twin.pth", **form)
    ours = models.create(name, weights=tmp_path / "twin.pth", **options).eval()
    assert ours.config["num_classes"] == 7
    x = np.random.default_rng(0).standard_normal((2, 3, 48, 64)).astype(np.float32)
    with torch.no_grad(), cr.no_grad():
        theirs = twin.eval()(torch.tensor(x)).numpy()
        scores = ours(cr.tensor(x)).array
    np.testing.assert_allclose(scores, theirs, atol=1e-4, rtol=1e-4)
