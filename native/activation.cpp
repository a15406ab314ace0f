// Contract: reference/activation.py.
#include "activation.hpp"

#include "simd_math.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// y = function(x) of vectors of n elements.
template <class Function>
void for_vectors(const float* x, float* y, Index n, int threads, Function function) {
  parallel_ranges(threads, n, pass_grain / 4, [=](Index first, Index last) {
    for (Index i = first; i < last; i += lanes) {
      const Index count = smaller(lanes, last - i);
      store_some(y + i, count, y + last, function(load_some(x + i, count, x + last)));
    }
  });
}

}  // namespace

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

void sigmoid(const float* x, float* y, Index n, int threads) {
  for_vectors(x, y, n, threads, [](Vector v) { return sigmoid(v); });
}

void sigmoid_backward(const float* g, const float* y, float* dx, Index n, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) dx[i] = g[i] * (y[i] * (1 - y[i]));
  });
}

void tanh(const float* x, float* y, Index n, int threads) {
  for_vectors(x, y, n, threads, [](Vector v) { return tanh(v); });
}

void tanh_backward(const float* g, const float* y, float* dx, Index n, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) dx[i] = g[i] * (1 - y[i] * y[i]);
  });
}

}  // namespace chainrule::CHAINRULE_ISA
