// Contract: reference/conv.py, conv2d and conv2d_input_grad. Both are a window that slides over
// images (conv_window.hpp); what differs is how the filters are seen, and, for the gradient of
// a strided convolution, that pixels which different taps reach are windows of their own.
#include "conv.hpp"

#include "conv_depthwise.hpp"
#include "conv_grouped.hpp"
#include "conv_pack.hpp"
#include "conv_phase.hpp"
#include "norm.hpp"
#include "winograd.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// How many neighbouring pixels are computed as one: what fills most of the lanes, less what the
// wider window computes in vain.
Index best_group(const Filters& f, const Window& window, Index out_cols) {
  if (window.cols.step != 1) return 1;
  Index best = 1;
  float best_share = 0;
  for (Index group = 1; group <= 4 && group * f.outs <= 2 * lanes; ++group) {
    if (out_cols % group != 0) continue;
    const Index used = group * f.outs;
    const float share = static_cast<float>(used * f.cols) /
                        static_cast<float>(ceil_div(used, lanes) * lanes *
                                           group_cols(f, group, window.cols.stride));
    if (share > best_share * 1.1f) {
      best = group;
      best_share = share;
    }
  }
  return best;
}

// Slides a window with all of a filter's taps.
void slide_filters(Window window, InImages in, const Filters& filters, const float* bias,
                   const Epilogue& epilogue, OutImages out, int threads) {
  const Index taps = filters.rows * filters.cols;
  if (taps == 1 && window.rows.first == 0 && window.cols.first == 0 && out.rows == in.rows &&
      out.cols == in.cols) {
    // A 1x1 window takes every pixel alike: one long row fills all tiles. Its pixels are
    // neighbours, whatever the stride was: an axis of one pixel has none.
    const Index pixels = in.images * in.rows * in.cols;
    in = {in.data, 1, 1, pixels, in.channels};
    out = {out.data, 1, pixels, out.channels, 0, 0, out.channels};
    window = {{1, 0, 1, 1}, {1, 0, 1, 1}};
  }
  const Index group = best_group(filters, window, out.cols);
  const Index cols = group_cols(filters, group, window.cols.stride);
  const Index channels = group * out.channels;
  PackedWeights weights{nullptr, filters.rows * cols, 0, cols, 1, &filters};
  const Scratch packed(group > 1 ? packed_size(weights.taps, filters.ins, channels) : 0);
  if (group > 1) {
    pack_group(filters, group, window.cols.stride, packed);
    weights.data = packed;
  }
  window.cols.taps = cols;
  window.cols.stride *= group;
  const OutImages groups{out.data, out.rows, out.cols / group, channels, out.image_step,
                         out.row_step, out.pixel_step * group, group};
  const Vectors vectors(bias, epilogue, out.channels, group);
  slide(window, in, weights, vectors.init(), vectors.end(), groups, threads);
}

}  // namespace

void conv2d(const Convolution& c, const float* x, const float* weight, const float* bias,
            const Epilogue& epilogue, float* y, int threads) {
  const auto gather = [&] {
    if (!epilogue.mean) return;
    moments({c.images * c.out_height * c.out_width, c.outputs}, y, epilogue.mean, epilogue.var,
            threads);
  };
  if (c.groups > 1) {
    Epilogue end = epilogue;
    end.mean = end.var = nullptr;
    (is_depthwise(c) ? depthwise_conv2d : grouped_conv2d)(c, x, weight, bias, end, y, threads);
    return gather();
  }
  if (const int tile = winograd_conv2d_tile(c)) {
    const Vectors vectors(bias, epilogue, c.outputs, 1);
    return winograd_conv2d(tile, c, x, weight, vectors.init(), vectors.end(), y, threads);
  }
  const Index taps = c.kernel_height * c.kernel_width;
  slide_filters({{c.kernel_height, -c.padding_height, c.dilation_height, c.stride_height},
                 {c.kernel_width, -c.padding_width, c.dilation_width, c.stride_width}},
                {x, c.images, c.height, c.width, c.channels},
                {weight, c.outputs, c.channels, c.kernel_height, c.kernel_width,
                 c.channels * taps, taps, false},
                bias, epilogue,
                gapless_images(y, c.out_height, c.out_width, c.outputs), threads);
}

void conv2d_input_grad(const Convolution& c, const float* g, const float* weight, float* dx,
                       int threads) {
  if (c.groups > 1) {
    if (is_depthwise(c)) return depthwise_input_grad(c, g, weight, dx, threads);
    return grouped_input_grad(c, g, weight, dx, threads);
  }
  if (const int tile = winograd_input_grad_tile(c))
    return winograd_input_grad(tile, c, g, weight, dx, threads);
  const Index taps = c.kernel_height * c.kernel_width;
  const Filters filters{weight, c.channels, c.outputs, c.kernel_height, c.kernel_width,
                        taps, c.channels * taps, true};
  const InImages in{g, c.images, c.out_height, c.out_width, c.outputs};
  if (c.stride_height == 1 && c.stride_width == 1) {
    const Index top = c.padding_height - (c.kernel_height - 1) * c.dilation_height;
    const Index left = c.padding_width - (c.kernel_width - 1) * c.dilation_width;
    return slide_filters({{c.kernel_height, top, c.dilation_height, 1},
                          {c.kernel_width, left, c.dilation_width, 1}},
                         in, filters, nullptr, {},
                         gapless_images(dx, c.height, c.width, c.channels), threads);
  }
  const Scratch packed(packed_size(taps, c.outputs, c.channels));
  pack(filters, packed, threads);
  for (Index i = 0; i < smaller(c.stride_height, c.height); ++i) {
    for (Index j = 0; j < smaller(c.stride_width, c.width); ++j) {
      const Phase rows = phase_of_rows(c, i), cols = phase_of_cols(c, j);
      slide({rows.axis, cols.axis}, in,
            {packed, taps, rows.first_tap * c.kernel_width + cols.first_tap,
             rows.tap_step * c.kernel_width, cols.tap_step},
            nullptr, {}, phase_of_images(c, dx, i, j), threads);
    }
  }
}

}  // namespace chainrule::CHAINRULE_ISA
