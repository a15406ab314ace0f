#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void moments(const Rows& size, const float* x, float* mean, float* var, int threads);
void normalise(const Rows& size, const Normalisation& norm, const float* x, const float* add,
               bool relu, float* y, int threads);
void scale_shift(const Rows& size, const float* x, const float* scale, const float* shift,
                 const float* add, bool relu, float* y, int threads);
void scale_and_shift(const Normalisation& norm, std::ptrdiff_t channels, float* scale, float* shift,
                     float* inverse);
void batch_norm_backward(const Rows& size, const Normalisation& norm, const float* g,
                         const float* x, const NormGradients& to, int threads);
void batch_norm_relu_backward(const Rows& size, const Normalisation& norm, const float* g,
                              const float* x, const NormGradients& to, int threads);
void batch_norm_add_relu_backward(const Rows& size, const Normalisation& norm, const float* g,
                                  const float* y, const float* x, const NormGradients& to,
                                  float* masked, int threads);
void channel_sum(const Rows& size, const float* g, float* sum, int threads);
void relu_bias_backward(const Rows& size, const float* g, const float* y, float* masked,
                        float* dbias, int threads);
void prelu(const Rows&, const float* x, const float* weight, float* y, int threads);
void prelu_backward(const Rows&, const float* g, const float* x, const float* weight, float* dx,
                    float* dweight, int threads);

}  // namespace chainrule::CHAINRULE_ISA
