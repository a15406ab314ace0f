// The input gradient of a strided convolution as convolutions of stride 1.
#pragma once
#include "conv_window.hpp"

namespace chainrule::CHAINRULE_ISA {

// Along one axis, pixels phase, phase + stride, ... of the input are reached through every
// stride-th tap only: for pixel i*stride + phase and tap k, output i + (phase + p - k*d)/stride.
struct Phase {
  Axis axis;
  Index first_tap, tap_step;  // of the turned filter, whose taps ascend with positions
};

inline Phase phase_of(Index phase, Index kernel, Index stride, Index padding, Index dilation) {
  Index taps = 0, last = 0, tap_step = 0;
  for (Index k = 0; k < kernel; ++k) {
    if ((phase + padding - k * dilation) % stride != 0) continue;
    if (taps == 1) tap_step = k - last;
    last = k;
    ++taps;
  }
  return {{taps, (phase + padding - last * dilation) / stride, tap_step * dilation / stride, 1},
          kernel - 1 - last, tap_step};
}

// Of the input's rows, of its columns, and the pixels where they cross.
inline Phase phase_of_rows(const Convolution& c, Index phase) {
  return phase_of(phase, c.kernel_height, c.stride_height, c.padding_height, c.dilation_height);
}
inline Phase phase_of_cols(const Convolution& c, Index phase) {
  return phase_of(phase, c.kernel_width, c.stride_width, c.padding_width, c.dilation_width);
}
inline OutImages phase_of_images(const Convolution& c, float* dx, Index row_phase,
                                 Index col_phase) {
  return {dx + (row_phase * c.width + col_phase) * c.channels,
          ceil_div(c.height - row_phase, c.stride_height),
          ceil_div(c.width - col_phase, c.stride_width),
          c.channels,
          c.height * c.width * c.channels,
          c.stride_height * c.width * c.channels,
          c.stride_width * c.channels};
}

}  // namespace chainrule::CHAINRULE_ISA
