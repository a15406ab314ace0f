#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void transpose(Index count, Index rows, Index cols, const float* x, float* y, int threads);

}  // namespace chainrule::CHAINRULE_ISA
