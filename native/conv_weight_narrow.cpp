// Contract: reference/conv.py, conv2d_weight_grad; for a first layer of few filters.
//
// With one input channel and six filters, output channels would leave most lanes of a vector
// empty. Here lanes are pixels: images are copied into planes whose lines are as long for g as
// for x with its padding, so that a plane is one long row, and tap (a, b) is a shift of it:
//
//   dw[o, c, a, b] = sum over i of g_plane[o][i] * x_plane[c][i + a*line + b]
//
// g's planes hold zeros beside the image.
#include "conv_weight.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int most_outputs = 8;
constexpr int tile_outputs = registers == 32 ? 4 : 2, tile_taps = 5;

// sum[o][tap] += g[o] * x shifted by tap, over `vectors` vectors of both.
struct Planes {
  const float* g;
  const float* x;
  Index g_step, tap_step, vectors;
};

template <int Outputs, int Taps>
void add_shifted(const Planes& p, float* sum, Index sum_step) {
  Vector acc[Outputs][Taps];
#pragma GCC unroll 4
  for (int o = 0; o < Outputs; ++o)
#pragma GCC unroll 5
    for (int tap = 0; tap < Taps; ++tap) acc[o][tap] = load(sum + o * sum_step + tap * lanes);

  for (Index i = 0; i < p.vectors; ++i) {
    Vector slope[Outputs];
#pragma GCC unroll 4
    for (int o = 0; o < Outputs; ++o) slope[o] = in_register(load(p.g + o * p.g_step + i * lanes));
#pragma GCC unroll 5
    for (int tap = 0; tap < Taps; ++tap) {
      const Vector value = in_register(load(p.x + tap * p.tap_step + i * lanes));
#pragma GCC unroll 4
      for (int o = 0; o < Outputs; ++o) acc[o][tap] += value * slope[o];
    }
  }

#pragma GCC unroll 4
  for (int o = 0; o < Outputs; ++o)
#pragma GCC unroll 5
    for (int tap = 0; tap < Taps; ++tap) store(sum + o * sum_step + tap * lanes, acc[o][tap]);
}

using AddShifted = void (*)(const Planes&, float*, Index);

template <int Outputs = tile_outputs, int Taps = tile_taps>
struct Tiles {
  static AddShifted of(Index outputs, Index taps) {
    if (outputs == Outputs && taps == Taps) return add_shifted<Outputs, Taps>;
    if constexpr (Taps > 1)
      if (taps < Taps) return Tiles<Outputs, Taps - 1>::of(outputs, taps);
    if constexpr (Outputs > 1) return Tiles<Outputs - 1, Taps>::of(outputs, taps);
    return nullptr;
  }
};

// Pixels of `Channels` values each into as many planes.
template <int Channels>
void split(const float* from, Index pixels, float* to, Index plane) {
  for (Index i = 0; i < pixels; ++i)
#pragma GCC unroll 8
    for (int channel = 0; channel < Channels; ++channel)
      to[channel * plane + i] = from[i * Channels + channel];
}

using Split = void (*)(const float*, Index, float*, Index);

template <int Channels = most_outputs>
Split split_of(Index channels) {
  if (channels == Channels) return split<Channels>;
  if constexpr (Channels > 1) return split_of<Channels - 1>(channels);
  return nullptr;
}

class Job {
 public:
  Job(const Convolution& c, const float* g, const float* x)
      : c(c), g_(g), x_(x), line_(c.width + 2 * c.padding_width),
        vectors_(ceil_div(c.out_height * line_, lanes)),
        // One line and vector more, of zeros: the last tap looks so far beyond the image.
        x_plane_((c.height + 2 * c.padding_height + 1) * line_ + lanes),
        g_plane_(vectors_ * lanes) {}

  // Vectors of a part's sum, [o][c][kh][kw]: their lanes are still to be added up.
  Index sum_vectors() const {
    return c.outputs * c.channels * c.kernel_height * c.kernel_width;
  }

  void add_part(Index first, Index last, float* sum) const {
    std::memset(sum, 0, static_cast<std::size_t>(sum_vectors()) * sizeof(Vector));
    const Index x_size = c.channels * x_plane_, g_size = c.outputs * g_plane_;
    const Scratch planes(x_size + g_size);  // what lies beside the images stays zero
    std::memset(planes, 0, static_cast<std::size_t>(x_size + g_size) * 4);
    float* x = planes;
    float* g = planes + x_size;
    const Split split_x = split_of(c.channels), split_g = split_of(c.outputs);
    for (Index image = first; image < last; ++image) {
      for (Index row = 0; row < c.height; ++row)
        split_x(x_ + (image * c.height + row) * c.width * c.channels, c.width,
                x + (row + c.padding_height) * line_ + c.padding_width, x_plane_);
      for (Index row = 0; row < c.out_height; ++row)
        split_g(g_ + (image * c.out_height + row) * c.out_width * c.outputs, c.out_width,
                g + row * line_, g_plane_);
      for (Index channel = 0; channel < c.channels; ++channel)
        for (Index kh = 0; kh < c.kernel_height; ++kh)
          add_row(g, x + channel * x_plane_ + kh * c.dilation_height * line_,
                  sum + (channel * c.kernel_height + kh) * c.kernel_width * lanes);
    }
  }

  const Convolution& c;

 private:
  // One row of taps, all output channels.
  void add_row(const float* g, const float* x, float* sum) const {
    const Index sum_step = sum_vectors() / c.outputs * lanes;
    const Index tiles = ceil_div<Index>(c.outputs, tile_outputs);
    for (Index kw = 0; kw < c.kernel_width; kw += tile_taps)
      for (Index t = 0; t < tiles; ++t) {
        const Index start = c.outputs * t / tiles;
        const Index outputs = c.outputs * (t + 1) / tiles - start;
        const Index taps = smaller<Index>(c.kernel_width - kw, tile_taps);
        const Planes planes{g + start * g_plane_, x + kw * c.dilation_width, g_plane_,
                            c.dilation_width, vectors_};
        Tiles<>::of(outputs, taps)(planes, sum + start * sum_step + kw * lanes, sum_step);
      }
  }

  const float* g_;
  const float* x_;
  const Index line_, vectors_, x_plane_, g_plane_;
};

}  // namespace

bool is_narrow(const Convolution& c) {
  return c.channels <= 4 && c.outputs <= most_outputs && c.stride_height == 1 &&
         c.stride_width == 1 && 2 * c.out_width >= c.width + 2 * c.padding_width;
}

void narrow_weight_grad(const Convolution& c, const float* g, const float* x, float* dw,
                        int threads) {
  const Job job(c, g, x);
  const Index parts = larger<Index>(smaller<Index>(c.images, 16), 1);
  const Index size = job.sum_vectors() * lanes;
  const Scratch sums(parts * size);
  parallel_for(threads, parts, [&](std::size_t task) {
    const Index part = static_cast<Index>(task);
    job.add_part(c.images * part / parts, c.images * (part + 1) / parts, sums + part * size);
  });
  for (Index i = 0; i < job.sum_vectors(); ++i) {
    Vector total = load(sums + i * lanes);
    for (Index part = 1; part < parts; ++part) total += load(sums + part * size + i * lanes);
    float lane[lanes], sum = 0;
    store(lane, total);
    for (Index l = 0; l < lanes; ++l) sum += lane[l];
    dw[i] = sum;
  }
}

}  // namespace chainrule::CHAINRULE_ISA
