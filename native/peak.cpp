// How fast the processor multiplies and adds at best: the figure that benchmarks set the other
// kernels against. Chains of multiply-adds that never leave the registers.
#include "peak.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Two pipes whose results take 4 or 5 cycles are kept full by 10, and 16 registers hold 12.
constexpr int chains = 12;

float run(Index steps) {
  // Unknown to the compiler, else it would do the sums itself. The values stay near 1.
  volatile float shrink = 0.5f, grow = 0.5f;
  const Vector factor = broadcast(shrink), term = broadcast(grow);
  Vector sums[chains];
#pragma GCC unroll 12
  for (int c = 0; c < chains; ++c) sums[c] = factor + broadcast(static_cast<float>(c));
  for (Index s = 0; s < steps; ++s)
#pragma GCC unroll 12
    for (int c = 0; c < chains; ++c) sums[c] = sums[c] * factor + term;
#pragma GCC unroll 12
  for (int c = 1; c < chains; ++c) sums[0] += sums[c];
  return sums[0][0];
}

}  // namespace

double multiply_adds(Index steps, int threads) {
  const Scratch results(threads);
  parallel_for(threads, static_cast<std::size_t>(threads),
               [&](std::size_t task) { results[task] = run(steps); });
  return 2.0 * static_cast<double>(chains * lanes * threads) * static_cast<double>(steps);
}

}  // namespace chainrule::CHAINRULE_ISA
