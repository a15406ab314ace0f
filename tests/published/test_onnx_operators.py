"""Values that the ONNX standard publishes for its operators, as the tests of a backend.

Source: github.com/onnx/onnx, onnx/backend/test/case/node (one file an operator, Apache-2.0); each
case has its name there. Where ONNX and PyTorch mean different things, the call says PyTorch's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F


def array(values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, float)


def whole(values: Any) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


def ramp(start: int, *shape: int) -> np.ndarray[Any, Any]:
    return np.arange(start, start + math.prod(shape), dtype=float).reshape(shape)


def full(value: float, *shape: int) -> np.ndarray[Any, Any]:
    return np.full(shape, float(value))


# name: (call, its inputs ..., [its results])
# fmt: off
CASES: dict[str, Any] = {
    "averagepool_2d_precomputed_pads": (
        lambda x: F.avg_pool2d(x, 5, 1, 2, count_include_pad=False),
        ramp(1, 1, 1, 5, 5),
        [array([[[[7, 7.5, 8, 8.5, 9], [9.5, 10, 10.5, 11, 11.5], [12, 12.5, 13, 13.5, 14],
         [14.5, 15, 15.5, 16, 16.5], [17, 17.5, 18, 18.5, 19]]]])],
    ),
    "averagepool_2d_precomputed_pads_count_include_pad": (
        lambda x: F.avg_pool2d(x, 5, 1, 2),
        ramp(1, 1, 1, 5, 5),
        [array([[[[2.52, 3.6, 4.8, 4.08, 3.24], [4.56, 6.4, 8.4, 7.04, 5.52], [7.2, 10, 13,
         10.8, 8.4], [6.96, 9.6, 12.4, 10.24, 7.92], [6.12, 8.4, 10.8, 8.88, 6.84]]]])],
    ),
    "averagepool_2d_ceil": (
        lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True),
        ramp(1, 1, 1, 4, 4),
        [array([[[[6, 7.5], [12, 13.5]]]])],
    ),
    "maxpool_with_argmax_2d_precomputed_pads": (
        lambda x: F.max_pool2d(x, 5, 1, 2, return_indices=True),
        ramp(1, 1, 1, 5, 5),
        [array([[[[13, 14, 15, 15, 15], [18, 19, 20, 20, 20], [23, 24, 25, 25, 25], [23, 24,
         25, 25, 25], [23, 24, 25, 25, 25]]]]), whole([[[[12, 13, 14, 14, 14], [17, 18, 19,
         19, 19], [22, 23, 24, 24, 24], [22, 23, 24, 24, 24], [22, 23, 24, 24, 24]]]])],
    ),
    "maxpool_2d_ceil": (
        lambda x: F.max_pool2d(x, 3, 2, ceil_mode=True),
        ramp(1, 1, 1, 4, 4),
        [array([[[[11, 12], [15, 16]]]])],
    ),
    "maxpool_2d_ceil_output_size_reduce_by_one": (
        lambda x: F.max_pool2d(x, 1, 2, ceil_mode=True),
        ramp(1, 1, 1, 2, 2),
        [array([[[[1]]]])],
    ),
    "maxpool_2d_dilations": (
        lambda x: F.max_pool2d(x, 2, 1, dilation=2),
        ramp(1, 1, 1, 4, 4),
        [array([[[[11, 12], [15, 16]]]])],
    ),
    "maxpool_3d_dilations": (
        lambda x: F.max_pool3d(x, 2, 1, dilation=2),
        array([[[[[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]], [[1, 2, 3,
         4], [5, 6, 7, 8], [9, 10, 11, 12], [13, 14, 15, 16]], [[1, 2, 3, 4], [5, 6, 7, 8],
         [9, 10, 11, 12], [13, 14, 15, 16]], [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12],
         [13, 14, 15, 16]]]]]),
        [array([[[[[11, 12], [15, 16]], [[11, 12], [15, 16]]]]])],
    ),
    "maxunpool_export_without_output_shape": (
        lambda x, indices: F.max_unpool2d(x, indices, 2),
        ramp(1, 1, 1, 2, 2),
        whole([[[[5, 7], [13, 15]]]]),
        [array([[[[0, 0, 0, 0], [0, 1, 0, 2], [0, 0, 0, 0], [0, 3, 0, 4]]]])],
    ),
    "conv_with_strides_padding": (
        lambda x, w: F.conv2d(x, w, stride=2, padding=1),
        ramp(0, 1, 1, 7, 5),
        full(1, 1, 1, 3, 3),
        [array([[[[12, 27, 24], [63, 108, 81], [123, 198, 141], [112, 177, 124]]]])],
    ),
    "convtranspose_pads": (
        lambda x, w: F.conv_transpose2d(x, w, stride=(3, 2), padding=(1, 2), output_padding=0),
        ramp(0, 1, 1, 3, 3),
        full(1, 1, 2, 3, 3),
        [array([[[[1, 1, 3], [1, 1, 3], [7, 4, 9], [7, 4, 9], [7, 4, 9], [13, 7, 15], [13,
         7, 15]], [[1, 1, 3], [1, 1, 3], [7, 4, 9], [7, 4, 9], [7, 4, 9], [13, 7, 15], [13,
         7, 15]]]])],
    ),
    "convtranspose_dilations": (
        lambda x, w: F.conv_transpose2d(x, w, dilation=2),
        array([[[[3, 8, 1], [9, 5, 7], [3, 2, 6]]]]),
        array([[[[7, 2], [1, 9]]]]),
        [array([[[[21, 56, 13, 16, 2], [63, 35, 67, 10, 14], [24, 22, 76, 76, 21], [9, 5,
         88, 45, 63], [3, 2, 33, 18, 54]]]])],
    ),
    "convtranspose_group_2": (
        lambda x, w: F.conv_transpose2d(x, w, groups=2),
        ramp(0, 1, 2, 3, 3),
        full(1, 2, 1, 3, 3),
        [array([[[[0, 1, 3, 3, 2], [3, 8, 15, 12, 7], [9, 21, 36, 27, 15], [9, 20, 33, 24,
         13], [6, 13, 21, 15, 8]], [[9, 19, 30, 21, 11], [21, 44, 69, 48, 25], [36, 75, 117,
         81, 42], [27, 56, 87, 60, 31], [15, 31, 48, 33, 17]]]])],
    ),
    "col2im": (
        lambda x: F.fold(x, (5, 5), (1, 5)),
        array([[[1, 6, 11, 16, 21], [2, 7, 12, 17, 22], [3, 8, 13, 18, 23], [4, 9, 14, 19,
         24], [5, 0, 15, 20, 25]]]),
        [array([[[[1, 2, 3, 4, 5], [6, 7, 8, 9, 0], [11, 12, 13, 14, 15], [16, 17, 18, 19,
         20], [21, 22, 23, 24, 25]]]])],
    ),
    "col2im_strides": (
        lambda x: F.fold(x, (5, 5), 3, stride=2),
        array([[[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0,
         0, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]]]),
        [array([[[[0, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 2, 1, 2, 1], [1, 0, 1, 0, 0], [0, 1,
         0, 1, 0]]]])],
    ),
    "col2im_pads": (
        lambda x: F.fold(x, (5, 5), (1, 5), padding=(0, 1)),
        array([[[1, 6, 11, 16, 21, 26, 31, 36, 41, 46, 51, 56, 61, 66, 71], [2, 7, 12, 17,
         22, 27, 32, 37, 42, 47, 52, 57, 62, 67, 72], [3, 8, 13, 18, 23, 28, 33, 38, 43, 48,
         53, 58, 63, 68, 73], [4, 9, 14, 19, 24, 29, 34, 39, 44, 49, 54, 59, 64, 69, 74],
         [5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75]]]),
        [array([[[[8, 21, 24, 27, 24], [38, 66, 69, 72, 54], [68, 111, 114, 117, 84], [98,
         156, 159, 162, 114], [128, 201, 204, 207, 144]]]])],
    ),
    "col2im_dilations": (
        lambda x: F.fold(x, (6, 6), 2, dilation=(1, 5)),
        array([[[1, 5, 9, 13, 17], [2, 6, 10, 14, 18], [3, 7, 11, 15, 19], [4, 8, 12, 16,
         20]]]),
        [array([[[[1, 0, 0, 0, 0, 2], [8, 0, 0, 0, 0, 10], [16, 0, 0, 0, 0, 18], [24, 0, 0,
         0, 0, 26], [32, 0, 0, 0, 0, 34], [19, 0, 0, 0, 0, 20]]]])],
    ),
    "basic_deform_conv_with_padding": (
        lambda x, offset, w: F.deform_conv2d(x, offset, w, padding=1),
        ramp(0, 1, 1, 3, 3),
        array([[[[0.5, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0],
         [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0,
         0], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], [[0,
         0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, -0.1,
         0], [0, 0, 0, 0], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0,
         0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]]),
        full(1, 1, 1, 2, 2),
        [array([[[[0, 1, 3, 2], [3, 8, 11.9, 7], [9, 20, 24, 13], [6, 13, 15, 8]]]])],
    ),
    "deform_conv_with_mask_bias": (
        lambda x, offset, w, b, mask: F.deform_conv2d(x, offset, w, b, mask=mask),
        ramp(0, 1, 1, 3, 3),
        array([[[[0.5, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]],
         [[0, 0], [0, 0]], [[0, -0.1], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]]),
        full(1, 1, 1, 2, 2),
        array([1]),
        array([[[[1, 1], [1, 1]], [[1, 1], [1, 1]], [[1, 1], [1, 0.2]], [[1, 1], [1, 1]]]]),
        [array([[[[10.5, 12.9], [21, 19.4]]]])],
    ),
    "deform_conv_with_multiple_offset_groups": (
        lambda x, offset, w: F.deform_conv2d(x, offset, w),
        array([[[[0, 1, 2], [3, 4, 5], [6, 7, 8]], [[8, 7, 6], [5, 4, 3], [2, 1, 0]]]]),
        array([[[[0.5, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]],
         [[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0],
         [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]],
         [[0, -0.1], [0, 0]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]]),
        full(1, 1, 2, 2, 2),
        [array([[[[33.5, 32.1], [32, 32]]]])],
    ),
    "gridsample_zeros_padding": (
        lambda x, grid: F.grid_sample(x, grid, align_corners=False),
        ramp(0, 1, 1, 3, 2),
        array([[[[-10, -10], [-5, -5], [-0.2, -0.2], [10, 10]], [[10, 10], [-0.2, -0.2], [5,
         5], [10, 10]]]]),
        [array([[[[0, 0, 1.7, 0], [0, 1.7, 0, 0]]]])],
    ),
    "gridsample_border_padding": (
        lambda x, grid: F.grid_sample(x, grid, padding_mode="border", align_corners=False),
        ramp(0, 1, 1, 3, 2),
        array([[[[-10, -10], [-5, -5], [-0.2, -0.2], [10, 10]], [[10, 10], [-0.2, -0.2], [5,
         5], [10, 10]]]]),
        [array([[[[0, 0, 1.7, 5], [5, 1.7, 5, 5]]]])],
    ),
    "gridsample_reflection_padding": (
        lambda x, grid: F.grid_sample(x, grid, padding_mode="reflection", align_corners=False),
        ramp(0, 1, 1, 3, 2),
        array([[[[-10, -10], [-5, -5], [-0.2, -0.2], [10, 10]], [[10, 10], [-0.2, -0.2], [5,
         5], [10, 10]]]]),
        [array([[[[2.5, 0, 1.7, 2.5], [2.5, 1.7, 5, 2.5]]]])],
    ),
    "gridsample_aligncorners_true": (
        lambda x, grid: F.grid_sample(x, grid, align_corners=True),
        ramp(0, 1, 1, 3, 2),
        array([[[[-1, -1], [-0.5, -0.5], [-0.2, -0.2], [0, 0]], [[0, 0], [-0.2, -0.2], [0.5,
         0.5], [1, 1]]]]),
        [array([[[[0, 1.25, 2, 2.5], [2.5, 2, 3.75, 5]]]])],
    ),
    "gridsample_nearest_align_corners_1_additional_1": (
        lambda x, grid: F.grid_sample(x, grid, "nearest", align_corners=True),
        ramp(0, 1, 1, 3, 2),
        array([[[[-1, -0.8], [-0.6, -0.5], [-0.1, -0.2], [0.7, 0]], [[0, 0.4], [0.2, -0.2],
         [-0.3, 0.5], [-1, 1]]]]),
        [array([[[[0, 0, 2, 3], [2, 3, 4, 4]]]])],
    ),
    "gridsample_bicubic": (
        lambda x, grid: F.grid_sample(x, grid, "bicubic", align_corners=False),
        ramp(0, 1, 1, 3, 2),
        array([[[[-1, -1], [-0.5, -0.5], [-0.2, -0.2], [0, 0]], [[0, 0], [-0.2, -0.2], [0.5,
         0.5], [1, 1]]]]),
        [array([[[[-0.1406, 0.3828, 1.7556, 2.9688], [2.9688, 1.7556, 5.1445, 1.3906]]]])],
    ),
    "gridsample_bicubic_align_corners_1_additional_1": (
        lambda x, grid: F.grid_sample(x, grid, "bicubic", align_corners=True),
        ramp(0, 1, 1, 3, 2),
        array([[[[-1, -0.8], [-0.6, -0.5], [-0.1, -0.2], [0.7, 0]], [[0, 0.4], [0.2, -0.2],
         [-0.3, 0.5], [-1, 1]]]]),
        [array([[[[0.304001, 1.12875, 2.26627, 3.144844], [4.5315, 2.45536, 4.599819,
         4]]]])],
    ),
    "gridsample_volumetric_bilinear_align_corners_0": (
        lambda x, grid: F.grid_sample(x, grid, align_corners=False),
        ramp(1, 1, 1, 3, 2, 2),
        array([[[[[-1, -1, -1], [-1, -0.5, 0.3]], [[-0.5, -0.5, -0.5], [1, -0.6, -1]],
         [[-0.2, -0.2, -0.2], [0.4, 0.2, 0.6]], [[0, 0, 0], [-1, 0, 0]]], [[[0, 0, 0], [-1,
         1, 0]], [[-0.2, -0.2, -0.2], [1, 0.4, -0.2]], [[0.5, 0.5, 0.5], [-1, -0.8, 0.8]],
         [[1, 1, 1], [0.4, 0.6, -0.3]]]]]),
        [array([[[[[0.125, 3.4], [2, 0.45], [4.7, 10.9], [6.5, 3]], [[6.5, 1.75], [4.7,
         3.3], [11, 2.52], [1.5, 5.49]]]]])],
    ),
    "resize_upsample_scales_nearest": (
        lambda x: F.interpolate(x, scale_factor=(2, 3)),
        ramp(1, 1, 1, 2, 2),
        [array([[[[1, 1, 1, 2, 2, 2], [1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4], [3, 3, 3, 4,
         4, 4]]]])],
    ),
    "resize_upsample_scales_linear": (
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        ramp(1, 1, 1, 2, 2),
        [array([[[[1, 1.25, 1.75, 2], [1.5, 1.75, 2.25, 2.5], [2.5, 2.75, 3.25, 3.5], [3,
         3.25, 3.75, 4]]]])],
    ),
    "resize_upsample_scales_linear_align_corners": (
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
        ramp(1, 1, 1, 2, 2),
        [array([[[[1, 1.333333, 1.666667, 2], [1.666667, 2, 2.333333, 2.666667], [2.333333,
         2.666667, 3, 3.333333], [3, 3.333333, 3.666667, 4]]]])],
    ),
    "resize_downsample_scales_linear": (
        lambda x: F.interpolate(x, scale_factor=0.6, mode="bilinear"),
        ramp(1, 1, 1, 2, 4),
        [array([[[[2.666667, 4.333333]]]])],
    ),
    "resize_downsample_scales_cubic": (
        lambda x: F.interpolate(x, scale_factor=0.8, mode="bicubic"),
        ramp(1, 1, 1, 4, 4),
        [array([[[[1.471191, 2.78125, 4.08252], [6.711426, 8.021484, 9.322754], [11.9165,
         13.22656, 14.52783]]]])],
    ),
    "resize_downsample_sizes_cubic": (
        lambda x: F.interpolate(x, (3, 3), mode="bicubic"),
        ramp(1, 1, 1, 4, 4),
        [array([[[[1.630787, 3.00463, 4.378472], [7.126157, 8.5, 9.873842], [12.62153,
         13.99537, 15.36921]]]])],
    ),
    "instancenorm_example": (
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
        ramp(-1, 1, 2, 1, 3),
        array([1, 1.5]),
        array([0, 1]),
        [array([[[[-1.224736, 0, 1.224736]], [[-0.8371035, 1, 2.837103]]]])],
    ),
    "scatter_elements_with_duplicate_indices": (
        lambda x, indices, source: cr.scatter_reduce(x, 1, indices, source, "sum"),
        ramp(1, 1, 5),
        whole([[1, 1]]),
        array([[1.1, 2.1]]),
        [array([[1, 5.2, 3, 4, 5]])],
    ),
    "scatter_elements_with_reduction_max": (
        lambda x, indices, source: cr.scatter_reduce(x, 1, indices, source, "amax"),
        ramp(1, 1, 5),
        whole([[1, 1]]),
        array([[1.1, 2.1]]),
        [array([[1, 2.1, 3, 4, 5]])],
    ),
    "top_k_same_values_2d": (
        lambda x: cr.topk(x, 3),
        whole([[0, 0, 0, 0], [1, 1, 1, 1], [2, 2, 1, 1]]),
        [whole([[0, 0, 0], [1, 1, 1], [2, 2, 1]]), whole([[0, 1, 2], [0, 1, 2], [0, 1,
         2]])],
    ),
}
# fmt: on


@pytest.mark.parametrize("dtype", [cr.float32, cr.float64], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_operators_give_the_values_of_the_standard(name: str, dtype: Any) -> None:
    call, *inputs, expected = CASES[name]
    tensors = [cr.tensor(a, dtype=dtype if a.dtype.kind == "f" else cr.int64) for a in inputs]
    results = call(*tensors)
    results = results if isinstance(results, tuple) else [results]
    for result, values in zip(results, expected, strict=True):
        assert result.shape == values.shape
        np.testing.assert_allclose(result, values, rtol=1e-4, atol=1e-4)
