// Contract: kernels.hpp. Channels-first images become channels-last here, and the other way round.
//
// Squares of a vector's size are turned in registers; they are taken from strips, whose results
// fit the second cache, so that memory is read and written in long runs.
#include "layout.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int side = static_cast<int>(lanes);

// Exchanges the squares of `half` x `half` numbers across the diagonal of every square twice as
// large; done for 1, 2, 4, ... that turns the whole square.
template <int half>
void exchange(Vector (&square)[side]) {
  const IntVector lane = lane_numbers();
  const IntVector second = (lane & half) != 0;  // lanes of the right half
  const IntVector upper = second ? lane - half + side : lane;
  const IntVector lower = second ? lane + side : lane + half;
#pragma GCC unroll 16
  for (int i = 0; i < side; ++i) {
    if (i & half) continue;
    const Vector a = square[i], b = square[i + half];
    square[i] = __builtin_shuffle(a, b, upper);
    square[i + half] = __builtin_shuffle(a, b, lower);
  }
}

// y[c][r] = x[r][c] for a square.
void turn_square(const float* x, Index x_step, float* y, Index y_step) {
  Vector square[side];
#pragma GCC unroll 16
  for (int r = 0; r < side; ++r) square[r] = load(x + r * x_step);
  exchange<1>(square);
  exchange<2>(square);
  if constexpr (side > 4) exchange<4>(square);
  if constexpr (side > 8) exchange<8>(square);
#pragma GCC unroll 16
  for (int c = 0; c < side; ++c) store(y + c * y_step, square[c]);
}

// The same for `rows` x `cols` numbers, one at a time.
void turn(Index rows, Index cols, const float* x, Index x_step, float* y, Index y_step) {
  for (Index c = 0; c < cols; ++c)
    for (Index r = 0; r < rows; ++r) y[c * y_step + r] = x[r * x_step + c];
}

constexpr Index strip = 128;  // columns

}  // namespace

void transpose(Index count, Index rows, Index cols, const float* x, float* y, int threads) {
  const Index strips = ceil_div(cols, strip);
  const Index grain = larger(pass_grain / larger(rows * smaller(strip, cols), Index{1}), Index{1});
  parallel_ranges(threads, count * strips, grain, [=](Index first, Index last) {
    for (Index place = first; place < last; ++place) {
      const Index start = place % strips * strip, end = smaller(start + strip, cols);
      const float* from = x + place / strips * rows * cols;
      float* to = y + place / strips * rows * cols;
      Index r = 0;
      for (; r + side <= rows; r += side) {
        Index c = start;
        for (; c + side <= end; c += side)
          turn_square(from + r * cols + c, cols, to + c * rows + r, rows);
        turn(side, end - c, from + r * cols + c, cols, to + c * rows + r, rows);
      }
      turn(rows - r, end - start, from + r * cols + start, cols, to + start * rows + r, rows);
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
