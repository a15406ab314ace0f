// Winograd's transforms F(2,3) and F(4,3), nested for squares of 2x2 and 4x4 outputs.
//
//   y = A^T [ (G w) * (B^T d) ]      d: Outputs + 2 inputs, w: 3 taps, y: Outputs outputs
//
// and, for the weight gradient, the adjoints A and G^T. docs/derivations/winograd.md derives
// them. Every lane of a vector is a transform of its own.
#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

template <int Outputs>
struct Transform;

// Interpolates at 0, 1, -1 and infinity.
template <>
struct Transform<2> {
  // B^T d
  [[gnu::always_inline]] static void data(const Vector (&d)[4], Vector (&t)[4]) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[3] - d[1];
  }
  // G w
  [[gnu::always_inline]] static void filter(const Vector (&w)[3], Vector (&t)[4]) {
    const Vector even = (w[0] + w[2]) * 0.5f, odd = w[1] * 0.5f;
    t[0] = w[0];
    t[1] = even + odd;
    t[2] = even - odd;
    t[3] = w[2];
  }
  // A^T t
  [[gnu::always_inline]] static void output(const Vector (&t)[4], Vector (&y)[2]) {
    y[0] = t[0] + t[1] + t[2];
    y[1] = t[1] - t[2] + t[3];
  }
  // A g
  [[gnu::always_inline]] static void slope(const Vector (&g)[2], Vector (&t)[4]) {
    t[0] = g[0];
    t[1] = g[0] + g[1];
    t[2] = g[0] - g[1];
    t[3] = g[1];
  }
  // G^T t
  [[gnu::always_inline]] static void filter_slope(const Vector (&t)[4], Vector (&w)[3]) {
    const Vector even = (t[1] + t[2]) * 0.5f, odd = (t[1] - t[2]) * 0.5f;
    w[0] = t[0] + even;
    w[1] = odd;
    w[2] = t[3] + even;
  }
};

// Interpolates at 0, p, -p, q, -q and infinity. The usual p = 1, q = 2 has three times the
// rounding error; these are the best of a search over short binary fractions, and all numbers
// below but those of `filter` are exact.
template <>
struct Transform<4> {
  static constexpr float p = 0.6875f, q = 1.5f, p2 = p * p, q2 = q * q, p3 = p2 * p, q3 = q2 * q;
  static constexpr float sum = p2 + q2, product = p2 * q2;
  // 1 / (product of a point's distances to the others)
  static constexpr float at_0 = 1 / product;
  static constexpr float at_p = 1 / (2 * p2 * (p2 - q2)), at_q = 1 / (2 * q2 * (q2 - p2));

  [[gnu::always_inline]] static void data(const Vector (&d)[6], Vector (&t)[6]) {
    const Vector even_p = d[4] - q2 * d[2], odd_p = d[3] - q2 * d[1];
    const Vector even_q = d[4] - p2 * d[2], odd_q = d[3] - p2 * d[1];
    t[0] = product * d[0] + (d[4] - sum * d[2]);
    t[1] = even_p + p * odd_p;
    t[2] = even_p - p * odd_p;
    t[3] = even_q + q * odd_q;
    t[4] = even_q - q * odd_q;
    t[5] = product * d[1] + (d[5] - sum * d[3]);
  }
  [[gnu::always_inline]] static void filter(const Vector (&w)[3], Vector (&t)[6]) {
    const Vector even_p = at_p * (w[0] + p2 * w[2]), odd_p = at_p * p * w[1];
    const Vector even_q = at_q * (w[0] + q2 * w[2]), odd_q = at_q * q * w[1];
    t[0] = at_0 * w[0];
    t[1] = even_p + odd_p;
    t[2] = even_p - odd_p;
    t[3] = even_q + odd_q;
    t[4] = even_q - odd_q;
    t[5] = w[2];
  }
  [[gnu::always_inline]] static void output(const Vector (&t)[6], Vector (&y)[4]) {
    const Vector even_p = t[1] + t[2], odd_p = t[1] - t[2];
    const Vector even_q = t[3] + t[4], odd_q = t[3] - t[4];
    y[0] = t[0] + even_p + even_q;
    y[1] = p * odd_p + q * odd_q;
    y[2] = p2 * even_p + q2 * even_q;
    y[3] = t[5] + (p3 * odd_p + q3 * odd_q);
  }
  [[gnu::always_inline]] static void slope(const Vector (&g)[4], Vector (&t)[6]) {
    const Vector even_p = g[0] + p2 * g[2], odd_p = p * g[1] + p3 * g[3];
    const Vector even_q = g[0] + q2 * g[2], odd_q = q * g[1] + q3 * g[3];
    t[0] = g[0];
    t[1] = even_p + odd_p;
    t[2] = even_p - odd_p;
    t[3] = even_q + odd_q;
    t[4] = even_q - odd_q;
    t[5] = g[3];
  }
  [[gnu::always_inline]] static void filter_slope(const Vector (&t)[6], Vector (&w)[3]) {
    const Vector even_p = at_p * (t[1] + t[2]), odd_p = at_p * p * (t[1] - t[2]);
    const Vector even_q = at_q * (t[3] + t[4]), odd_q = at_q * q * (t[3] - t[4]);
    w[0] = at_0 * t[0] + even_p + even_q;
    w[1] = odd_p + odd_q;
    w[2] = p2 * even_p + q2 * even_q + t[5];
  }
};

// A transform of both axes of a square: read(i, j) gives the In x In values, write(i, j, value)
// takes the Out x Out results. (A parameter of the template, or it would not be inlined.)
template <auto transform, int In, int Out, class Read, class Write>
[[gnu::always_inline]] inline void nest(const Read& read, const Write& write) {
  Vector half[Out][In];
#pragma GCC unroll 6
  for (int j = 0; j < In; ++j) {
    Vector column[In], result[Out];
#pragma GCC unroll 6
    for (int i = 0; i < In; ++i) column[i] = read(i, j);
    transform(column, result);
#pragma GCC unroll 6
    for (int i = 0; i < Out; ++i) half[i][j] = result[i];
  }
#pragma GCC unroll 6
  for (int i = 0; i < Out; ++i) {
    Vector result[Out];
    transform(half[i], result);
#pragma GCC unroll 6
    for (int j = 0; j < Out; ++j) write(i, j, result[j]);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
