#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void matrix_product(const Operand& a, const Operand& b, const float* bias, bool relu, float* c,
                    Index rows, Index cols, Index depth, int threads);

// C += A B, on this thread; rows of B are contiguous.
void add_matrix_product(const Operand& a, const Operand& b, float* c, Index rows, Index cols,
                        Index depth);

}  // namespace chainrule::CHAINRULE_ISA
