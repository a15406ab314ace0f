#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void moments(const float* x, Index rows, Index channels, float* mean, float* var, int threads);
void normalise(const float* x, const float* mean, const float* var, const float* weight,
               const float* bias, float eps, Index rows, Index channels, float* y, int threads);
void batch_norm_backward(const float* g, const float* x, const float* weight, const float* mean,
                         const float* var, float eps, Index rows, Index channels, float* dx,
                         float* dweight, float* dbias, int threads);
void scale_shift(const float* x, const float* scale, const float* shift, Index rows,
                 Index channels, float* y, int threads);

}  // namespace chainrule::CHAINRULE_ISA
