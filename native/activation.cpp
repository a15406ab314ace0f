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

// dx = function(g, x) of vectors of n elements.
template <class Function>
void for_pairs(const float* g, const float* x, float* dx, Index n, int threads,
               Function function) {
  parallel_ranges(threads, n, pass_grain / 4, [=](Index first, Index last) {
    for (Index i = first; i < last; i += lanes) {
      const Index count = smaller(lanes, last - i);
      store_some(dx + i, count, dx + last,
                 function(load_some(g + i, count, g + last), load_some(x + i, count, x + last)));
    }
  });
}

// x scaled by the normal distribution up to x, or by its approximation; and the slope of that.
Vector gelu_of(Vector x, bool by_tanh) {
  return by_tanh ? x * sigmoid(twice_gelu_argument(x)) : x * normal_of(x).cdf;
}

Vector gelu_slope(Vector x, bool by_tanh) {
  if (!by_tanh) {
    const Normal normal = normal_of(x);
    return normal.cdf + x * normal.density;
  }
  const Vector s = sigmoid(twice_gelu_argument(x));
  return s + x * s * (broadcast(1.0f) - s) * twice_gelu_argument_slope(x);
}

Vector hardsigmoid_of(Vector x) {
  return at_least(at_most(x + broadcast(3.0f), 6.0f), 0.0f) * broadcast(1.0f / 6);
}

// Whether -lambd <= x <= lambd.
IntVector is_near(Vector x, float lambd) {
  return (x >= broadcast(-lambd)) & (x <= broadcast(lambd));
}

struct Gate {
  Vector value, slope;
};

// tanh(ln(1 + e)) = m/(m + 2) for m = (1 + e)^2 - 1 = e(e + 2), e = exp(x); and its slope,
// 4(1 + e)^2/(m + 2)^2 e/(1 + e).
Gate tanh_of_softplus(Vector x) {
  const Vector two = broadcast(2.0f);
  const Vector e = exp(at_most(x, 15.0f));  // where float32 cannot tell the result from 1
  const Vector m = e * (e + two);
  const Vector share = broadcast(1.0f) / (m + two);
  return {.value = m * share, .slope = two * two * e * (broadcast(1.0f) + e) * share * share};
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

void leaky_relu(const float* x, float* y, Index n, float slope, int threads) {
  for_vectors(x, y, n, threads,
              [=](Vector v) { return v > Vector{} ? v : v * broadcast(slope); });
}

void leaky_relu_backward(const float* g, const float* x, float* dx, Index n, float slope,
                         int threads) {
  for_pairs(g, x, dx, n, threads, [=](Vector gradient, Vector v) {
    return v > Vector{} ? gradient : gradient * broadcast(slope);
  });
}

void elu(const float* x, float* y, Index n, float alpha, float scale, float input_scale,
         int threads) {
  for_vectors(x, y, n, threads, [=](Vector v) {
    const Vector below = expm1(v * broadcast(input_scale)) * broadcast(alpha * scale);
    return v > Vector{} ? v * broadcast(scale) : below;
  });
}

void elu_backward(const float* g, const float* x, float* dx, Index n, float alpha, float scale,
                  float input_scale, int threads) {
  for_pairs(g, x, dx, n, threads, [=](Vector slope, Vector v) {
    const Vector below =
        exp(v * broadcast(input_scale)) * broadcast(alpha * scale * input_scale);
    return slope * (v > Vector{} ? broadcast(scale) : below);
  });
}

void gelu(const float* x, float* y, Index n, bool by_tanh, int threads) {
  for_vectors(x, y, n, threads, [=](Vector v) { return gelu_of(v, by_tanh); });
}

void gelu_backward(const float* g, const float* x, float* dx, Index n, bool by_tanh,
                   int threads) {
  for_pairs(g, x, dx, n, threads,
            [=](Vector slope, Vector v) { return slope * gelu_slope(v, by_tanh); });
}

void silu(const float* x, float* y, Index n, int threads) {
  for_vectors(x, y, n, threads, [](Vector v) { return v * sigmoid(v); });
}

void silu_backward(const float* g, const float* x, float* dx, Index n, int threads) {
  for_pairs(g, x, dx, n, threads, [](Vector slope, Vector v) {
    const Vector s = sigmoid(v);
    return slope * (s * (broadcast(1.0f) + v * (broadcast(1.0f) - s)));
  });
}

void hardswish(const float* x, float* y, Index n, int threads) {
  for_vectors(x, y, n, threads, [](Vector v) {
    return v * hardsigmoid_of(v);
  });
}

void hardswish_backward(const float* g, const float* x, float* dx, Index n, int threads) {
  for_pairs(g, x, dx, n, threads, [](Vector slope, Vector v) {
    const Vector bent = slope * (v * broadcast(1.0f / 3) + broadcast(0.5f));
    const Vector above = v >= broadcast(3.0f) ? slope : bent;
    return v <= broadcast(-3.0f) ? Vector{} : above;
  });
}

void hardsigmoid(const float* x, float* y, Index n, int threads) {
  for_vectors(x, y, n, threads, [](Vector v) { return hardsigmoid_of(v); });
}

void hardsigmoid_backward(const float* g, const float* x, float* dx, Index n, int threads) {
  for_pairs(g, x, dx, n, threads, [](Vector slope, Vector v) {
    return magnitude(v) < broadcast(3.0f) ? slope * broadcast(1.0f / 6) : Vector{};
  });
}

void mish(const float* x, float* y, Index n, int threads) {
  for_vectors(x, y, n, threads, [](Vector v) { return v * tanh_of_softplus(v).value; });
}

void mish_backward(const float* g, const float* x, float* dx, Index n, int threads) {
  for_pairs(g, x, dx, n, threads, [](Vector slope, Vector v) {
    const Gate gate = tanh_of_softplus(v);
    return slope * (gate.value + v * gate.slope);
  });
}

void hardtanh(const float* x, float* y, Index n, float low, float high, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const float raised = x[i] < low ? low : x[i];
      y[i] = raised > high ? high : raised;
    }
  });
}

void hardtanh_backward(const float* g, const float* x, float* dx, Index n, float low, float high,
                       int threads) {
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const float gradient = g[i];
      dx[i] = (x[i] <= low) | (x[i] >= high) ? 0.0f : gradient;
    }
  });
}

void clamp_backward(const float* g, const float* x, float* dx, Index n, float low, float high,
                    int threads) {
  for_pairs(g, x, dx, n, threads, [=](Vector slope, Vector v) {
    return (v >= broadcast(low)) & (v <= broadcast(high)) ? slope : Vector{};
  });
}

void softplus(const float* x, float* y, Index n, float beta, float threshold, int threads) {
  for_vectors(x, y, n, threads, [=](Vector v) {
    const Vector z = v * broadcast(beta);
    const Vector smooth = (at_least(z, 0.0f) + log1p_of_exp(z)) / broadcast(beta);
    return z > broadcast(threshold) ? v : smooth;
  });
}

void softplus_backward(const float* g, const float* x, float* dx, Index n, float beta,
                       float threshold, int threads) {
  for_pairs(g, x, dx, n, threads, [=](Vector slope, Vector v) {
    const Vector z = v * broadcast(beta);
    return z > broadcast(threshold) ? slope : slope * sigmoid(z);
  });
}

void logsigmoid(const float* x, float* y, Index n, int threads) {
  for_vectors(x, y, n, threads, [](Vector v) { return at_most(v, 0.0f) - log1p_of_exp(v); });
}

void logsigmoid_backward(const float* g, const float* x, float* dx, Index n, int threads) {
  for_pairs(g, x, dx, n, threads, [](Vector slope, Vector v) { return slope * sigmoid(-v); });
}

void hardshrink(const float* x, float* y, Index n, float lambd, int threads) {
  for_vectors(x, y, n, threads, [=](Vector v) { return is_near(v, lambd) ? Vector{} : v; });
}

void softshrink(const float* x, float* y, Index n, float lambd, int threads) {
  for_vectors(x, y, n, threads,
              [=](Vector v) { return v - at_most(at_least(v, -lambd), lambd); });
}

void shrink_backward(const float* g, const float* x, float* dx, Index n, float lambd,
                     int threads) {
  for_pairs(g, x, dx, n, threads,
            [=](Vector slope, Vector v) { return is_near(v, lambd) ? Vector{} : slope; });
}

}  // namespace chainrule::CHAINRULE_ISA
