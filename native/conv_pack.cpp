#include "conv_pack.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

typedef float Quad __attribute__((vector_size(16)));
typedef float UnalignedQuad __attribute__((vector_size(16), aligned(4), may_alias));

// Lanes of a and b, numbered through. GCC has the first form since version 12 only.
#ifdef __clang__
#define CHAINRULE_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int QuadMask __attribute__((vector_size(16)));
#define CHAINRULE_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, QuadMask{__VA_ARGS__})
#endif

// to[j * to_step + i] = from[i * from_step + j], four by four.
inline void transpose(const float* from, Index from_step, float* to, Index to_step) {
  Quad row[4];
  for (int i = 0; i < 4; ++i)
    row[i] = *reinterpret_cast<const UnalignedQuad*>(from + i * from_step);
  const Quad low01 = CHAINRULE_SHUFFLE(row[0], row[1], 0, 4, 1, 5);
  const Quad low23 = CHAINRULE_SHUFFLE(row[2], row[3], 0, 4, 1, 5);
  const Quad high01 = CHAINRULE_SHUFFLE(row[0], row[1], 2, 6, 3, 7);
  const Quad high23 = CHAINRULE_SHUFFLE(row[2], row[3], 2, 6, 3, 7);
  const Quad cols[4] = {
      CHAINRULE_SHUFFLE(low01, low23, 0, 1, 4, 5), CHAINRULE_SHUFFLE(low01, low23, 2, 3, 6, 7),
      CHAINRULE_SHUFFLE(high01, high23, 0, 1, 4, 5),
      CHAINRULE_SHUFFLE(high01, high23, 2, 3, 6, 7)};
  for (int j = 0; j < 4; ++j) *reinterpret_cast<UnalignedQuad*>(to + j * to_step) = cols[j];
}

// to[col * to_step + i] = from[i * from_step + col]: `rows` rows become lanes.
void turn(const float* from, Index from_step, Index rows, Index cols, float* to, Index to_step) {
  Index i = 0;
  for (; cols >= 4 && i + 4 <= rows; i += 4) {
    const float* four = from + i * from_step;
    Index col = 0;
    for (; col + 4 <= cols; col += 4)
      transpose(four + col, from_step, to + col * to_step + i, to_step);
    if (col < cols)  // overlaps the last
      transpose(four + cols - 4, from_step, to + (cols - 4) * to_step + i, to_step);
  }
  for (; i < rows; ++i)
    for (Index col = 0; col < cols; ++col) to[col * to_step + i] = from[i * from_step + col];
}

}  // namespace

void pack(const Filters& f, float* packed, int threads) {
  const Index width = block_width(f.outs), taps = f.rows * f.cols;
  parallel_for(threads, ceil_div(f.outs, width), [&](std::size_t task) {
    const Index start = static_cast<Index>(task) * width;
    const Index used = smaller(width, f.outs - start);
    const Index filled = used > lanes ? 2 * lanes : lanes;
    const float* from = f.data + start * f.out_step;
    float* to = packed + start * taps * f.ins;
    if (used < filled)
      std::memset(to, 0, static_cast<std::size_t>(taps * f.ins * filled) * sizeof(float));
    if (f.in_step == 1) return turn(from, f.out_step, used, f.ins, to, filled);
    const Index tap = f.ins * filled;
    for (Index in = 0; in < f.ins; ++in, from += f.in_step, to += filled) {
      if (f.out_step == 1)
        std::memcpy(to, from, static_cast<std::size_t>(used) * sizeof(float));
      else if (f.turned)
        turn(from, f.out_step, used, taps, to + (taps - 1) * tap, -tap);
      else
        turn(from, f.out_step, used, taps, to, tap);
    }
  });
}

Index group_cols(const Filters& f, Index group, Index stride) {
  return f.cols + (group - 1) * stride;
}

void pack_group(const Filters& f, Index group, Index stride, float* packed) {
  const Index cols = group_cols(f, group, stride), taps = f.rows * f.cols;
  const Index filled = block_width(group * f.outs);
  std::memset(packed, 0,
              static_cast<std::size_t>(f.rows * cols * f.ins * filled) * sizeof(float));
  for (Index tap = 0; tap < taps; ++tap)
    for (Index in = 0; in < f.ins; ++in)
      for (Index pixel = 0; pixel < group; ++pixel) {
        const float* from = f.data + in * f.in_step + (f.turned ? taps - 1 - tap : tap);
        const Index col = tap % f.cols + pixel * stride;
        float* to = packed + ((tap / f.cols * cols + col) * f.ins + in) * filled + pixel * f.outs;
        for (Index o = 0; o < f.outs; ++o) to[o] = from[o * f.out_step];
      }
}

}  // namespace chainrule::CHAINRULE_ISA
