#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void conv2d(const Convolution&, const float* x, const float* weight, const float* bias,
            const Epilogue&, float* y, int threads);
void conv2d_input_grad(const Convolution&, const float* g, const float* weight, float* dx,
                       int threads);
void conv2d_weight_grad(const Convolution&, const float* g, const float* x, float* dw,
                        int threads);

}  // namespace chainrule::CHAINRULE_ISA
