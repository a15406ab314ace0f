// Passes over the channels of channels-last memory: (rows, channels), contiguous.
//
// Vectors and channels meet again after the least common multiple of their sizes: memory is
// walked in patterns of that many floats, so that 3 or 10 or 24 channels fill vectors as well as
// 64 do, and what belongs to a channel is repeated along a pattern once, before the pass. Many
// channels that are no multiple of a vector are walked row by row instead; there, the last
// vector of a row overlaps its neighbour.
#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

// Vectors that are summed side by side: independent chains hide the latency of an addition.
constexpr Index chains = 4;
constexpr Index widest_pattern = 1024;

// Floats of a pattern: a multiple of the channels, and of the lanes or else of one row.
inline Index pattern_width(Index channels) {
  Index width = channels;
  while (width % lanes && width <= widest_pattern) width += channels;
  if (width % lanes) return channels;
  return ceil_div(chains * lanes, width) * width;
}

template <class T>
T read(const float* p) {
  T values;
  std::memcpy(&values, p, sizeof(T));
  return values;
}

inline void write(float* p, float value) { *p = value; }
inline void write(float* p, Vector values) { store(p, values); }

// x where it is positive or not a number, else 0: what the kernel `relu` computes.
inline float positive_part(float x) { return x < 0 ? 0.0f : x; }
inline Vector positive_part(Vector x) { return x < Vector{} ? Vector{} : x; }

// g where y > 0, else 0: what the kernel `relu_backward` computes.
inline float where_positive(float y, float g) { return y > 0 ? g : 0.0f; }
inline Vector where_positive(Vector y, Vector g) { return y > Vector{} ? g : Vector{}; }

// y = body.operator()<Vector>(i, column) for `patterns` patterns from float i on, and of each the
// `vectors` vectors at column c. All results are there before the first is written, so that what
// belongs to a column is loaded once for all patterns.
template <Index patterns, Index vectors, class Body>
void fill_tile(Index i, Index width, Index c, float* y, Body body) {
  Vector results[patterns][vectors];
#pragma GCC unroll 4
  for (Index p = 0; p < patterns; ++p)
#pragma GCC unroll 4
    for (Index v = 0; v < vectors; ++v)
      results[p][v] =
          body.template operator()<Vector>(i + p * width + c + v * lanes, c + v * lanes);
#pragma GCC unroll 4
  for (Index p = 0; p < patterns; ++p)
#pragma GCC unroll 4
    for (Index v = 0; v < vectors; ++v) store(y + i + p * width + c + v * lanes, results[p][v]);
}

template <Index patterns, class Body>
void fill_patterns(Index i, Index width, float* y, Body body) {
  constexpr Index vectors = 2;  // a cache line or two: memory is still walked nearly in order
  Index c = 0;
  for (; c + vectors * lanes <= width; c += vectors * lanes)
    fill_tile<patterns, vectors>(i, width, c, y, body);
  for (; c + lanes <= width; c += lanes) fill_tile<patterns, 1>(i, width, c, y, body);
  if (c < width) fill_tile<patterns, 1>(i, width, width - lanes, y, body);
}

// y[i] = body.operator()<T>(i, column) for the floats [first, last) of memory; first is the start
// of a pattern. T is Vector or, behind the last whole pattern, float; column is i within it.
template <class Body>
void fill_places(Index first, Index last, Index width, float* y, Body body) {
  Index i = first;
  for (; i + 2 * width <= last; i += 2 * width) fill_patterns<2>(i, width, y, body);
  for (; i + width <= last; i += width) fill_patterns<1>(i, width, y, body);
  for (Index c = 0; i + c < last; ++c) y[i + c] = body.template operator()<float>(i + c, c);
}

// A value of each channel is found by the column, in patterns that repeat the values, or in
// channels-first memory by the channel's number.
struct Channel {
  Index number;
};

template <class T>
T value_of(const float* values, Index column) { return read<T>(values + column); }

template <class T>
T value_of(const float* values, Channel channel) {
  if constexpr (sizeof(T) == sizeof(float))
    return values[channel.number];
  else
    return broadcast(values[channel.number]);
}

// y[i] = body.operator()<T>(i, channel) for the floats [first, last) of one channel.
template <class Body>
void fill_run(Index first, Index last, Channel channel, float* y, Body body) {
  Index i = first;
  for (; i + lanes <= last; i += lanes)
    store(y + i, body.template operator()<Vector>(i, channel));
  for (; i < last; ++i) y[i] = body.template operator()<float>(i, channel);
}

// What a place adds to each of several sums.
template <class T, int sums>
struct Terms {
  T term[sums];
};

// The sums of `vectors` vectors side by side, at column c of patterns.
template <int sums, Index vectors, class Body>
void add_columns(Index first, Index patterns, Index width, Index c, float* to, Index stride,
                 Body body) {
  Vector totals[sums][vectors] = {};
  for (Index p = 0; p < patterns; ++p)
#pragma GCC unroll 4
    for (Index v = 0; v < vectors; ++v) {
      const auto terms =
          body.template operator()<Vector>(first + p * width + c + v * lanes, c + v * lanes);
#pragma GCC unroll 4
      for (int s = 0; s < sums; ++s) totals[s][v] += terms.term[s];
    }
  for (int s = 0; s < sums; ++s)
    for (Index v = 0; v < vectors; ++v) store(to + s * stride + v * lanes, totals[s][v]);
}

// to[s * channels + c] = the sum of term s of body<T>(i, column) over the rows' places of c, in
// float32: for a block of rows. `wide` has room for `sums` patterns.
template <int sums, class Body>
void sum_block(Index first_row, Index rows, Index channels, Index width, float* to, float* wide,
               Body body) {
  const Index copies = width / channels, patterns = rows / copies;
  const Index first = first_row * channels;
  Index c = 0;
  for (; c + 4 * lanes <= width; c += 4 * lanes)
    add_columns<sums, 4>(first, patterns, width, c, wide + c, width, body);
  if (c + 2 * lanes <= width) {
    add_columns<sums, 2>(first, patterns, width, c, wide + c, width, body);
    c += 2 * lanes;
  }
  if (c + lanes <= width) {
    add_columns<sums, 1>(first, patterns, width, c, wide + c, width, body);
    c += lanes;
  }
  if (c < width)
    add_columns<sums, 1>(first, patterns, width, width - lanes, wide + width - lanes, width, body);
  // The copies of a channel are a power of two.
  for (int s = 0; s < sums; ++s) {
    float* sum = wide + s * width;
    for (Index half = width / 2; half >= channels; half /= 2)
      for (Index i = 0; i < half; ++i) sum[i] += sum[half + i];
    for (Index c = 0; c < channels; ++c) to[s * channels + c] = sum[c];
  }
  for (Index row = patterns * copies; row < rows; ++row)
    for (Index c = 0; c < channels; ++c) {
      const auto terms = body.template operator()<float>(
          first + row * channels + c, (row - patterns * copies) * channels + c);
      for (int s = 0; s < sums; ++s) to[s * channels + c] += terms.term[s];
    }
}

// Rows that a thread sums in float32 before it goes on in float64: whole patterns, small enough
// for the first cache where rows are short, and enough of them to be worth the change.
inline Index rows_of_block(Index channels, Index width) {
  const Index floats = larger<Index>((16 << 10) / 4, 32 * channels);
  return ceil_div(floats, width) * (width / channels);
}

// Adds the sum of term s of body<T>(i, column) over rows [first, last) to totals[s * channels + c]
// in float64. `scratch` has room for sums * (channels + width).
template <int sums, class Body>
void add_rows(Index first, Index last, Index channels, Index width, double* __restrict totals,
              float* __restrict scratch, Body body) {
  const Index block = rows_of_block(channels, width), terms = sums * channels;
  for (Index row = first; row < last; row += block) {
    sum_block<sums>(row, smaller(block, last - row), channels, width, scratch, scratch + terms,
                    body);
    for (Index i = 0; i < terms; ++i) totals[i] += scratch[i];
  }
}

// to[s] = the sum of term s of body<T>(i) over [first, last), in float32: for a short run.
template <int sums, class Body>
void sum_run(Index first, Index last, float* to, Body body) {
  Vector totals[sums][chains] = {};
  Index i = first;
  const auto add = [&](Index chain) {
    const auto terms = body.template operator()<Vector>(i + chain * lanes);
    for (int s = 0; s < sums; ++s) totals[s][chain] += terms.term[s];
  };
  for (; i + chains * lanes <= last; i += chains * lanes)
#pragma GCC unroll 4
    for (Index chain = 0; chain < chains; ++chain) add(chain);
  for (; i + lanes <= last; i += lanes) add(0);
  for (int s = 0; s < sums; ++s) {
    float parts[lanes];
    store(parts, (totals[s][0] + totals[s][1]) + (totals[s][2] + totals[s][3]));
#pragma GCC unroll 4
    for (Index half = lanes / 2; half > 0; half /= 2)
#pragma GCC unroll 8
      for (Index k = 0; k < half; ++k) parts[k] += parts[half + k];
    to[s] = parts[0];
  }
  for (; i < last; ++i) {
    const auto terms = body.template operator()<float>(i);
    for (int s = 0; s < sums; ++s) to[s] += terms.term[s];
  }
}
constexpr Index run_in_single = 4096;  // floats to sum in float32 before going on in float64

// Runs of channels-first memory that one task handles.
inline Index runs_of_task(const Rows& size) {
  return larger<Index>(pass_grain / larger<Index>(size.run, 1), 1);
}

// Doubles for the time of a call.
class Doubles {
 public:
  explicit Doubles(Index count) : memory_(2 * count) {}
  operator double*() const { return reinterpret_cast<double*>(static_cast<float*>(memory_)); }

 private:
  Scratch memory_;
};

// How rows are cut into parts, one for a task; from sizes alone.
struct Parts {
  Index rows, rows_of_part, count;
  Index first(Index part) const { return part * rows_of_part; }
  Index last(Index part) const { return smaller(first(part) + rows_of_part, rows); }
};

inline Parts cut_into_parts(const Rows& size, Index width) {
  const Index rows = size.rows, channels = size.channels;
  const Index unit = rows_of_block(channels, width);
  const Index blocks = larger<Index>(ceil_div(rows, unit), 1);
  // About as much as a task of a map, and a limited number, as each keeps its sums.
  const Index wanted = smaller<Index>(ceil_div(rows * channels, pass_grain / 2), 64);
  const Index rows_of_part = ceil_div(blocks, larger<Index>(wanted, 1)) * unit;
  return {rows, rows_of_part, larger<Index>(ceil_div(rows, rows_of_part), 1)};
}

}  // namespace chainrule::CHAINRULE_ISA
