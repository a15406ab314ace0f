// Contract: reference/conv.py, conv2d and conv2d_input_grad.
#include "conv.hpp"

#include "conv_window.hpp"
#include "winograd.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Taps of the filter that a window uses: filter tap of window tap i is first + i * step.
struct FilterTaps {
  Index first, step;
};

// Packs weight(out, in, kh, kw) as the window wants it: [block][a][b][in][lane].
template <class Weight>
void pack(Index out_channels, Index in_channels, Index rows, Index cols, Weight weight,
          float* packed, int threads) {
  const Index width = block_width(out_channels);
  parallel_for(threads, ceil_div(out_channels, width), [&](std::size_t task) {
    const Index start = static_cast<Index>(task) * width;
    const Index used = smaller(width, out_channels - start);
    const Index filled = used > lanes ? 2 * lanes : lanes;
    float* to = packed + start * rows * cols * in_channels;
    for (Index a = 0; a < rows; ++a)
      for (Index b = 0; b < cols; ++b)
        for (Index in = 0; in < in_channels; ++in, to += filled) {
          for (Index o = 0; o < used; ++o) to[o] = weight(start + o, in, a, b);
          for (Index o = used; o < filled; ++o) to[o] = 0;
        }
  });
}

// Copies one value for each channel and fills the last vector with zeros; null stays null.
const float* fill_up(const float* values, Index channels, float* to) {
  if (!values) return nullptr;
  const Index whole = ceil_div(channels, lanes) * lanes;
  std::memcpy(to, values, static_cast<std::size_t>(channels) * sizeof(float));
  std::memset(to + channels, 0, static_cast<std::size_t>(whole - channels) * sizeof(float));
  return to;
}

// Along one axis, pixels phase, phase + stride, ... of the input are reached through every
// stride-th tap only: for pixel i*stride + phase and tap k, output i + (phase + p - k*d)/stride.
struct Phase {
  Axis axis;
  FilterTaps filter;
};

Phase phase_of(Index phase, Index kernel, Index stride, Index padding, Index dilation) {
  Index taps = 0, last = 0, tap_step = 0;
  for (Index k = 0; k < kernel; ++k) {
    if ((phase + padding - k * dilation) % stride != 0) continue;
    if (taps == 1) tap_step = k - last;
    last = k;
    ++taps;
  }
  // From the last tap to the first, so that positions ascend.
  return {{taps, (phase + padding - last * dilation) / stride, tap_step * dilation / stride, 1},
          {last, -tap_step}};
}

}  // namespace

void conv2d(const Convolution& c, const float* x, const float* weight, const float* bias,
            const Epilogue& epilogue, float* y, int threads) {
  const Index whole = ceil_div(c.outputs, lanes) * lanes;
  const Scratch vectors(3 * whole);
  const float* init = fill_up(bias, c.outputs, vectors);
  const Epilogue end{fill_up(epilogue.scale, c.outputs, vectors + whole),
                     fill_up(epilogue.shift, c.outputs, vectors + 2 * whole), epilogue.add,
                     epilogue.relu};

  if (const int tile = winograd_conv2d_tile(c))
    return winograd_conv2d(tile, c, x, weight, init, end, y, threads);

  const Index taps = c.kernel_height * c.kernel_width;
  const Scratch packed(packed_size(taps, c.channels, c.outputs));
  pack(c.outputs, c.channels, c.kernel_height, c.kernel_width,
       [&](Index o, Index in, Index a, Index b) {
         return weight[(o * c.channels + in) * taps + a * c.kernel_width + b];
       },
       packed, threads);

  Window window{{c.kernel_height, -c.padding_height, c.dilation_height, c.stride_height},
                {c.kernel_width, -c.padding_width, c.dilation_width, c.stride_width}};
  InImages in{x, c.images, c.height, c.width, c.channels};
  OutImages out{y, c.out_height, c.out_width, c.outputs, c.out_height * c.out_width * c.outputs,
                c.out_width * c.outputs, c.outputs};
  if (taps == 1 && c.out_height == c.height && c.out_width == c.width &&
      c.padding_height == 0 && c.padding_width == 0) {
    // A 1x1 window takes every pixel alike: one long row fills all tiles.
    const Index pixels = c.images * c.height * c.width;
    in = {x, 1, 1, pixels, c.channels};
    out = {y, 1, pixels, c.outputs, 0, 0, c.outputs};
  }
  slide(window, in, packed, init, end, out, threads);
}

void conv2d_input_grad(const Convolution& c, const float* g, const float* weight, float* dx,
                       int threads) {
  if (const int tile = winograd_input_grad_tile(c))
    return winograd_input_grad(tile, c, g, weight, dx, threads);
  const Index taps = c.kernel_height * c.kernel_width;
  const Scratch packed(packed_size(taps, c.outputs, c.channels));
  for (Index i = 0; i < smaller(c.stride_height, c.height); ++i) {
    for (Index j = 0; j < smaller(c.stride_width, c.width); ++j) {
      const Phase rows =
          phase_of(i, c.kernel_height, c.stride_height, c.padding_height, c.dilation_height);
      const Phase cols =
          phase_of(j, c.kernel_width, c.stride_width, c.padding_width, c.dilation_width);
      pack(c.channels, c.outputs, rows.axis.taps, cols.axis.taps,
           [&](Index channel, Index o, Index a, Index b) {
             const Index kh = rows.filter.first + a * rows.filter.step;
             const Index kw = cols.filter.first + b * cols.filter.step;
             return weight[(o * c.channels + channel) * taps + kh * c.kernel_width + kw];
           },
           packed, threads);
      InImages in{g, c.images, c.out_height, c.out_width, c.outputs};
      OutImages out{dx + (i * c.width + j) * c.channels,
                    ceil_div(c.height - i, c.stride_height),
                    ceil_div(c.width - j, c.stride_width),
                    c.channels,
                    c.height * c.width * c.channels,
                    c.stride_height * c.width * c.channels,
                    c.stride_width * c.channels};
      if (taps == 1 && c.out_height == c.height && c.out_width == c.width &&
          c.padding_height == 0 && c.padding_width == 0) {
        const Index pixels = c.images * c.height * c.width;
        in = {g, 1, 1, pixels, c.outputs};
        out = {dx, 1, pixels, c.channels, 0, 0, c.channels};
      }
      slide({rows.axis, cols.axis}, in, packed, nullptr, {}, out, threads);
    }
  }
}

}  // namespace chainrule::CHAINRULE_ISA
