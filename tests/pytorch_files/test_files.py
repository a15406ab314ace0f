"""Files in PyTorch's formats, put together here byte by byte: what is read, what is refused."""

import io
import os
import pickle
import struct
import tarfile
import zipfile
from contextlib import suppress

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import CheckpointError, ConfigError

# -- a pickle by its opcodes -------------------------------------------------------------------


class Code(bytes):
    """Opcodes that leave one value."""


def code(value):
    """The opcodes of a value (protocol 2)."""
    if isinstance(value, Code):
        return value
    if isinstance(value, list):
        return b"](" + b"".join(map(code, value)) + b"e"
    if isinstance(value, tuple):
        return b"(" + b"".join(map(code, value)) + b"t"
    if isinstance(value, dict):
        return b"}(" + b"".join(code(part) for pair in value.items() for part in pair) + b"u"
    return pickle.dumps(value, 2)[2:-1]


def name(module, attribute):
    return Code(f"c{module}\n{attribute}\n".encode())


def call(function, *arguments):
    return Code(function + code(arguments) + b"R")


def storage(key="0", count=4, kind="FloatStorage", *part):
    return Code(code(("storage", name("torch", kind), key, "cpu", count, *part)) + b"Q")


def tensor(held, offset=0, size=(4,), stride=(1,)):
    return call(name("torch._utils", "_rebuild_tensor_v2"), held, offset, size, stride, False, {})


def pickled(value):
    return b"\x80\x02" + code(value) + b"."


LAUGHS = Code(
    b"]q\x80" + b"".join(b"0(" + b"h%c" % i * 10 + b"lq%c" % (i + 1) for i in range(128, 188))
)
"""A list of ten times the same list of ten times the same list of ..."""


# -- the formats -------------------------------------------------------------------------------

FOUR = np.arange(4, dtype="<f4").tobytes()


def zip_of(value, members=None, root="archive", compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(f"{root}/data.pkl", value if type(value) is bytes else pickled(value))
        for member, content in ({"data/0": FOUR} if members is None else members).items():
            archive.writestr(f"{root}/{member}", content)
    return file.getvalue()


def legacy_of(value, storages=(("0", FOUR),), magic=0x1950A86A20F9469CFC6C, version=1001):
    body = value if type(value) is bytes else pickled(value)
    keys = [key for key, _ in storages]
    contents = b"".join(struct.pack("<q", len(raw) // 4) + raw for _, raw in storages)
    facts = {"protocol_version": version, "little_endian": True}
    head = b"".join(pickled(part) for part in (magic, version, facts))
    return head + body + pickled(keys) + contents


def tar_of(contents):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in contents.items():
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def load(content, **options):
    return cr.load(io.BytesIO(content), **options)


# -- what is read ------------------------------------------------------------------------------


def test_a_tensor_in_the_zip_format():
    assert load(zip_of({"w": tensor(storage(), 1, (2, 1), (2, 1))}))["w"].tolist() == [[1], [3]]


def test_a_tensor_in_the_legacy_format():
    whole = storage("0", 4, "FloatStorage", None)
    part = storage("0", 4, "FloatStorage", ("1", 2, 2))
    loaded = load(legacy_of([tensor(whole), tensor(part, 0, (2,))]))
    assert [t.tolist() for t in loaded] == [[0, 1, 2, 3], [2, 3]]
    assert np.shares_memory(loaded[0].array, loaded[1].array)


def test_a_tensor_in_the_tar_format():
    count, kind = pickled(1), name("torch", "FloatStorage")
    storages = count + pickled((7, "cpu", kind)) + struct.pack("<q", 4) + FOUR
    parts = pickled([(8, 7, 1, 3)])
    axes = struct.pack("<i4x", 1) + struct.pack("<qqq", 2, 2, 0)
    tensors = count + pickled((9, 8, name("torch", "FloatTensor"))) + axes
    files = {
        "sys_info": pickled({}), "storages": storages + parts, "tensors": tensors,
        "pickle": pickled({"w": Code(code("9") + b"Q")}),
    }  # fmt: skip
    assert load(tar_of(files))["w"].tolist() == [1, 3]
    whole = {**files, "pickle": pickled(Code(code((name("torch", "Size"), "a.py", "x")) + b"Q"))}
    with pytest.raises(CheckpointError, match=r"holds a whole module; in PyTorch, save its state"):
        load(tar_of(whole))
    for broken in (
        {**files, "tensors": tensors[:-8] + struct.pack("<q", 1)},
        {**files, "storages": storages + pickled([(8, 7, 2, 3)])},
        {k: v for k, v in files.items() if k != "tensors"},
    ):  # fmt: skip
        with pytest.raises(CheckpointError, match="damaged"):
            load(tar_of(broken))


def test_bytes_of_the_other_order_are_turned():
    members = {"data/0": np.arange(4, dtype=">f4").tobytes(), "byteorder": b"big"}
    assert load(zip_of(tensor(storage()), members)).tolist() == [0, 1, 2, 3]


def test_bfloat16_is_widened_exactly():
    values = np.array([1.0, -2.5, np.inf, 2.0**-130], np.float32)
    halves = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    loaded = load(zip_of(tensor(storage(kind="BFloat16Storage")), {"data/0": halves}))
    np.testing.assert_array_equal(loaded.array, values)
    assert loaded.dtype == np.float32


def test_texts_of_python_2_are_read():
    text = "ä".encode()
    value = Code(b"}" + b"U" + bytes([len(text)]) + text + b"K\x01s")
    assert load(legacy_of(value, ())) == {"ä": 1}


def test_the_old_opcodes_of_calls_make_what_is_allowed():
    ordered = b"ccollections\nOrderedDict\n"
    for opcodes in (b"(icollections\nOrderedDict\n", b"(" + ordered + b"o", ordered + b")\x81"):
        assert load(zip_of(b"\x80\x02" + opcodes + b".")) == {}


def test_a_shared_text_and_an_unused_value():
    assert load(zip_of(b"\x80\x02X\x01\x00\x00\x00aq\x000h\x002\x86.")) == ("a", "a")


def test_the_place_that_tensors_were_in_does_not_matter(tmp_path):
    (tmp_path / "w.pth").write_bytes(zip_of(tensor(storage())))
    for place in ("cpu", {"cuda:0": "cpu"}, lambda held, where: held, cr.device("cpu")):
        assert cr.load(tmp_path / "w.pth", place, mmap=True, encoding="latin1").shape == (4,)
    with pytest.raises(ConfigError, match="CPU only"):
        cr.load(tmp_path / "w.pth", "cuda")


# -- what is refused ---------------------------------------------------------------------------

SYSTEM = b"cos\nsystem\n"
TOUCH = code(("touch pwned",))
HOSTILE = {
    "reduce": SYSTEM + TOUCH + b"R",
    "posix": b"cposix\nsystem\n" + TOUCH + b"R",
    "stack_global": code("os") + code("system") + b"\x93" + TOUCH + b"R",
    "inst": b"(" + code("touch pwned") + b"ios\nsystem\n",
    "obj": b"(" + SYSTEM + code("touch pwned") + b"o",
    "newobj": b"csubprocess\nPopen\n" + TOUCH + b"\x81",
    "newobj_ex": b"csubprocess\nPopen\n" + TOUCH + b"}\x92",
    "eval": b"cbuiltins\neval\n" + TOUCH + b"R",
    "exec of Python 2": b"c__builtin__\nexec\n" + TOUCH + b"R",
    "getattr": b"cbuiltins\ngetattr\n" + code(("a", "b")) + b"R",
    "dotted": code("torch") + code("Tensor.__class__.mro") + b"\x93)R",
    "dotted in a module": code("collections") + code("OrderedDict.fromkeys") + b"\x93)R",
    "partial": b"cfunctools\npartial\n" + code((Code(SYSTEM),)) + b"R",
    "load": b"ctorch.storage\n_load_from_bytes\n" + code((b"x",)) + b"R",
    "import": b"cimportlib\nimport_module\n" + code(("os",)) + b"R",
    "own functions": b"cchainrule\nload\n" + code(("x",)) + b"R",
    "unpickler": b"cpickle\nloads\n" + code((b"x",)) + b"R",
}


@pytest.mark.parametrize("form", [zip_of, lambda body: legacy_of(body, ())], ids=["zip", "legacy"])
@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_pickle_runs_nothing(attack, form, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match=r"refused: it names \S+, .*code in a file is never"):
        load(form(b"\x80\x04" + HOSTILE[attack] + b"."))
    assert os.listdir(tmp_path) == []


MODULE = b"c__main__\nNet\n)\x81}b"


@pytest.mark.parametrize(
    ("opcodes", "message"),
    [
        (MODULE, r"a whole module or another object \(__main__\.Net\).*state_dict\(\)"),
        (b"\x82\x01", r"uses EXT1"),
        (b"\x84\x01\x00\x00\x00", r"uses EXT4"),
        (b"\x97", r"uses NEXT_BUFFER"),
        (code(3) + b")R", r"calls what is no function that it may call"),
        (b"ctorch\nfloat32\n)R", r"calls what is no function"),
        (b"ccollections\nOrderedDict\n}R", r"calls what is no function"),
        (name("torch", "Tensor") + b")\x81", r"calls what is no function"),
        (name("torch._utils", "_rebuild_tensor_v2") + b"}b", r"changes the inside of a Construct"),
        (name("torch", "FloatStorage") + b"}b", r"changes the inside of a StorageType"),
        (b"]}b", r"changes the inside of a list"),
        (tensor(storage()) + b"}b", r"changes the inside of a Tensor"),
        (storage() + code((1, (9,), 0, False, b"")) + b"b", r"changes the inside of a Storage"),
        (call(name("builtins", "set"), [[]]), r"a list is a key of a dict"),
        (b"}" + b"(" * 3 + b"t" * 3 + b"K\x01s", r"a tuple is a key of a dict"),
        (call(name("numpy", "dtype"), "O8", 0, 1), r"an array of the type 'O8'"),
        (storage(kind="ComplexDoubleStorage"), r"ComplexDoubleStorage.*save \.real and \.imag"),
        (storage(kind="QInt8Storage"), r"QInt8Storage"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_plain_value_is_refused(opcodes, message):
    with pytest.raises(CheckpointError, match=message):
        load(zip_of(b"\x80\x04" + opcodes + b"."))


def test_a_state_cannot_hide_the_methods_of_a_dict():
    ordered = call(name("collections", "OrderedDict"))
    value = load(zip_of(Code(ordered + code({"items": 1, "_metadata": {}}) + b"b")))
    assert value == {} and callable(value.items) and not vars(value)


@pytest.mark.parametrize(
    "held",
    [
        tensor(storage(), 1),
        tensor(storage(), -1),
        tensor(storage(), 0, (2,), (-1,)),
        tensor(storage(), 0, (-4,), (1,)),
        tensor(storage(), 0, (2, 2), (1,)),
        tensor(storage(), 0, (2**40, 2**40), (0, 1)),
        tensor(storage(), 0, (2**62,), (2**62,)),
        tensor(storage(), 0, (2**62, 2**62), (0, 0)),
        tensor(storage(), 0, (0, 2**80), (0, 0)),
        tensor(storage(), 0, (1,) * 65, (1,) * 65),
        tensor(storage(), 0.0),
        tensor(storage(), True),
        tensor(storage(), 0, [4], [1]),
        tensor([1, 2], 0, (2,), (1,)),
        tensor(storage(count=5), 0, (5,)),
        tensor(storage(count=2**60)),
        tensor(storage(count=-1)),
        tensor(storage(key="1")),
        tensor(storage(key="../../data.pkl")),
        tensor(storage(key=1)),
        tensor(Code(code(("storage", "FloatStorage", "0", "cpu", 4)) + b"Q")),
        Code(code("storage") + b"Q"),
        call(name("torch.nn.parameter", "Parameter")),
        call(name("torch", "Size"), 3),
        call(name("builtins", "bytearray"), 2**60),
        call(name("builtins", "bytes"), 2**60),
        call(name("_codecs", "encode"), "a", "rot13"),
        call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), (0,), b"b"),
        call(name("collections", "Counter"), 3),
        Code(b"]" + code(1) + code(2) + b"s"),
        Code(b"(" + code(1) + b"d"),
        Code(b"0"),
        Code(b"h\x07"),
    ],
    ids=range(33),
)
def test_what_makes_no_sense_is_damaged_or_refused(held):
    with pytest.raises(CheckpointError, match=r"^load: the file (is damaged|is not read)"):
        load(zip_of(held))


@pytest.mark.parametrize(
    "content",
    [
        legacy_of(tensor(storage("0", 2**60, "FloatStorage", None))),
        legacy_of(tensor(storage("0", 5, "FloatStorage", None))),
        legacy_of(tensor(storage("1", 4, "FloatStorage", None))),
        legacy_of(tensor(storage("0", 4, "FloatStorage", ("1", 3, 2)), 0, (2,))),
        legacy_of(tensor(storage("0", 4, "FloatStorage", ("1", -1, 2)), 0, (2,))),
        legacy_of([tensor(storage("0", 4, kind, None)) for kind in ("FloatStorage", "IntStorage")]),
        legacy_of([]),
        legacy_of(tensor(storage("0", 4, "FloatStorage", None)))[:-1],
        legacy_of([], ())[:-20],
        legacy_of(tensor(storage("0", 4, "FloatStorage", None)), magic=1),
        legacy_of(tensor(storage("0", 4, "FloatStorage", None)), version=1002),
        pickle.dumps({"a": 1}),
        b"\x80",
    ],
    ids=range(13),
)
def test_broken_legacy_files(content):
    with pytest.raises(CheckpointError, match=r"^load: the file (is damaged|is a pickle, but|has)"):
        load(content)


def test_every_cut_of_a_file_is_noticed(tmp_path):
    for whole in (
        zip_of(tensor(storage())),
        legacy_of(tensor(storage("0", 4, "FloatStorage", None))),
    ):
        for length in range(len(whole)):
            with pytest.raises(CheckpointError, match=r"^load: "):
                load(whole[:length])
        path = tmp_path / "cut.pth"
        path.write_bytes(whole[:-3])
        with pytest.raises(CheckpointError, match=r"cut\.pth"):
            cr.load(path)


def test_changed_bytes_are_noticed_or_harmless():
    random = np.random.default_rng(0)
    whole = np.frombuffer(zip_of({"w": tensor(storage())}), np.uint8)
    for _ in range(500):
        changed = whole.copy()
        changed[random.integers(len(whole), size=3)] = random.integers(256, size=3)
        with suppress(CheckpointError):
            load(changed.tobytes())


def test_a_wrong_checksum():
    whole = zip_of(tensor(storage()))
    with pytest.raises(CheckpointError, match=r"data/0 has another checksum"):
        load(whole.replace(FOUR, FOUR[::-1]))


def test_zip_archives_of_others():
    with pytest.raises(CheckpointError, match=r"none of torch\.save \(it has no data\.pkl\)"):
        load(zip_of([], {}).replace(b"data.pkl", b"data.txt"))
    with pytest.raises(CheckpointError, match=r"data\.pkl in it is compressed or encrypted"):
        load(zip_of([0] * 10**5, compression=zipfile.ZIP_DEFLATED))
    with pytest.raises(CheckpointError, match=r"program of TorchScript"):
        load(zip_of([], {"constants.pkl": b""}))
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        pytest.raises(CheckpointError, match=r"two members of the archive have one name"),
    ):
        file = io.BytesIO(zip_of([]))
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr("archive/data/0", FOUR)
        load(file.getvalue())


@pytest.mark.parametrize(
    "content",
    [
        zip_of(tensor(storage(), LAUGHS)),
        zip_of(tensor(storage(), 0, LAUGHS)),
        zip_of(tensor(storage(), 0, (LAUGHS,))),
        zip_of(tensor(storage(count=LAUGHS))),
        zip_of(tensor(storage(key=LAUGHS))),
        zip_of(tensor(storage(), 0, (1 << 9_000_000,) * 60, (1 << 9_000_000,) * 60)),
        zip_of(call(name("numpy", "dtype"), LAUGHS, 0, 1)),
        zip_of(call(name("collections", "Counter"), [(LAUGHS, 1)])),
        zip_of(call(name("builtins", "set"), LAUGHS)),
        zip_of({(1,) * 33: 1}),
        zip_of({1 << 9_000_000: 1}),
        zip_of(call(name("collections", "OrderedDict"), name("builtins", "set"))),
        zip_of(Code(name("torch", "Size") + name("torch", "Size") + b"R")),
        legacy_of(LAUGHS, (), magic=LAUGHS),
        legacy_of(LAUGHS, (), version=LAUGHS),
        legacy_of([], ((LAUGHS, FOUR),)),
        legacy_of(tensor(storage("0", 4, "FloatStorage", ("1", LAUGHS, 2)))),
    ],
    ids=range(17),
)
def test_no_message_and_no_key_takes_for_ever(content):
    with pytest.raises(CheckpointError, match=r"^load: the file (is|has)[^\n]{1,200}$"):
        load(content)


def test_members_that_overlap_are_no_way_to_a_bomb():
    """Every entry of the directory names the same bytes; together they are larger than the file."""
    content = bytes(10**5)
    members = {f"data/{i}": content for i in range(4)}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", pickled([]))
        archive.writestr("archive/data/0", content)
        first = archive.infolist()[-1]
        for member in list(members)[1:]:
            info = zipfile.ZipInfo(f"archive/{member}")
            info.header_offset, info.CRC = first.header_offset, first.CRC
            info.file_size = info.compress_size = len(content)
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
    with pytest.raises(CheckpointError, match=r"members are larger than the file"):
        load(file.getvalue())


def test_paths_in_an_archive_are_only_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load(zip_of(tensor(storage()), root="../../above")).shape == (4,)
    assert os.listdir(tmp_path) == []


def test_a_file_cannot_unpack_to_many_times_its_size():
    text = "a" * 10**5
    encode = b"c_codecs\nencode\nq\x01"
    copies = b"h\x01h\x00X\x06\x00\x00\x00latin1\x86R" * 1000
    body = b"\x80\x02" + code(text) + b"0" + encode + b"0](" + copies + b"e."
    with pytest.raises(CheckpointError, match=r"unpacked, it would be many times as large"):
        load(zip_of(body))


def test_laughs_and_depths_take_no_time():
    assert len(load(zip_of(LAUGHS))) == 10
    deep = load(zip_of(b"\x80\x02" + b"]" * 10**5 + b"a" * (10**5 - 1) + b"."))
    assert len(deep) == 1
    memo = b"\x80\x02" + code("a") + b"r\xff\xff\xff\xff."  # a place in the memo far out
    assert load(zip_of(memo)) == "a"
    tuples = b"\x80\x02}" + b")" + b"2\x86" * 60 + b"K\x01s."
    with pytest.raises(CheckpointError, match=r"a tuple is a key of a dict"):
        load(zip_of(tuples))
