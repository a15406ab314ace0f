#pragma once
#include "conv_window.hpp"

namespace chainrule::CHAINRULE_ISA {

// Have groups so few channels that lanes are best filled with channels of many groups?
bool is_depthwise(const Convolution&);

// Depthwise convolutions. Arguments are those of conv.hpp.
void depthwise_conv2d(const Convolution&, const float* x, const float* weight, const float* bias,
                      const Epilogue&, float* y, int threads);
void depthwise_input_grad(const Convolution&, const float* g, const float* weight, float* dx,
                          int threads);
void depthwise_weight_grad(const Convolution&, const float* g, const float* x, float* dw,
                           int threads);

}  // namespace chainrule::CHAINRULE_ISA
