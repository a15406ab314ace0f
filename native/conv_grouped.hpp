#pragma once
#include "conv_window.hpp"

namespace chainrule::CHAINRULE_ISA {

// Convolutions in groups of several channels. Arguments are those of conv.hpp.
void grouped_conv2d(const Convolution&, const float* x, const float* weight, const float* bias,
                    const Epilogue&, float* y, int threads);
void grouped_input_grad(const Convolution&, const float* g, const float* weight, float* dx,
                        int threads);

}  // namespace chainrule::CHAINRULE_ISA
