#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void gather_frames(const Frames& f, const float* x, float* y, int threads);
void add_frames(const Frames& f, const float* g, float* dx, int threads);

}  // namespace chainrule::CHAINRULE_ISA
