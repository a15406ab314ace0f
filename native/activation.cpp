// Contract: reference/activation.py.
#include "activation.hpp"

namespace chainrule::CHAINRULE_ISA {

void relu(const float* x, float* y, std::size_t n, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](std::size_t first, std::size_t last) {
    // Written so that a NaN, which compares false, stays.
    for (std::size_t i = first; i < last; ++i) y[i] = x[i] < 0 ? 0.0f : x[i];
  });
}

void relu_backward(const float* g, const float* y, float* dx, std::size_t n, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](std::size_t first, std::size_t last) {
    for (std::size_t i = first; i < last; ++i) {
      const float gradient = g[i];  // read either way: a load in a branch is not vectorised
      dx[i] = y[i] > 0 ? gradient : 0.0f;
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
