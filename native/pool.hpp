#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void max_pool2d(const Pool&, const float* x, float* y, std::uint8_t* index, int threads);
void max_pool2d_backward(const Pool&, const float* g, const std::uint8_t* index, float* dx,
                         int threads);
void mean_pool(const Images&, const Bins& rows, const Bins& cols, const float* x, float* y,
               int threads);
void mean_pool_backward(const Images&, const Bins& rows, const Bins& cols, const float* g,
                        float* dx, int threads);

}  // namespace chainrule::CHAINRULE_ISA
