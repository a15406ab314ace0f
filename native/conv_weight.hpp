#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

// The weight gradient of few filters over few channels, where lanes are pixels.
bool is_narrow(const Convolution&);
void narrow_weight_grad(const Convolution&, const float* g, const float* x, float* dw,
                        int threads);

}  // namespace chainrule::CHAINRULE_ISA
