// Winograd convolution: 3x3, stride 1, no dilation. Fewer products than the definition has, for
// sums before and after them (docs/derivations/winograd.md).
#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

// Outputs along each axis of a square, 2 or 4, with which this convolution is faster than done
// directly; 0 where it is not, or not allowed. Decided by sizes alone.
int winograd_conv2d_tile(const Convolution&);
int winograd_input_grad_tile(const Convolution&);
int winograd_weight_grad_tile(const Convolution&);

// The kernels of the table, for a tile that is not 0. init is the bias, and it and the epilogue's
// scale and shift are filled up to whole vectors, or null.
void winograd_conv2d(int tile, const Convolution&, const float* x, const float* weight,
                     const float* init, const Epilogue&, float* y, int threads);
void winograd_input_grad(int tile, const Convolution&, const float* g, const float* weight,
                         float* dx, int threads);
void winograd_weight_grad(int tile, const Convolution&, const float* g, const float* x, float* dw,
                          int threads);

}  // namespace chainrule::CHAINRULE_ISA
