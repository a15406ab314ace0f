#pragma once
#include "conv_window.hpp"

namespace chainrule::CHAINRULE_ISA {

// Has every group one input channel, and few output channels?
inline bool is_depthwise(const Convolution& c) {
  return c.channels == c.groups && c.outputs <= 4 * c.groups;
}

// Depthwise convolutions. Arguments are those of conv.hpp.
void depthwise_conv2d(const Convolution&, const float* x, const float* weight, const float* bias,
                      const Epilogue&, float* y, int threads);
void depthwise_input_grad(const Convolution&, const float* g, const float* weight, float* dx,
                          int threads);
void depthwise_weight_grad(const Convolution&, const float* g, const float* x, float* dw,
                           int threads);

}  // namespace chainrule::CHAINRULE_ISA
