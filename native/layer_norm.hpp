#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void layer_norm(const Rows& size, const float* x, const float* weight, const float* bias,
                float eps, float* y, float* mean, float* var, int threads);
void layer_norm_backward(const Rows& size, const float* g, const float* x, const float* weight,
                         const float* mean, const float* var, float eps,
                         const NormGradients& to, int threads);
void rms_norm(const Rows& size, const float* x, const float* weight, float eps, float* y,
              float* square, int threads);
void rms_norm_backward(const Rows& size, const float* g, const float* x, const float* weight,
                       const float* square, float eps, float* dx, float* dweight, int threads);

}  // namespace chainrule::CHAINRULE_ISA
