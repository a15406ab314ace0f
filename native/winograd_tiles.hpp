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
};

inline Index whole_vectors(Index channels) { return ceil_div(channels, lanes) * lanes; }

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
  for (Index tile = first; tile < last; ++tile, ++slot) {
    const Grid::Place at = grid.place(tile);
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
