"""The reference tier: vectorised NumPy, complete, for any float dtype and any strides.

Its docstrings are the contracts that every tier obeys. Arguments are plain arrays that the
caller has checked; images are (N, C, H, W)-shaped whatever their memory order is.
"""

from chainrule.kernels.reference.activation import (
    relu,
    relu_backward,
    sigmoid,
    sigmoid_backward,
    tanh,
    tanh_backward,
)
from chainrule.kernels.reference.arithmetic import accumulate, add
from chainrule.kernels.reference.conv import (
    conv2d,
    conv2d_input_grad,
    conv2d_moments,
    conv2d_weight_grad,
)
from chainrule.kernels.reference.dropout import dropout
from chainrule.kernels.reference.frames import add_frames, gather_frames
from chainrule.kernels.reference.group_norm import (
    group_norm,
    group_norm_backward,
    layer_norm,
    layer_norm_backward,
    rms_norm,
    rms_norm_backward,
)
from chainrule.kernels.reference.linear import linear
from chainrule.kernels.reference.loss import (
    cross_entropy,
    cross_entropy_backward,
    log_softmax,
    log_softmax_backward,
    multi_margin_loss,
    multi_margin_loss_backward,
    softmax,
    softmax_backward,
)
from chainrule.kernels.reference.norm import (
    batch_norm_add_relu_backward,
    batch_norm_backward,
    batch_norm_relu_backward,
    channel_sum,
    moments,
    normalise,
    relu_bias_backward,
    scale_and_shift,
    scale_shift,
)
from chainrule.kernels.reference.optimizer import adam_step, sgd_step
from chainrule.kernels.reference.pool import (
    adaptive_avg_pool2d,
    adaptive_avg_pool2d_backward,
    avg_pool2d,
    avg_pool2d_backward,
    max_pool2d,
    max_pool2d_backward,
    max_pool2d_gather,
)

__all__ = [
    "accumulate",
    "adam_step",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool2d_backward",
    "add",
    "add_frames",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm_add_relu_backward",
    "batch_norm_backward",
    "batch_norm_relu_backward",
    "channel_sum",
    "conv2d",
    "conv2d_input_grad",
    "conv2d_moments",
    "conv2d_weight_grad",
    "cross_entropy",
    "cross_entropy_backward",
    "dropout",
    "gather_frames",
    "group_norm",
    "group_norm_backward",
    "layer_norm",
    "layer_norm_backward",
    "linear",
    "log_softmax",
    "log_softmax_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "max_pool2d_gather",
    "moments",
    "multi_margin_loss",
    "multi_margin_loss_backward",
    "normalise",
    "relu",
    "relu_backward",
    "relu_bias_backward",
    "rms_norm",
    "rms_norm_backward",
    "scale_and_shift",
    "scale_shift",
    "sgd_step",
    "sigmoid",
    "sigmoid_backward",
    "softmax",
    "softmax_backward",
    "tanh",
    "tanh_backward",
]
