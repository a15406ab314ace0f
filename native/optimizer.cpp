// Contract: reference/optimizer.py. One pass over a list of parameters.
#include "optimizer.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// body(parameter, first, last) over the elements of all parameters, cut as if they were one
// array: a task takes a few small parameters, or a piece of a large one.
template <class Parameter, class Body>
void for_elements(const Parameter* parameters, Index count, int threads, Body body) {
  Index total = 0;
  for (Index i = 0; i < count; ++i) total += parameters[i].size;
  parallel_ranges(threads, total, pass_grain, [=](Index first, Index last) {
    Index start = 0;  // of this parameter among all elements
    for (Index i = 0; i < count && start < last; start += parameters[i].size, ++i) {
      const Index from = larger(first - start, Index{0});
      const Index to = smaller(last - start, parameters[i].size);
      if (from < to) body(parameters[i], from, to);
    }
  });
}

template <bool with_momentum>
void descend(const SgdParameter& p, const Sgd& rule, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict v = p.buffer;
  const Sgd r = rule;
  for (Index i = first; i < last; ++i) {
    float step = r.maximize ? -g[i] : g[i];
    if (r.weight_decay != 0) step += w[i] * r.weight_decay;
    if constexpr (with_momentum) {
      v[i] = v[i] * r.momentum + step * r.gain;
      step = r.nesterov ? step + v[i] * r.momentum : v[i];
    }
    w[i] -= step * r.lr;
  }
}

template <bool with_peak>
void descend(const AdamParameter& p, const Adam& rule, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict m = p.mean;
  float* __restrict v = p.square;
  float* __restrict peak = p.peak;
  const Adam r = rule;
  for (Index i = first; i < last; ++i) {
    float slope = r.maximize ? -g[i] : g[i];
    if (r.decay_into_grad != 0) slope += w[i] * r.decay_into_grad;
    m[i] = m[i] * r.beta1 + slope * r.one_minus_beta1;
    v[i] = v[i] * r.beta2 + slope * slope * r.one_minus_beta2;
    float largest = v[i];
    if constexpr (with_peak) {
      largest = (peak[i] > largest) | (peak[i] != peak[i]) ? peak[i] : largest;
      peak[i] = largest;
    }
    w[i] = w[i] * r.keep - m[i] / (__builtin_sqrtf(largest) + r.eps) * r.lr;
  }
}

}  // namespace

void sgd_step(const SgdParameter* parameters, Index count, const Sgd& rule, int threads) {
  for_elements(parameters, count, threads, [&](const SgdParameter& p, Index first, Index last) {
    p.buffer ? descend<true>(p, rule, first, last) : descend<false>(p, rule, first, last);
  });
}

void adam_step(const AdamParameter* parameters, Index count, const Adam& rule, int threads) {
  for_elements(parameters, count, threads, [&](const AdamParameter& p, Index first, Index last) {
    p.peak ? descend<true>(p, rule, first, last) : descend<false>(p, rule, first, last);
  });
}

}  // namespace chainrule::CHAINRULE_ISA
