#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void resample(const Resampling&, const float* x, float* y, int threads);
void sample_images(const Sampling&, const float* x, const float* at, float* y, int threads);
void sample_images_input_grad(const Sampling&, const float* g, const float* at, float* dx,
                              int threads);
void sample_images_place_grad(const Sampling&, const float* g, const float* x, const float* at,
                              float* dat, int threads);

}  // namespace chainrule::CHAINRULE_ISA
