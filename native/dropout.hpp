#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void dropout(const float* x, float* y, Index n, std::uint32_t threshold, float scale,
             std::uint64_t key, int threads);

}  // namespace chainrule::CHAINRULE_ISA
