// exp and its relatives on vectors, to within a few units in the last place.
#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

inline IntVector bits_of(Vector v) { return reinterpret_cast<IntVector>(v); }
inline Vector from_bits(IntVector v) { return reinterpret_cast<Vector>(v); }
inline Vector at_most(Vector v, float limit) { return v > broadcast(limit) ? broadcast(limit) : v; }
inline Vector at_least(Vector v, float limit) {
  return v < broadcast(limit) ? broadcast(limit) : v;
}

// exp(x) = 2^n (1 + tail), with tail = exp(r) - 1 for the rest r = x - n ln 2, |r| <= ln(2)/2.
struct ExpParts {
  IntVector n;
  Vector tail;
};

inline ExpParts exp_parts(Vector x) {
  // Beyond these bounds float32 holds nothing but 0 and infinity. A NaN passes.
  x = at_least(at_most(x, 89.0f), -104.0f);
  // Adding 1.5 * 2^23 leaves no bits for a fraction, and n in the lowest bits.
  const Vector shift = broadcast(12582912.0f);
  const Vector shifted = x * broadcast(1.44269504088896341f) + shift;
  const Vector n = shifted - shift;
  // ln 2 in two parts; the first has so few bits that its product with n is exact.
  Vector r = x - n * broadcast(0.693359375f);
  r = r + n * broadcast(2.12194440054690583e-4f);
  // Taylor's series; the first term left out is below 5e-9.
  Vector series = broadcast(1.0f / 5040);
  series = series * r + broadcast(1.0f / 720);
  series = series * r + broadcast(1.0f / 120);
  series = series * r + broadcast(1.0f / 24);
  series = series * r + broadcast(1.0f / 6);
  series = series * r + broadcast(1.0f / 2);
  return {bits_of(shifted) - bits_of(shift), series * r * r + r};
}

inline Vector power_of_two(IntVector n) { return from_bits((n + 127) << 23); }

inline Vector exp(Vector x) {
  const auto [n, tail] = exp_parts(x);
  // In two factors: 2^n itself may lie beyond float32 where the product does not.
  const IntVector half = n >> 1;
  return (broadcast(1.0f) + tail) * power_of_two(half) * power_of_two(n - half);
}

// exp(x) - 1 for x up to 88, without cancellation near 0.
inline Vector expm1(Vector x) {
  // Where x < -17.4 float32 cannot tell the result from -1.
  const auto [n, tail] = exp_parts(at_least(at_most(x, 88.0f), -20.0f));
  const Vector scale = power_of_two(n);
  return scale * tail + (scale - broadcast(1.0f));
}

// log(1 + e) for 0 <= e <= 1: 2 atanh(s) for s = e/(2 + e), a series in s^2 <= 1/9, which was fitted
// to a relative error below 2e-10. What rounding leaves is below 2 units in the last place.
inline Vector log1p_of_share(Vector e) {
  const Vector s = e / (broadcast(2.0f) + e), z = s * s;
  Vector series = broadcast(0.2430055737f);
  series = series * z + broadcast(0.2142776698f);
  series = series * z + broadcast(0.2861687243f);
  series = series * z + broadcast(0.3999887705f);
  series = series * z + broadcast(0.6666667461f);
  return s + s + s * (z * series);
}

inline Vector magnitude(Vector v) { return v < Vector{} ? -v : v; }

// log(1 + exp(-|x|)): what softplus adds to the larger of x and 0. It keeps its digits however
// small it is.
inline Vector log1p_of_exp(Vector x) { return log1p_of_share(exp(-magnitude(x))); }

// 1/(1 + exp(-x))
inline Vector sigmoid(Vector x) { return broadcast(1.0f) / (broadcast(1.0f) + exp(-x)); }

// (exp(2x) - 1)/(exp(2x) + 1), from exp(2x) - 1 without cancellation near 0.
inline Vector tanh(Vector x) {
  // Where |x| > 9.01 float32 cannot tell the result from 1.
  const Vector limited = at_least(at_most(x, 10.0f), -10.0f);
  const auto [n, tail] = exp_parts(limited + limited);
  const Vector scale = power_of_two(n);
  const Vector difference = scale * tail + (scale - broadcast(1.0f));
  return difference / (difference + broadcast(2.0f));
}

struct Normal {
  Vector density, cdf;
};

// exp(-x^2/2)/sqrt(2 pi), and its integral up to x: exp(-x^2/2) P(1/(1 + 0.35|x|)) below 0, and 1
// less that above. P was fitted to relative errors below 4e-8 on |x| < 14.5, beyond which
// float32 holds 0; so the lower tail keeps its digits too.
inline Normal normal_of(Vector x) {
  const Vector distance = x < Vector{} ? -x : x;
  const Vector t = broadcast(1.0f) / (broadcast(1.0f) + broadcast(0.35f) * distance);
  Vector p = broadcast(-0.0291580299f);
  p = p * t + broadcast(0.144031609f);
  p = p * t + broadcast(-0.255840399f);
  p = p * t + broadcast(0.15932125f);
  p = p * t + broadcast(-0.0232133914f);
  p = p * t + broadcast(0.105552926f);
  p = p * t + broadcast(0.119821185f);
  p = p * t + broadcast(0.139863529f);
  p = p * t + broadcast(0.139621306f);
  const Vector bell = exp(x * x * broadcast(-0.5f));
  const Vector tail = bell * (p * t);
  return {.density = bell * broadcast(0.398942280f),
          .cdf = x < Vector{} ? tail : broadcast(1.0f) - tail};
}

// 2u of GELU's approximation (1 + tanh u)/2 = 1/(1 + exp(-2u)), and its slope.
inline Vector twice_gelu_argument(Vector x) {
  return x * (broadcast(1.59576912f) + broadcast(0.0713548163f) * (x * x));
}
inline Vector twice_gelu_argument_slope(Vector x) {
  return broadcast(1.59576912f) + broadcast(0.214064449f) * (x * x);
}

// Over the lanes, in a fixed order.
inline float sum_of(Vector v) {
  float halves[lanes];
  std::memcpy(halves, &v, sizeof halves);
  for (Index n = lanes / 2; n > 0; n /= 2)
    for (Index i = 0; i < n; ++i) halves[i] += halves[i + n];
  return halves[0];
}

inline float max_of(Vector v) {
  float halves[lanes];
  std::memcpy(halves, &v, sizeof halves);
  for (Index n = lanes / 2; n > 0; n /= 2)
    for (Index i = 0; i < n; ++i) halves[i] = larger(halves[i], halves[i + n]);
  return halves[0];
}

}  // namespace chainrule::CHAINRULE_ISA
