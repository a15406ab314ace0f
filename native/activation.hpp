#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

void relu(const float* x, float* y, Index n, int threads);
void relu_backward(const float* g, const float* y, float* dx, Index n, int threads);
void sigmoid(const float* x, float* y, Index n, int threads);
void sigmoid_backward(const float* g, const float* y, float* dx, Index n, int threads);
void tanh(const float* x, float* y, Index n, int threads);
void tanh_backward(const float* g, const float* y, float* dx, Index n, int threads);
void leaky_relu(const float* x, float* y, Index n, float slope, int threads);
void leaky_relu_backward(const float* g, const float* x, float* dx, Index n, float slope,
                         int threads);
void elu(const float* x, float* y, Index n, float alpha, float scale, float input_scale,
         int threads);
void elu_backward(const float* g, const float* x, float* dx, Index n, float alpha, float scale,
                  float input_scale, int threads);
void gelu(const float* x, float* y, Index n, bool by_tanh, int threads);
void gelu_backward(const float* g, const float* x, float* dx, Index n, bool by_tanh, int threads);
void silu(const float* x, float* y, Index n, int threads);
void silu_backward(const float* g, const float* x, float* dx, Index n, int threads);
void hardswish(const float* x, float* y, Index n, int threads);
void hardswish_backward(const float* g, const float* x, float* dx, Index n, int threads);
void hardsigmoid(const float* x, float* y, Index n, int threads);
void hardsigmoid_backward(const float* g, const float* x, float* dx, Index n, int threads);
void mish(const float* x, float* y, Index n, int threads);
void mish_backward(const float* g, const float* x, float* dx, Index n, int threads);
void hardtanh(const float* x, float* y, Index n, float low, float high, int threads);
void hardtanh_backward(const float* g, const float* x, float* dx, Index n, float low, float high,
                       int threads);
void clamp_backward(const float* g, const float* x, float* dx, Index n, float low, float high,
                    int threads);
void softplus(const float* x, float* y, Index n, float beta, float threshold, int threads);
void softplus_backward(const float* g, const float* x, float* dx, Index n, float beta,
                       float threshold, int threads);
void logsigmoid(const float* x, float* y, Index n, int threads);
void logsigmoid_backward(const float* g, const float* x, float* dx, Index n, int threads);
void hardshrink(const float* x, float* y, Index n, float lambd, int threads);
void softshrink(const float* x, float* y, Index n, float lambd, int threads);
void shrink_backward(const float* g, const float* x, float* dx, Index n, float lambd,
                     int threads);

}  // namespace chainrule::CHAINRULE_ISA
