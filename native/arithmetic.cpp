// Contract: reference/arithmetic.py.
#include "arithmetic.hpp"

namespace chainrule::CHAINRULE_ISA {

void add(const float* a, const float* b, float* y, Index n, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) y[i] = a[i] + b[i];
  });
}

}  // namespace chainrule::CHAINRULE_ISA
