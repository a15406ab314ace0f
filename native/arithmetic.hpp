#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void add(const float* a, const float* b, float* y, Index n, int threads);

}  // namespace chainrule::CHAINRULE_ISA
