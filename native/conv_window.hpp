// The sliding window: the one loop behind conv2d and its input gradient.
//
//   out[n, i, j, :] = init[:] + sum over taps (a, b) and channels c of
//                     in[n, i*stride + row(a), j*stride + col(b), c] * weights[a, b, c, :]
//
// where row(a) = first + a*step, and taps outside the image count as zeros. Output channels are
// lanes of vectors, and a tile of neighbouring pixels is held in registers: each weight that is
// loaded serves every pixel of the tile, each input value serves every output channel.
#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

// Positions a window looks at along one axis, relative to output * stride.
struct Axis {
  Index taps, first, step, stride;
};

struct Window {
  Axis rows, cols;
};

struct InImages {
  const float* data;
  Index images, rows, cols, channels;
};

struct OutImages {
  float* data;
  Index rows, cols, channels;
  Index image_step, row_step, pixel_step;  // in floats
  Index group = 1;  // neighbouring pixels that are seen as one, of that many times the channels
};

// Images one behind the other in memory.
inline OutImages gapless_images(float* data, Index rows, Index cols, Index channels) {
  return {data, rows, cols, channels, rows * cols * channels, cols * channels, channels};
}

// Output channels in one block of packed weights.
inline Index block_width(Index channels) { return channels > lanes ? 2 * lanes : lanes; }

inline Index packed_size(Index taps, Index in_channels, Index out_channels) {
  return taps * in_channels * ceil_div(out_channels, lanes) * lanes;
}

struct Filters;  // conv_pack.hpp

// Packed [block][tap][in channel][lane], `taps` in all; the last block is half as wide where
// half is enough. Window tap (a, b) uses tap first + a*row_step + b*col_step. Where data is null,
// the filters are yet to be packed.
struct PackedWeights {
  const float* data;
  Index taps, first, row_step, col_step;
  const Filters* filters = nullptr;
};

// init, scale and shift of the epilogue: out channels rounded up to whole vectors; init may be
// null for zeros.
void slide(const Window&, const InImages&, const PackedWeights&, const float* init,
           const Epilogue&, const OutImages&, int threads);

// Bias, scale and shift with each value `group` times, filled up to whole vectors with zeros;
// what is null stays null.
class Vectors {
 public:
  Vectors(const float* bias, const Epilogue& end, Index channels, Index group)
      : channels_(channels), used_(channels * group), whole_(ceil_div(used_, lanes) * lanes),
        memory_(3 * whole_), init_(fill(bias, memory_)),
        end_{fill(end.scale, memory_ + whole_), fill(end.shift, memory_ + 2 * whole_), end.add,
             end.relu, end.mean, end.var} {}

  const float* init() const { return init_; }
  const Epilogue& end() const { return end_; }

 private:
  const float* fill(const float* values, float* to) const {
    if (!values) return nullptr;
    for (Index i = 0; i < used_; i += channels_)
      std::memcpy(to + i, values, static_cast<std::size_t>(channels_) * sizeof(float));
    std::memset(to + used_, 0, static_cast<std::size_t>(whole_ - used_) * sizeof(float));
    return to;
  }

  Index channels_, used_, whole_;
  Scratch memory_;
  const float* init_;
  Epilogue end_;
};

}  // namespace chainrule::CHAINRULE_ISA
