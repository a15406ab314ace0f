#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void sgd_step(const SgdParameter* parameters, Index count, const Sgd& rule, int threads);
void adam_step(const AdamParameter* parameters, Index count, const Adam& rule, int threads);

}  // namespace chainrule::CHAINRULE_ISA
