"""What PyTorch has and chainrule has not, and what to use instead: shown by the error.

One table per room, keyed by the room's name as users write it. A name that is here is left
out on purpose; a name that is neither here nor in the room is unknown, and the error then
lists what is spelled alike.
"""

from __future__ import annotations

import re
from typing import Any

COMPLEX = "complex numbers are not supported; keep the real and imaginary parts in two tensors"
SPARSE = "tensors are dense; index with integers, or use gather and scatter_add"
ONE_DEVICE = "chainrule computes on the CPU only"
QUANTIZED = "there are no quantized tensors; use float32, or float16 to store"
COMPILED = "nothing needs compiling; neighbouring operations are fused by themselves"
FRACTIONAL = "adaptive_max_pool takes any output size too, with cells that are not random"
RECURRENT = "recurrent networks are outside a library for images; write the cell with nn.Linear"
WINDOWS = "signal processing is left to SciPy: scipy.signal, then from_numpy"
ALIGNMENT = "alignment of sequences is outside a library for images"
VOCABULARY = "chainrule.nn.CrossEntropyLoss: image classes are few enough for all of them"
LINEAR_ALGEBRA = "linear algebra is left to NumPy: numpy.linalg, then from_numpy"
SPECIAL = "special functions are left to SciPy: scipy.special, in an autograd.Function"

USE_INSTEAD: dict[str, dict[str, str]] = {
    "chainrule": {
        "amp": "float32 is what the kernels are made for; convert with .half() to store",
        "autocast": "float32 is what the kernels are made for; convert with .half() to store",
        "GradScaler": "float32 training needs no loss scaling",
        "bfloat16": "NumPy has no bfloat16; use float32, or float16 to store",
        "compile": COMPILED,
        "fx": COMPILED,
        "export": "save the state_dict with chainrule.save; import chainrule.export for folding",
        "hub": "see chainrule.models",
        "complex": COMPLEX,
        "complex64": COMPLEX,
        "complex128": COMPLEX,
        "cfloat": COMPLEX,
        "cdouble": COMPLEX,
        "polar": COMPLEX,
        "view_as_complex": COMPLEX,
        "view_as_real": COMPLEX,
        "fft": "Fourier transforms are left to NumPy: numpy.fft, then from_numpy",
        "stft": WINDOWS,
        "istft": WINDOWS,
        "bartlett_window": WINDOWS,
        "blackman_window": WINDOWS,
        "hamming_window": WINDOWS,
        "hann_window": WINDOWS,
        "kaiser_window": WINDOWS,
        "sparse": SPARSE,
        "sparse_coo_tensor": SPARSE,
        "sparse_csr_tensor": SPARSE,
        "quantization": QUANTIZED,
        "quantize_per_tensor": QUANTIZED,
        "quantize_per_channel": QUANTIZED,
        "qint8": QUANTIZED,
        "quint8": QUANTIZED,
        "qint32": QUANTIZED,
        "mps": ONE_DEVICE,
        "xpu": ONE_DEVICE,
        "Stream": ONE_DEVICE,
        "distributed": "one process trains, with as many threads as set_num_threads says",
        "multiprocessing": "loaders prepare batches in threads by themselves",
        "distributions": "draw with randn, rand, bernoulli, multinomial, normal or poisson",
        "set_default_tensor_type": "chainrule.set_default_dtype",
        "set_default_device": ONE_DEVICE,
        "lstm": RECURRENT,
        "gru": RECURRENT,
        "lobpcg": "chainrule.linalg.eigh",
        "svd_lowrank": "chainrule.linalg.svd",
        "pca_lowrank": "chainrule.linalg.svd of the centred data",
        "symeig": "chainrule.linalg.eigh",
        "solve": "chainrule.linalg.solve",
        "range": "chainrule.arange, which leaves out the end",
        "segment_reduce": "chainrule.scatter_reduce",
        "celu_": "chainrule.nn.functional.celu_",
        "relu_": "x.relu_(), or chainrule.nn.functional.relu_",
        "rrelu_": "chainrule.nn.functional.rrelu_",
        "selu_": "chainrule.nn.functional.selu_",
        "threshold_": "chainrule.nn.functional.threshold_",
        "conv_tbc": "conv1d, with the axes in the order (N, C, L)",
        "pdist": "pairwise_distance of x[i] and x[j], the rows of each pair",
        "classproperty": "functools.cached_property, or an attribute of the class",
        "from_file": "chainrule.from_numpy(numpy.memmap(...))",
        "gradient": "chainrule.diff, divided by the spacing",
        "hash_tensor": "hash(x.numpy().tobytes())",
        "histogramdd": "numpy.histogramdd, then from_numpy",
        "is_inference": "not x.requires_grad",
        "is_inference_mode_enabled": "not chainrule.is_grad_enabled()",
        "is_warn_always_enabled": "the module warnings decides what is shown how often",
        "set_warn_always": "the module warnings decides what is shown how often",
        "set_flush_denormal": "the processor's own setting is left alone",
        "to_dlpack": "chainrule.from_dlpack and others take the tensor itself",
        "typename": "type(x).__name__, or x.dtype",
        "get_file_path": "importlib.resources",
        "nonzero_static": "chainrule.nonzero",
        "unravel_index": "numpy.unravel_index, then from_numpy",
        "thread_safe_generator": "chainrule.Generator",
        "compiled_with_cxx11_abi": "chainrule info shows how the kernels were built",
        "init_num_threads": "chainrule.set_num_threads",
        "resolve_neg": "negated values are stored as they are",
        "native_channel_shuffle": "chainrule.channel_shuffle",
        "vmap": "operations take leading batch axes; write the batch axis out",
    },
    "chainrule.Tensor": {
        "bfloat16": "NumPy has no bfloat16; use .float(), or .half() to store",
        "cfloat": COMPLEX,
        "cdouble": COMPLEX,
        "chalf": COMPLEX,
        "coalesce": SPARSE,
        "to_sparse": SPARSE,
        "sparse_mask": SPARSE,
        "dequantize": QUANTIZED,
        "xpu": ONE_DEVICE,
        "ipu": ONE_DEVICE,
        "record_stream": ONE_DEVICE,
        "stft": WINDOWS,
        "istft": WINDOWS,
        "set_": "x.data = other shares other's memory",
        "resize_": "x.reshape keeps the elements; chainrule.empty makes new memory",
        "resize_as_": "x.reshape_as keeps the elements",
        "apply_": "x.copy_ of a result, or x.numpy() and a loop",
        "map_": "x.copy_ of a result, or x.numpy() and a loop",
        "storage": "x.numpy() shares the memory",
        "untyped_storage": "x.numpy() shares the memory",
        "storage_offset": "x.numpy() shares the memory",
        "as_strided_": "x.as_strided, which gives a view",
        "symeig": "chainrule.linalg.eigh",
        "bernoulli": "chainrule.bernoulli(x)",
        "multinomial": "chainrule.multinomial(x, num_samples)",
        "as_subclass": "a class that holds a tensor",
        "const_data_ptr": "x.data_ptr(), or x.numpy().ctypes.data",
        "grad_dtype": "a gradient has the dtype of its tensor",
        "hash_tensor": "hash(x.numpy().tobytes())",
        "index": "x[indices]",
        "is_inference": "not x.requires_grad",
        "is_neg": "negated values are stored as they are",
        "resolve_neg": "negated values are stored as they are",
        "is_nested": "pad to one length, and keep the lengths in a tensor",
        "to_padded_tensor": "pad to one length, and keep the lengths in a tensor",
        "is_set_to": "numpy.shares_memory(x.numpy(), y.numpy())",
        "map2_": "x.copy_ of a result, or x.numpy() and a loop",
        "module_load": "x.copy_",
        "name": "keep names in a dict, as a module does",
        "new": "x.new_tensor, x.new_zeros or x.new_empty",
        "nonzero_static": "x.nonzero()",
        "output_nr": "x.grad_fn names the operation",
        "reinforce": "-log_prob * reward is a loss like any other",
        "resize": "x.reshape keeps the elements; chainrule.empty makes new memory",
        "resize_as": "x.reshape_as keeps the elements",
        "slice_inverse": "x.slice_scatter",
        "volatile": "chainrule.no_grad()",
    },
    "chainrule.jit": {
        "trace": COMPILED,
        "trace_module": COMPILED,
        "freeze": COMPILED,
        "optimize_for_inference": COMPILED,
        "save": "chainrule.save of the state_dict",
        "load": "chainrule.load of a state_dict",
        "ScriptModule": "chainrule.nn.Module",
    },
    "chainrule.func": {
        "vmap": "give the function a batch axis, or loop and join with chainrule.stack",
        "linearize": "chainrule.func.jvp for each tangent",
        "stack_module_state": "chainrule.stack over the models' parameters, name by name",
        "functionalize": "functions may change their own tensors in place as they are",
    },
    "chainrule.utils": {
        "benchmark": "chainrule bench, or timeit",
        "bottleneck": "use cProfile, or chainrule bench for one operation at a time",
        "cpp_extension": "chainrule.ops.op makes an operation of any function of arrays",
        "dlpack": "chainrule.from_dlpack, and numpy.from_dlpack(x)",
        "model_zoo": "chainrule.models",
        "mobile_optimizer": COMPILED,
    },
    "chainrule.autograd": {
        "profiler": "use cProfile, or chainrule bench for one operation at a time",
        "profiler_util": "use cProfile, or chainrule bench for one operation at a time",
        "forward_ad": "chainrule.autograd.functional.jvp, by reverse mode twice",
        "NestedIOFunction": "chainrule.autograd.Function, with flat arguments",
        "emit_nvtx": ONE_DEVICE,
        "SavedTensor": "ctx.saved_tensors in an autograd.Function",
        "enforce_grad_layout_policy": "gradients take the memory order they come in",
        "is_view_replay_enabled": "views of a tensor that changes in place follow it by themselves",
        "variable": "chainrule.autograd.Variable",
    },
    "chainrule.linalg": {
        "eig": COMPLEX + ", or chainrule.linalg.eigh for symmetric matrices",
        "eigvals": COMPLEX + ", or chainrule.linalg.eigvalsh for symmetric matrices",
        "lu": "chainrule.linalg.solve, or scipy.linalg.lu",
        "lu_factor": "chainrule.linalg.solve, or scipy.linalg.lu_factor",
        "inv_ex": "chainrule.linalg.inv, which raises ConfigError",
        "cholesky_ex": "chainrule.linalg.cholesky, which raises ConfigError",
        "solve_ex": "chainrule.linalg.solve, which raises ConfigError",
    },
    "chainrule.nn": {
        "FractionalMaxPool2d": FRACTIONAL,
        "FractionalMaxPool3d": FRACTIONAL,
        "LazyConv1d": "chainrule.nn.Conv1d, with its in_channels written out",
        "LazyConv2d": "chainrule.nn.Conv2d, with its in_channels written out",
        "LazyConv3d": "chainrule.nn.Conv3d, with its in_channels written out",
        "LazyConvTranspose1d": "chainrule.nn.ConvTranspose1d, with its in_channels written out",
        "LazyConvTranspose2d": "chainrule.nn.ConvTranspose2d, with its in_channels written out",
        "LazyConvTranspose3d": "chainrule.nn.ConvTranspose3d, with its in_channels written out",
        "CTCLoss": ALIGNMENT,
        "Container": "chainrule.nn.Module",
        "CrossMapLRN2d": "chainrule.nn.LocalResponseNorm",
        "LinearCrossEntropyOptions": "chainrule.nn.Linear, then chainrule.nn.CrossEntropyLoss",
        "RNNBase": RECURRENT,
        "RNNCellBase": RECURRENT,
        "AdaptiveLogSoftmaxWithLoss": VOCABULARY,
        "LinearCrossEntropyLoss": "chainrule.nn.Linear, then chainrule.nn.CrossEntropyLoss",
        "NLLLoss2d": "chainrule.nn.NLLLoss, which takes images too",
        "RNN": RECURRENT,
        "LSTM": RECURRENT,
        "GRU": RECURRENT,
        "RNNCell": RECURRENT,
        "LSTMCell": RECURRENT,
        "GRUCell": RECURRENT,
        "DataParallel": "one process trains, with as many threads as set_num_threads says",
        "SyncBatchNorm": "chainrule.nn.BatchNorm2d: there is one process",
        "quantized": QUANTIZED,
    },
    "chainrule.nn.Module": {
        "bfloat16": "NumPy has no bfloat16; use .float(), or .half() to store",
        "compile": COMPILED,
        "xpu": ONE_DEVICE,
        "ipu": ONE_DEVICE,
        "mtia": ONE_DEVICE,
        "share_memory": "threads of a process share all memory; processes cannot share a model",
        "to_empty": "chainrule.nn.Module.to: there is no device without memory",
        "T_destination": "dict",
        "call_super_init": "call super().__init__() first",
        "dump_patches": "a state_dict holds no code",
        "get_extra_state": "register_buffer puts a tensor into the state_dict",
        "set_extra_state": "register_buffer puts a tensor into the state_dict",
        "_load_from_state_dict": "register_load_state_dict_pre_hook sees the names first",
        "_save_to_state_dict": "register_state_dict_post_hook sees the collected names",
    },
    "chainrule.nn.functional": {
        "fractional_max_pool2d": FRACTIONAL,
        "fractional_max_pool2d_with_indices": FRACTIONAL,
        "fractional_max_pool3d": FRACTIONAL,
        "fractional_max_pool3d_with_indices": FRACTIONAL,
        "conv_tbc": "conv1d, with the axes in the order (N, C, L)",
        "grouped_mm": "chainrule.matmul, group by group",
        "scaled_grouped_mm": "chainrule.matmul, group by group",
        "scaled_mm": "chainrule.matmul: numbers of 8 bits are not computed with",
        "ctc_loss": ALIGNMENT,
        "linear_cross_entropy": "cross_entropy(linear(input, weight, bias), target)",
        "pdist": "pairwise_distance of x[i] and x[j], the rows of each pair",
    },
    "chainrule.nn.utils": {
        "rnn": RECURRENT,
        "prune": "multiply the weight by a mask, with parametrize.register_parametrization",
        "stateless": "load_state_dict into a copy.deepcopy of the module",
        "skip_init": "construct the module; its first values cost little",
        "convert_conv2d_weight_memory_format": "kernels take every memory layout of weights",
        "convert_conv3d_weight_memory_format": "kernels take every memory layout of weights",
    },
}
"""By room, then by PyTorch's name: what a user should write instead."""


FAMILIES = {
    r"_copy$": "the name without _copy, then .clone()",
    r"[sS]torage": "x.numpy() shares the memory",
    r"^BFloat16Tensor$": "NumPy has no bfloat16; use FloatTensor, or HalfTensor to store",
    r"sparse|^(ccol|col|crow|row)_indices$": SPARSE,
    r"^(hspmm|smm|sspaddmm|indices|values|dense_dim|is_coalesced|to_dense)$": SPARSE,
    r"quantize|^q_|^qscheme$|^int_repr$": QUANTIZED,
    r"conj|complex|^(imag|real|polar|H|mH)$": COMPLEX,
    r"autocast": "float32 is what the kernels are made for; convert with .half() to store",
    r"device|mkldnn|^(is_|to_)?(distributed|ipu|maia|meta|mtia|vulkan|xla|xpu)$": ONE_DEVICE,
    r"deterministic": "everything is deterministic always",
    r"^(Stream|Event)$": ONE_DEVICE,
    r"layout|_strided|dim_order|format": "images take channels-last memory by themselves",
    r"^sym_|^Sym": "shapes are plain numbers",
    r"^(cholesky|det|eig|inverse|logdet|lu|matrix_exp|matrix_rank|pinverse|qr|slogdet|svd)"
    r"|^(geqrf|lstsq|orgqr|ormqr|solve|triangular_solve)$": LINEAR_ALGEBRA,
    r"^(digamma|erfinv|i0|igamma|lgamma|mvlgamma|polygamma)": SPECIAL,
    r"^Lazy(Linear|.*Norm)|^Uninitialized": "write the number of features out",
    r"Transformer|Embedding|^embedding": "models of language are outside a library for images",
    r"[aA]ttention|^multi_head": "(q @ k.mT / q.shape[-1]**0.5).softmax(-1) @ v",
    r"_with_indices$": "the name without _with_indices, with return_indices=True",
    r"^unsafe_": "the name without unsafe_",
    r"^(parse_|import_ir|merge_type|unify_type)|^(cond|fork|wait|while_loop)$": COMPILED,
    r"[pP]rofiler|kineto": "use cProfile, or chainrule bench for one operation at a time",
    r"num_interop_threads": "chainrule.set_num_threads",
    r"torch_function": "define __array__, or a class that holds a tensor",
    r"multithreading|multiprocessing": "kernels have threads of their own; see set_num_threads",
}
"""By a pattern in PyTorch's name, for those that no table names: what a user should do instead."""


def use_instead(room: str, name: str) -> str | None:
    """What to use instead of PyTorch's ``name`` in ``room``; None where nothing is noted."""
    instead = USE_INSTEAD.get(room, {}).get(name)
    if instead is None and room != "chainrule.nn.Module":  # whose attributes users name
        for pattern, advice in FAMILIES.items():
            if re.search(pattern, name):
                return advice
    return instead


def absent_name(owner: Any, room: str, name: str) -> AttributeError:
    """The error for a name of PyTorch's that ``owner`` (a module or a class) has not."""
    import difflib

    instead = use_instead(room, name)
    if instead is not None:
        return AttributeError(f"{room} has no {name}: {instead}", name=name, obj=owner)
    known = {n.lower(): n for n in dir(owner) if not n.startswith("_")}
    near = [known[n] for n in difflib.get_close_matches(name.lower(), known, n=3, cutoff=0.7)]
    hint = f"; it has {', '.join(near)}" if near else ""
    return AttributeError(f"{room} has no {name}{hint}", name=name, obj=owner)
