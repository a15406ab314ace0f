// Contract: reference/optimizer.py. One pass over a list of parameters.
#include "optimizer.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// descend(parameter, rule, first, last) over the elements of all parameters, cut as if they were
// one array: a task takes a few small parameters, or a piece of a large one.
template <class Rule>
void for_elements(const Optimized* parameters, Index count, const Rule& rule, int threads,
                  void (*descend)(const Optimized&, const Rule, Index, Index)) {
  Index total = 0;
  for (Index i = 0; i < count; ++i) total += parameters[i].size;
  parallel_ranges(threads, total, pass_grain, [=, &rule](Index first, Index last) {
    Index start = 0;  // of this parameter among all elements
    for (Index i = 0; i < count && start < last; start += parameters[i].size, ++i) {
      const Index from = larger(first - start, Index{0});
      const Index to = smaller(last - start, parameters[i].size);
      if (from < to) descend(parameters[i], rule, from, to);
    }
  });
}

// The gradient that the rules begin with.
inline float begin(const Slope& slope, float g, float w) {
  const float signed_g = slope.maximize ? -g : g;
  return slope.weight_decay != 0 ? signed_g + w * slope.weight_decay : signed_g;
}

// NaN if either is, as NumPy's maximum.
inline float largest_of(float a, float b) { return (a > b) | (a != a) ? a : b; }

template <bool with_momentum>
void sgd(const Optimized& p, const Sgd r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict v = p.state[0];
  for (Index i = first; i < last; ++i) {
    float step = begin(r.slope, g[i], w[i]);
    if constexpr (with_momentum) {
      v[i] = v[i] * r.momentum + step * r.gain;
      step = r.nesterov ? step + v[i] * r.momentum : v[i];
    }
    w[i] -= step * r.lr;
  }
}

void momentum(const Optimized& p, const Momentum r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict v = p.state[0];
  for (Index i = first; i < last; ++i) {
    const float before = v[i] * r.momentum;
    const float now = before - begin(r.slope, g[i], w[i]) * r.lr;
    v[i] = now;
    w[i] += r.nesterov ? now + now * r.momentum - before : now;
  }
}

template <bool with_peak>
void adam(const Optimized& p, const Adam r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict m = p.state[0];
  float* __restrict v = p.state[1];
  float* __restrict peak = p.state[2];
  for (Index i = first; i < last; ++i) {
    const float slope = begin(r.slope, g[i], w[i]);
    m[i] = m[i] * r.beta1 + slope * r.one_minus_beta1;
    v[i] = v[i] * r.beta2 + slope * slope * r.one_minus_beta2;
    float largest = v[i];
    if constexpr (with_peak) peak[i] = largest = largest_of(peak[i], largest);
    w[i] = w[i] * r.keep - m[i] / (__builtin_sqrtf(largest) + r.eps) * r.lr;
  }
}

template <bool adaptive>
void moments(const Optimized& p, const Moments r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict m = p.state[0];
  float* __restrict v = p.state[1];
  for (Index i = first; i < last; ++i) {
    const float slope = begin(r.slope, g[i], w[i]);
    m[i] = m[i] * r.beta1 + slope * r.one_minus_beta1;
    v[i] = v[i] * r.beta2 + slope * slope * r.one_minus_beta2;
    float step = m[i] * r.mean_rate + slope * r.grad_rate;
    if constexpr (adaptive) step /= __builtin_sqrtf(v[i]) + r.eps;
    w[i] = w[i] * r.keep - step;
  }
}

void adamax(const Optimized& p, const Adamax r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict m = p.state[0];
  float* __restrict u = p.state[1];
  for (Index i = first; i < last; ++i) {
    const float slope = begin(r.slope, g[i], w[i]);
    m[i] = m[i] * r.beta1 + slope * r.one_minus_beta1;
    u[i] = largest_of(u[i] * r.beta2, __builtin_fabsf(slope) + r.eps);
    w[i] -= m[i] / u[i] * r.lr;
  }
}

void adagrad(const Optimized& p, const Adagrad r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict s = p.state[0];
  for (Index i = first; i < last; ++i) {
    const float slope = begin(r.slope, g[i], w[i]);
    s[i] += slope * slope;
    w[i] -= slope / (__builtin_sqrtf(s[i]) + r.eps) * r.lr;
  }
}

template <bool centered, bool with_momentum>
void rmsprop(const Optimized& p, const RmsProp r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict v = p.state[0];
  float* __restrict m = p.state[1];
  float* __restrict b = p.state[2];
  for (Index i = first; i < last; ++i) {
    const float slope = begin(r.slope, g[i], w[i]);
    float spread = v[i] = v[i] * r.alpha + slope * slope * r.one_minus_alpha;
    if constexpr (centered) {
      m[i] = m[i] * r.alpha + slope * r.one_minus_alpha;
      spread -= m[i] * m[i];
      spread = spread < 0 ? 0 : spread;
    }
    float step = slope / (__builtin_sqrtf(spread) + r.eps);
    if constexpr (with_momentum) b[i] = step = b[i] * r.momentum + step;
    w[i] -= step * r.lr;
  }
}

void adadelta(const Optimized& p, const Adadelta r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict v = p.state[0];
  float* __restrict d = p.state[1];
  for (Index i = first; i < last; ++i) {
    const float slope = begin(r.slope, g[i], w[i]);
    v[i] = v[i] * r.rho + slope * slope * r.one_minus_rho;
    const float step = __builtin_sqrtf(d[i] + r.eps) / __builtin_sqrtf(v[i] + r.eps) * slope;
    d[i] = d[i] * r.rho + step * step * r.one_minus_rho;
    w[i] -= step * r.lr;
  }
}

void asgd(const Optimized& p, const Asgd r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict a = p.state[0];
  for (Index i = first; i < last; ++i) {
    const float now = w[i] * r.keep - begin(r.slope, g[i], w[i]) * r.lr;
    w[i] = now;
    a[i] = r.share == 1 ? now : a[i] + (now - a[i]) * r.share;
  }
}

void rprop(const Optimized& p, const Rprop r, Index first, Index last) {
  float* __restrict w = p.weight;
  const float* __restrict g = p.grad;
  float* __restrict before = p.state[0];
  float* __restrict size = p.state[1];
  for (Index i = first; i < last; ++i) {
    const float slope = begin(r.slope, g[i], w[i]), agreement = slope * before[i];
    float step = size[i] * (agreement > 0 ? r.grow : agreement < 0 ? r.shrink : 1);
    step = step < r.smallest ? r.smallest : step;
    step = step > r.largest ? r.largest : step;
    const float kept = agreement < 0 ? 0 : slope;
    size[i] = step;
    before[i] = kept;
    w[i] -= kept > 0 ? step : kept < 0 ? -step : kept;
  }
}

}  // namespace

void sgd_step(const Optimized* parameters, Index count, const Sgd& rule, int threads) {
  const bool with_momentum = count > 0 && parameters[0].state[0];
  for_elements(parameters, count, rule, threads, with_momentum ? sgd<true> : sgd<false>);
}

void adam_step(const Optimized* parameters, Index count, const Adam& rule, int threads) {
  const bool with_peak = count > 0 && parameters[0].state[2];
  for_elements(parameters, count, rule, threads, with_peak ? adam<true> : adam<false>);
}

void moments_step(const Optimized* parameters, Index count, const Moments& rule, int threads) {
  for_elements(parameters, count, rule, threads, rule.adaptive ? moments<true> : moments<false>);
}

void rmsprop_step(const Optimized* parameters, Index count, const RmsProp& rule, int threads) {
  const bool centered = count > 0 && parameters[0].state[1];
  const bool with_momentum = count > 0 && parameters[0].state[2];
  for_elements(parameters, count, rule, threads,
               centered ? (with_momentum ? rmsprop<true, true> : rmsprop<true, false>)
                        : (with_momentum ? rmsprop<false, true> : rmsprop<false, false>));
}

void momentum_step(const Optimized* parameters, Index count, const Momentum& rule, int threads) {
  for_elements(parameters, count, rule, threads, momentum);
}

void adamax_step(const Optimized* parameters, Index count, const Adamax& rule, int threads) {
  for_elements(parameters, count, rule, threads, adamax);
}

void adagrad_step(const Optimized* parameters, Index count, const Adagrad& rule, int threads) {
  for_elements(parameters, count, rule, threads, adagrad);
}

void adadelta_step(const Optimized* parameters, Index count, const Adadelta& rule, int threads) {
  for_elements(parameters, count, rule, threads, adadelta);
}

void asgd_step(const Optimized* parameters, Index count, const Asgd& rule, int threads) {
  for_elements(parameters, count, rule, threads, asgd);
}

void rprop_step(const Optimized* parameters, Index count, const Rprop& rule, int threads) {
  for_elements(parameters, count, rule, threads, rprop);
}

}  // namespace chainrule::CHAINRULE_ISA
