"""What PyTorch has and chainrule has not says so, and names what is near."""

import re

import pytest

import chainrule as cr
from chainrule import models, nn, optim
from chainrule.absent import USE_INSTEAD
from chainrule.errors import ConfigError, DTypeError


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        (cr, "fft", r"^chainrule has no fft: .* numpy\.fft, then from_numpy$"),
        (cr, "wavelets", r"^chainrule has no wavelets$"),
        (cr.Tensor([1.0]), "resize_", r"^chainrule\.Tensor has no resize_: x\.reshape keeps"),
        (cr.Tensor([1.0]), "clampp", r"^chainrule\.Tensor has no clampp; it has clamp"),
        (cr, "Zeros", r"^chainrule has no Zeros; it has zeros"),
        (nn, "LSTM", r"^chainrule\.nn has no LSTM: recurrent networks .*nn\.Linear$"),
        (nn, "Relu", r"^chainrule\.nn has no Relu; it has ReLU"),
        (nn.functional, "max_pool4d", r"^chainrule\.nn\.functional has no .*; it has max_pool3d"),
        (nn, "CTCLoss", r"^chainrule\.nn has no CTCLoss: alignment of sequences is outside"),
        (nn.functional, "ctc_loss", r"has no ctc_loss: alignment of sequences is outside"),
        (nn.init, "xavier_norm_", r"^chainrule\.nn\.init has no .*; it has xavier_normal_"),
        (cr.autograd, "profiler", r"^chainrule\.autograd has no profiler: use cProfile"),
        (cr.autograd, "grads", r"^chainrule\.autograd has no grads; it has grad"),
        (
            cr,
            "quantized_max_pool2d",
            r"^chainrule has no quantized.*: there are no",
        ),
        (
            cr,
            "view_copy",
            r"^chainrule has no view_copy: the name without _copy",
        ),
        (cr.Tensor([1.0]), "crow_indices", r"^chainrule\.Tensor has no .*: tensors are dense"),
        (nn, "FractionalMaxPool2d", r"^chainrule\.nn has no Fractional.*: adaptive_max_pool takes"),
        (models, "ResNet20", r"^chainrule\.models has no ResNet20; it has resnet20"),
        (optim, "LARS", r"^chainrule\.optim has no LARS$"),
        (optim.lr_scheduler, "CosineLR", r"^chainrule\.optim\.lr_scheduler has no CosineLR"),
    ],
)
def test_absent_names(module, name, message):
    with pytest.raises(AttributeError, match=message):
        getattr(module, name)
    assert not hasattr(module, name)


def test_importing_an_absent_name():
    with pytest.raises(ImportError, match="LSTM"):
        from chainrule.nn import LSTM  # noqa: F401


def test_there_is_one_device():
    assert not cr.cuda.is_available()
    for thing in (cr.ones(1), nn.Linear(1, 1)):
        with pytest.raises(ConfigError, match="CPU only"):
            thing.cuda()
        with pytest.raises(ConfigError, match="CPU only"):
            thing.to("cuda:0")
        assert thing.to(cr.device("cpu")) is thing


def test_the_class_tensor_takes_data_or_sizes():
    assert cr.Tensor([1, 2]).dtype == cr.float32  # chainrule.tensor([1, 2]) keeps integers
    assert cr.Tensor(2, 3).shape == cr.Tensor(cr.ones(2, 3).size()).shape == (2, 3)
    assert cr.Tensor(4).shape == (4,) and cr.Tensor(0, 2).dtype == cr.float32
    assert cr.Tensor().shape == (0,) and cr.Tensor((2, 3)).tolist() == [2, 3]
    with pytest.raises(DTypeError, match=r"takes data, or sizes as whole numbers; got \(3,\)"):
        cr.Tensor([1.0], 3)


def test_what_is_noted_as_absent_is_absent():
    for room, names in USE_INSTEAD.items():
        owner = cr
        for part in room.split(".")[1:]:
            owner = getattr(owner, part)
        assert [name for name in names if hasattr(owner, name)] == [], room


def test_the_old_constructors_make_tensors_of_one_dtype():
    weight = cr.nn.Parameter(cr.FloatTensor(2, 3))
    assert weight.shape == (2, 3) and weight.dtype == cr.float32
    assert cr.LongTensor([1, 2]).tolist() == [1, 2] and cr.LongTensor([1]).dtype == cr.int64
    assert cr.DoubleTensor(cr.ones(2).size()).dtype == cr.float64 and cr.BoolTensor(0).shape == (0,)
    assert type(cr.ByteTensor([3])) is cr.Tensor
    assert isinstance(cr.ones(1), cr.FloatTensor) and not isinstance(cr.ones(1), cr.LongTensor)
    assert not isinstance([1.0], cr.FloatTensor)
    assert cr.ones(1).type(cr.LongTensor).dtype == cr.int64


@pytest.mark.parametrize("line, advice", [
    ("import chainrule.multiprocessing", "chainrule has no multiprocessing: "),
    ("from chainrule.nn import Conv2d, SyncBatchNorm", "chainrule.nn has no SyncBatchNorm: "),
    ("from chainrule.nn.functional import ctc_loss", "chainrule.nn.functional has no ctc_loss: "),
    ("from chainrule.fft import fft2", "chainrule has no fft: Fourier transforms are left to"),
])  # fmt: skip
def test_an_import_says_what_to_use_instead(line, advice):
    with pytest.raises(ImportError, match=f"^{re.escape(advice)}"):
        exec(line)


def test_an_import_of_what_nobody_knows_fails_as_ever():
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'chainrule\.nothing'$"):
        exec("import chainrule.nothing")
    with pytest.raises(ImportError, match=r"^cannot import name 'Nothing' from 'chainrule\.nn'"):
        exec("from chainrule.nn import Nothing")


def test_marks_for_a_compiler_leave_code_as_it_is():
    @cr.jit.script
    def mish(x: cr.Tensor) -> cr.Tensor:
        return x * nn.functional.softplus(x).tanh()

    class Net(nn.Module):
        size: cr.jit.Final[int]

        @cr.jit.unused
        def eager(self, x):
            return x

        @cr.jit.ignore(drop=True)
        def dropped(self, x):
            return x

        @cr.jit.ignore
        def forward(self, x):
            if cr.jit.is_scripting() or cr.jit.is_tracing():
                return None
            return self.dropped(self.eager(cr.jit.annotate(cr.Tensor, mish(x))))

    class Scripted(cr.jit.ScriptModule):
        @cr.jit.script_method
        def forward(self, x):
            return x + 1

    assert isinstance(Scripted(), nn.Module) and Scripted()(cr.zeros(1)).item() == 1
    net = cr.jit.script(Net())
    x = cr.tensor([0.5])
    assert net(x).item() == pytest.approx(nn.functional.mish(x).item())
    with pytest.raises(AttributeError, match=r"^chainrule\.jit has no trace: nothing needs compil"):
        cr.jit.trace(net, x)


def test_marks_for_a_tracer_leave_code_as_it_is():
    @cr.fx.wrap
    def half(x):
        cr._assert(x.dim() == 1, f"a vector is expected, x has {x.dim()} dimensions")
        return x / 2

    assert cr.fx.wrap("half") == "half"
    assert half(cr.tensor([3.0])).item() == 1.5
    with pytest.raises(AssertionError, match=r"^a vector is expected, x has 2 dimensions$"):
        half(cr.ones(1, 1))
    with pytest.raises(AttributeError, match=r"^chainrule\.fx has no Tracer: nothing needs compil"):
        cr.fx.Tracer()


def test_names_of_types_are_where_older_code_imports_them():
    from chainrule.jit.annotations import BroadcastingList2, Dict, List, Optional, Tuple

    assert Optional[int] == int | None and BroadcastingList2[int] == list[int]
    types = (List[int], Dict[str, int], Tuple[int, ...])
    assert [t.__origin__ for t in types] == [list, dict, tuple]
