#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void relu(const float* x, float* y, Index n, int threads);
void relu_backward(const float* g, const float* y, float* dx, Index n, int threads);
void sigmoid(const float* x, float* y, Index n, int threads);
void sigmoid_backward(const float* g, const float* y, float* dx, Index n, int threads);
void tanh(const float* x, float* y, Index n, int threads);
void tanh_backward(const float* g, const float* y, float* dx, Index n, int threads);

}  // namespace chainrule::CHAINRULE_ISA
