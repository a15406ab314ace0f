// Which convolutions go through Winograd's algorithm. The unit of cost is a multiply-add in the
// innermost loop; the weights were fitted to measured times, 16 to 512 channels, images of 7x7
// to 56x56, batches of 1 to 128, with AVX2 and AVX-512.
#include "winograd.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// The convolution whose cost is asked for: from `in` to `out` pixels and channels.
struct Sizes {
  Index images, in_rows, in_cols, in_channels, out_rows, out_cols, out_channels;
  Index top, left;  // padding
};

// Pairs of an output and a tap that lies inside the image, along one axis.
Index pairs_inside(Index in, Index out, Index padding) {
  Index pairs = 0;
  for (Index tap = 0; tap < 3; ++tap)
    pairs += larger<Index>(smaller(out, in + padding - tap) - larger<Index>(padding - tap, 0), 0);
  return pairs;
}

Index whole_vectors(Index channels) { return ceil_div(channels, lanes) * lanes; }

double direct_cost(const Sizes& s) {
  const double pairs = static_cast<double>(s.images) *
                       static_cast<double>(pairs_inside(s.in_rows, s.out_rows, s.top)) *
                       static_cast<double>(pairs_inside(s.in_cols, s.out_cols, s.left));
  return pairs * static_cast<double>(s.in_channels * whole_vectors(s.out_channels));
}

// filter: a filter's value in or out of the transforms, beyond what packing it directly takes.
double winograd_cost(const Sizes& s, Index tile, double filter) {
  const double values = static_cast<double>((tile + 2) * (tile + 2));
  const double tiles = static_cast<double>(s.images) *
                       static_cast<double>(ceil_div(s.out_rows, tile)) *
                       static_cast<double>(ceil_div(s.out_cols, tile));
  const double products = static_cast<double>(s.in_channels * whole_vectors(s.out_channels));
  const double transform = tile == 2 ? 6 : 11;  // a value in or out of the transforms
  const double transformed =
      static_cast<double>(whole_vectors(s.in_channels) + whole_vectors(s.out_channels));
  return values * (tiles * (products + transform * transformed) + filter * products);
}

int cheapest(const Convolution& c, const Sizes& s, double filter_of_2, double filter_of_4) {
  const bool possible = c.kernel_height == 3 && c.kernel_width == 3 && c.stride_height == 1 &&
                        c.stride_width == 1 && c.dilation_height == 1 && c.dilation_width == 1;
  if (!possible) return 0;
  if (c.winograd.everywhere) return c.winograd.most_tile;
  int best = 0;
  double cost = direct_cost(s);
  for (int tile = 2; tile <= c.winograd.most_tile; tile += 2) {
    const double other = winograd_cost(s, tile, tile == 2 ? filter_of_2 : filter_of_4);
    if (other < cost) best = tile, cost = other;
  }
  return best;
}

Sizes forward(const Convolution& c) {
  return {c.images, c.height, c.width, c.channels, c.out_height, c.out_width, c.outputs,
          c.padding_height, c.padding_width};
}

}  // namespace

int winograd_conv2d_tile(const Convolution& c) { return cheapest(c, forward(c), 5, 5); }

int winograd_input_grad_tile(const Convolution& c) {
  return cheapest(c, {c.images, c.out_height, c.out_width, c.outputs, c.height, c.width,
                      c.channels, 2 - c.padding_height, 2 - c.padding_width}, 5, 5);
}

int winograd_weight_grad_tile(const Convolution& c) { return cheapest(c, forward(c), 8, 14); }

}  // namespace chainrule::CHAINRULE_ISA
