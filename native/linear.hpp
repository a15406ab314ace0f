#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void matrix_product(const Operand& a, const Operand& b, const float* bias, bool relu, float* c,
                    Index rows, Index cols, Index depth, int threads);

}  // namespace chainrule::CHAINRULE_ISA
