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

// to[col * to_step + i] = from[i * from_step + col]: `rows` rows become lanes. Four lines of
// `to` are filled before the next: lines a power of two apart share their place in the cache.
void turn(const float* from, Index from_step, Index rows, Index cols, float* to, Index to_step) {
  const Index whole = cols < 4 ? 0 : rows / 4 * 4;
  for (Index col = 0; whole && col < cols; col += 4) {
    const Index start = smaller(col, cols - 4);  // the last four may overlap those before
    for (Index i = 0; i < whole; i += 4)
      transpose(from + i * from_step + start, from_step, to + start * to_step + i, to_step);
  }
  for (Index i = whole; i < rows; ++i)
    for (Index col = 0; col < cols; ++col) to[col * to_step + i] = from[i * from_step + col];
}

}  // namespace

void pack_block(const Filters& f, Index block, float* packed) {
  const Index width = block_width(f.outs), taps = f.rows * f.cols;
  const Index used = smaller(width, f.outs - block * width);
  const Index filled = used > lanes ? 2 * lanes : lanes;
  const float* from = f.data + block * width * f.out_step;
  if (used < filled)
    std::memset(packed, 0, static_cast<std::size_t>(taps * f.ins * filled) * sizeof(float));
  if (f.in_step == 1) return turn(from, f.out_step, used, f.ins, packed, filled);
  const Index tap = f.ins * filled;
  // A filter's values are far apart, a power of two often: of more than 16 filters at a time,
  // the first cache would lose the lines before they are used up.
  for (Index first = 0; first < used; first += 16)
    for (Index in = 0; in < f.ins; ++in) {
      const Index rows = smaller<Index>(16, used - first);
      const float* here = from + first * f.out_step + in * f.in_step;
      float* there = packed + in * filled + first;
      if (f.out_step == 1)
        std::memcpy(there, here, static_cast<std::size_t>(rows) * sizeof(float));
      else if (f.turned)
        turn(here, f.out_step, rows, taps, there + (taps - 1) * tap, -tap);
      else
        turn(here, f.out_step, rows, taps, there, tap);
    }
}

void pack(const Filters& f, float* packed, int threads) {
  const Index width = block_width(f.outs), size = f.rows * f.cols * f.ins;
  parallel_for(threads, static_cast<std::size_t>(ceil_div(f.outs, width)), [&](std::size_t block) {
    pack_block(f, static_cast<Index>(block), packed + static_cast<Index>(block) * width * size);
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
