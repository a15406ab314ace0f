#include "activation.hpp"
#include "arithmetic.hpp"
#include "classifier.hpp"
#include "conv.hpp"
#include "dropout.hpp"
#include "frames.hpp"
#include "group_norm.hpp"
#include "layer_norm.hpp"
#include "layout.hpp"
#include "linear.hpp"
#include "loss.hpp"
#include "neighbours.hpp"
#include "norm.hpp"
#include "optimizer.hpp"
#include "peak.hpp"
#include "pool.hpp"
#include "sampling.hpp"

#define CHAINRULE_NAME_(isa) #isa
#define CHAINRULE_NAME(isa) CHAINRULE_NAME_(isa)

namespace chainrule::CHAINRULE_ISA {

extern const Kernels kernels;
const Kernels kernels = {
    .instruction_set = CHAINRULE_NAME(CHAINRULE_ISA),
    .relu = relu,
    .relu_backward = relu_backward,
    .sigmoid = sigmoid,
    .sigmoid_backward = sigmoid_backward,
    .tanh = tanh,
    .tanh_backward = tanh_backward,
    .leaky_relu = leaky_relu,
    .leaky_relu_backward = leaky_relu_backward,
    .elu = elu,
    .elu_backward = elu_backward,
    .gelu = gelu,
    .gelu_backward = gelu_backward,
    .silu = silu,
    .silu_backward = silu_backward,
    .hardswish = hardswish,
    .hardswish_backward = hardswish_backward,
    .hardsigmoid = hardsigmoid,
    .hardsigmoid_backward = hardsigmoid_backward,
    .mish = mish,
    .mish_backward = mish_backward,
    .hardtanh = hardtanh,
    .hardtanh_backward = hardtanh_backward,
    .clamp_backward = clamp_backward,
    .softplus = softplus,
    .softplus_backward = softplus_backward,
    .logsigmoid = logsigmoid,
    .logsigmoid_backward = logsigmoid_backward,
    .hardshrink = hardshrink,
    .softshrink = softshrink,
    .shrink_backward = shrink_backward,
    .prelu = prelu,
    .prelu_backward = prelu_backward,
    .conv2d = conv2d,
    .conv2d_input_grad = conv2d_input_grad,
    .conv2d_weight_grad = conv2d_weight_grad,
    .gather_frames = gather_frames,
    .add_frames = add_frames,
    .matrix_product = matrix_product,
    .linear_classifier = linear_classifier,
    .nearest = nearest,
    .moments = moments,
    .normalise = normalise,
    .scale_shift = scale_shift,
    .scale_and_shift = scale_and_shift,
    .batch_norm_backward = batch_norm_backward,
    .batch_norm_relu_backward = batch_norm_relu_backward,
    .batch_norm_add_relu_backward = batch_norm_add_relu_backward,
    .channel_sum = channel_sum,
    .relu_bias_backward = relu_bias_backward,
    .layer_norm = layer_norm,
    .layer_norm_backward = layer_norm_backward,
    .rms_norm = rms_norm,
    .rms_norm_backward = rms_norm_backward,
    .group_norm = group_norm,
    .group_norm_backward = group_norm_backward,
    .max_pool2d = max_pool2d,
    .max_pool2d_backward = max_pool2d_backward,
    .add = add,
    .transpose = transpose,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
    .log_softmax = log_softmax,
    .log_softmax_backward = log_softmax_backward,
    .cross_entropy = cross_entropy,
    .cross_entropy_backward = cross_entropy_backward,
    .multi_margin_loss = multi_margin_loss,
    .multi_margin_loss_backward = multi_margin_loss_backward,
    .crammer_singer_loss = crammer_singer_loss,
    .crammer_singer_loss_backward = crammer_singer_loss_backward,
    .one_vs_all_loss = one_vs_all_loss,
    .one_vs_all_loss_backward = one_vs_all_loss_backward,
    .huber_sum = huber_sum,
    .huber_sum_backward = huber_sum_backward,
    .dropout = dropout,
    .mean_pool = mean_pool,
    .mean_pool_backward = mean_pool_backward,
    .resample = resample,
    .sample_images = sample_images,
    .sample_images_input_grad = sample_images_input_grad,
    .sample_images_place_grad = sample_images_place_grad,
    .sgd_step = sgd_step,
    .momentum_step = momentum_step,
    .adam_step = adam_step,
    .moments_step = moments_step,
    .adamax_step = adamax_step,
    .adagrad_step = adagrad_step,
    .rmsprop_step = rmsprop_step,
    .adadelta_step = adadelta_step,
    .asgd_step = asgd_step,
    .rprop_step = rprop_step,
    .multiply_adds = multiply_adds,
};

}  // namespace chainrule::CHAINRULE_ISA
