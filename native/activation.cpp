// Contract: reference/activation.py.
#include "activation.hpp"

namespace chainrule::CHAINRULE_ISA {

void relu(const float* x, float* y, Index n, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    // Written so that a NaN, which compares false, stays.
    for (Index i = first; i < last; ++i) y[i] = x[i] < 0 ? 0.0f : x[i];
  });
}

void relu_backward(const float* g, const float* y, float* dx, Index n, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const float gradient = g[i];  // read either way: a load in a branch is not vectorised
      dx[i] = y[i] > 0 ? gradient : 0.0f;
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
