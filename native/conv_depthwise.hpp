#pragma once
#include "conv_window.hpp"

namespace chainrule::CHAINRULE_ISA {

// Convolutions whose groups have so few channels that output channels of many groups share a
// vector. Arguments are those of conv.hpp.
void depthwise_conv2d(const Convolution&, const float* x, const float* weight, const float* bias,
                      const Epilogue&, float* y, int threads);
void depthwise_input_grad(const Convolution&, const float* g, const float* weight, float* dx,
                          int threads);
void depthwise_weight_grad(const Convolution&, const float* g, const float* x, float* dw,
                           int threads);

}  // namespace chainrule::CHAINRULE_ISA
