#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void relu(const float* x, float* y, std::size_t n, int threads);
void relu_backward(const float* g, const float* y, float* dx, std::size_t n, int threads);

}  // namespace chainrule::CHAINRULE_ISA
