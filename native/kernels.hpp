// The native kernels' table: one filled table for each instruction set.
//
// Contracts are the docstrings of src/chainrule/kernels/reference. Arrays are float32; images
// are channels-last (N, H, W, C) and contiguous; the Python side sees to both. `threads` is
// the most threads to use and never changes a result.
#pragma once
#include <cstddef>
#include <cstdint>

namespace chainrule {

struct Kernels {
  const char* instruction_set;
  // y = max(x, 0); n elements. y may alias x.
  void (*relu)(const float* x, float* y, std::size_t n, int threads);
  // dx = g where y > 0, else 0; n elements. dx may alias g.
  void (*relu_backward)(const float* g, const float* y, float* dx, std::size_t n, int threads);
};

}  // namespace chainrule
