// Images cut into squares, and the way from a square's pixels into Winograd's domain.
#pragma once
#include "winograd_transform.hpp"

namespace chainrule::CHAINRULE_ISA {

// Images (N, rows, cols, channels), and squares of Size x Size pixels that start every `step`
// pixels from (-top, -left). Pixels outside the image count as zeros.
struct Grid {
  Index images, rows, cols, channels;
  Index tile_rows, tile_cols;  // of one image
  Index step, top, left;

  Index tiles() const { return images * tile_rows * tile_cols; }

  struct Place {
    Index image, row, col;  // row, col: the square's first pixel
  };
  Place place(Index tile) const {
    const Index in_image = tile % (tile_rows * tile_cols);
    return {tile / (tile_rows * tile_cols), in_image / tile_cols * step - top,
            in_image % tile_cols * step - left};
  }
  void advance(Place& at) const {
    at.col += step;
    if (at.col < tile_cols * step - left) return;
    at.col = -left;
    at.row += step;
    if (at.row < tile_rows * step - top) return;
    at.row = -top;
    ++at.image;
  }
};

inline Index whole_vectors(Index channels) { return ceil_div(channels, lanes) * lanes; }

// Fetches what a walk over the squares will soon read or write, a row of squares and a few more
// ahead: squares jump between rows of the image, which the processor does not foresee, and the
// products between two walks are a pause in which memory could have worked. (Fetching beyond an
// array's end is harmless.)
class Lookahead {
 public:
  Lookahead(const Grid& grid, const float* images, Index image_floats)
      : images_(images), image_floats_(image_floats), squares_(grid.tile_rows * grid.tile_cols),
        floats_(ceil_div(image_floats, squares_)), ahead_((grid.tile_cols + 4) * floats_) {}

  template <int write = 0>
  void fetch(Index tile) const {
    constexpr Index line = 64 / sizeof(float);
    const Index image = tile / squares_;
    const float* from =
        images_ + image * image_floats_ + (tile - image * squares_) * floats_ + ahead_;
    for (Index i = 0; i < floats_; i += line) __builtin_prefetch(from + i, write, 2);
  }

 private:
  const float* images_;
  Index image_floats_, squares_, floats_, ahead_;
};

// Where transformed squares go: value (i, j) of the transform at plane i*T + j, square by
// square, `width` floats each (whole vectors of channels).
struct Planes {
  float* data;
  Index plane, width;
};

// A plane of so many squares: an odd number of cache lines, or the planes of one square would
// all compete for one set of the cache.
inline Index plane_size(Index tiles, Index width) {
  constexpr Index line = 64 / sizeof(float);
  return (ceil_div(tiles * width, line) | 1) * line;
}

// Transforms Size x Size pixels of every channel; pixel(i, j) points to their first channel.
template <auto transform, int Size, int T, class Pixel>
[[gnu::always_inline]] inline void transform_pixels(const Pixel& pixel, Index channels,
                                                    const Planes& to, Index slot) {
  float* out = to.data + slot * to.width;
  const auto write = [&](Index c) {
    return [&, c](int i, int j, Vector value) { store(out + (i * T + j) * to.plane + c, value); };
  };
  Index c = 0;
  for (; c + lanes <= channels; c += lanes)
    nest<transform, Size, T>([&](int i, int j) { return load(pixel(i, j) + c); }, write(c));
  if (c == channels) return;
  // The last channels fill no vector, and a whole one might end behind the array.
  Vector part[Size][Size] = {};
  for (int i = 0; i < Size; ++i)
    for (int j = 0; j < Size; ++j)
      std::memcpy(&part[i][j], pixel(i, j) + c,
                  static_cast<std::size_t>(channels - c) * sizeof(float));
  nest<transform, Size, T>([&](int i, int j) { return part[i][j]; }, write(c));
}

// Squares [first, last) into slots from `slot` on. zeros: as many as there are channels.
template <auto transform, int Size, int T>
void transform_tiles(const Grid& grid, const float* images, const float* zeros, Index first,
                     Index last, const Planes& to, Index slot) {
  const Index row_step = grid.cols * grid.channels;
  const Lookahead lookahead(grid, images, grid.rows * row_step);
  Grid::Place at = grid.place(first);
  for (Index tile = first; tile < last; ++tile, ++slot, grid.advance(at)) {
    lookahead.fetch(tile);
    const float* image = images + at.image * grid.rows * row_step;
    if (at.row >= 0 && at.col >= 0 && at.row + Size <= grid.rows && at.col + Size <= grid.cols) {
      const float* corner = image + at.row * row_step + at.col * grid.channels;
      transform_pixels<transform, Size, T>(
          [&](int i, int j) { return corner + i * row_step + j * grid.channels; },
          grid.channels, to, slot);
      continue;
    }
    const float* pixels[Size][Size];
    for (int i = 0; i < Size; ++i) {
      const bool row_inside = at.row + i >= 0 && at.row + i < grid.rows;
      for (int j = 0; j < Size; ++j) {
        const bool inside = row_inside && at.col + j >= 0 && at.col + j < grid.cols;
        pixels[i][j] =
            inside ? image + (at.row + i) * row_step + (at.col + j) * grid.channels : zeros;
      }
    }
    transform_pixels<transform, Size, T>(
        [&](int i, int j) { return pixels[i][j]; }, grid.channels, to, slot);
  }
}

}  // namespace chainrule::CHAINRULE_ISA
