// Contract: reference/pool.py. Windows of at most 256 taps, whose numbers fit a byte.
#include "pool.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using Tap = std::uint8_t;

typedef Tap TapVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES / 4)));
typedef Tap UnalignedTaps
    __attribute__((vector_size(CHAINRULE_VECTOR_BYTES / 4), aligned(1), may_alias));

// Up to `lanes` channels of a pixel. What a store leaves in the next pixel is overwritten when
// that one's turn comes.
struct Channels {
  Index start, count;

  Vector from(const float* p, const float* end) const { return load_some(p, count, end); }

  void to(float* p, const float* end, Vector v) const { store_some(p, count, end, v); }

  void to(Tap* p, const Tap* end, IntVector v) const {
    const TapVector taps = __builtin_convertvector(v, TapVector);
    if (p + lanes <= end)
      *reinterpret_cast<UnalignedTaps*>(p) = taps;
    else
      std::memcpy(p, &taps, static_cast<std::size_t>(count));
  }
};

// Calls body(channels) for all channels of a pixel, a vector at a time.
template <class Body>
void for_channels(Index channels, Body body) {
  for (Index c = 0; c < channels; c += lanes) body(Channels{c, smaller(lanes, channels - c)});
}

IntVector broadcast_int(Index value) { return IntVector{} + static_cast<std::int32_t>(value); }

// The taps of a window that lie in the image: [first, last).
struct Taps {
  Index first, last;
};

Taps taps_inside(Index start, Index size, Index kernel, Index dilation) {
  Taps taps = {0, kernel};
  if (start < 0) taps.first = smaller(kernel, ceil_div(-start, dilation));
  if (start + (kernel - 1) * dilation >= size)
    taps.last = start < size ? ceil_div(size - start, dilation) : 0;
  return taps;
}

// The largest value so far, and the tap it came from.
struct Winner {
  Vector value = broadcast(-__builtin_inff());
  IntVector tap = {};

  void meet(Vector other, IntVector other_tap) {
    const IntVector wins = (other > value) | (other != other);  // larger, or NaN
    tap = wins ? other_tap : tap;
    value = wins ? other : value;
  }
};

// The winner of a window that lies in the image, its size known when compiled.
template <int height, int width>
Winner winner_of(const float* window, Index row_step, Index col_step) {
  Winner winner;
#pragma GCC unroll 9
  for (int tap = 0; tap < height * width; ++tap)
    winner.meet(load(window + tap / width * row_step + tap % width * col_step),
                broadcast_int(tap));
  return winner;
}

// Lines [first, last) of all the results' lines. Windows are of height x width where these are
// not 0.
template <int height, int width>
void max_pool_lines(const Pool& pool, const float* x, float* y, Tap* index, Index first,
                    Index last) {
  const Pool p = pool;  // our own: what is stored cannot change it, so it stays in registers
  const Index row_size = p.width * p.channels, out_row_size = p.out_width * p.channels;
  const Index row_step = p.dilation_height * row_size, col_step = p.dilation_width * p.channels;
  const Index reach_width = (p.kernel_width - 1) * p.dilation_width;
  const Index padded_channels = ceil_div(p.channels, lanes) * lanes;
  const Index reach = (p.kernel_height - 1) * row_step + reach_width * p.channels;
  const float* x_end = x + p.images * p.height * row_size;
  const float* y_end = y + last * out_row_size;
  const Tap* index_end = index + last * out_row_size;
  for (Index line = first; line < last; ++line) {
    const Index top = line % p.out_height * p.stride_height - p.padding_height;
    const Taps rows = taps_inside(top, p.height, p.kernel_height, p.dilation_height);
    const bool all_rows = rows.last - rows.first == p.kernel_height;
    const float* image = x + line / p.out_height * p.height * row_size;
    for (Index col = 0; col < p.out_width; ++col) {
      const Index left = col * p.stride_width - p.padding_width;
      const float* window = image + top * row_size + left * p.channels;
      const Index out = line * out_row_size + col * p.channels;
      const bool whole = all_rows && left >= 0 && left + reach_width < p.width &&
                         window + reach + padded_channels <= x_end;
      if constexpr (height > 0) {
        if (whole) {
          for_channels(p.channels, [&](Channels c) {
            const Winner winner = winner_of<height, width>(window + c.start, row_step, col_step);
            c.to(y + out + c.start, y_end, winner.value);
            c.to(index + out + c.start, index_end, winner.tap);
          });
          continue;
        }
      }
      const Taps cols = taps_inside(left, p.width, p.kernel_width, p.dilation_width);
      for_channels(p.channels, [&](Channels c) {
        Winner winner;
        for (Index kh = rows.first; kh < rows.last; ++kh)
          for (Index kw = cols.first; kw < cols.last; ++kw)
            winner.meet(c.from(window + c.start + kh * row_step + kw * col_step, x_end),
                        broadcast_int(kh * p.kernel_width + kw));
        c.to(y + out + c.start, y_end, winner.value);
        c.to(index + out + c.start, index_end, winner.tap);
      });
    }
  }
}

using MaxPoolLines = void (*)(const Pool&, const float* x, float* y, Tap* index, Index first,
                              Index last);

// Windows of images, of sequences, and along the depth of volumes have bodies of their own.
MaxPoolLines max_pool_lines_of(const Pool& p) {
  const auto is = [&](Index height, Index width) {
    return p.kernel_height == height && p.kernel_width == width;
  };
  if (is(2, 2)) return max_pool_lines<2, 2>;
  if (is(3, 3)) return max_pool_lines<3, 3>;
  if (is(1, 2)) return max_pool_lines<1, 2>;
  if (is(1, 3)) return max_pool_lines<1, 3>;
  if (is(2, 1)) return max_pool_lines<2, 1>;
  if (is(3, 1)) return max_pool_lines<3, 1>;
  return max_pool_lines<0, 0>;
}

// Where each tap of a window lies from its first one.
struct TapOffsets {
  Index floats[256] = {}, rows[256] = {}, cols[256] = {};

  explicit TapOffsets(const Pool& p) {
    for (Index tap = 0; tap < p.kernel_height * p.kernel_width; ++tap) {
      rows[tap] = tap / p.kernel_width * p.dilation_height;
      cols[tap] = tap % p.kernel_width * p.dilation_width;
      floats[tap] = (rows[tap] * p.width + cols[tap]) * p.channels;
    }
  }
};

}  // namespace

void max_pool2d(const Pool& pool, const float* x, float* y, Tap* index, int threads) {
  const Index out_row_size = pool.out_width * pool.channels;
  const Index grain = larger(pass_grain / larger(out_row_size, Index{1}) / 4, Index{1});
  const MaxPoolLines max_pool_lines = max_pool_lines_of(pool);
  parallel_ranges(threads, pool.images * pool.out_height, grain, [&](Index first, Index last) {
    max_pool_lines(pool, x, y, index, first, last);
  });
}

void max_pool2d_backward(const Pool& p, const float* g, const Tap* index, float* dx,
                         int threads) {
  const TapOffsets offsets(p);
  const Index row_size = p.width * p.channels;
  const Index reach_height = (p.kernel_height - 1) * p.dilation_height;
  const Index reach_width = (p.kernel_width - 1) * p.dilation_width;
  // One task an image: windows that overlap add up in the same order always. One number at a
  // time: each goes to one of its window's pixels, and vectors would go through all of them.
  parallel_for(threads, static_cast<std::size_t>(p.images), [&](std::size_t task) {
    const Index image_index = static_cast<Index>(task);
    float* image = dx + image_index * p.height * row_size;
    Index zeroed = 0;  // rows; zeroed when their first window comes, to be in cache then
    const auto zero_until = [&](Index row) {
      if (row <= zeroed) return;
      const Index floats = (row - zeroed) * row_size;
      std::memset(image + zeroed * row_size, 0, static_cast<std::size_t>(floats) * sizeof(float));
      zeroed = row;
    };
    for (Index row = 0; row < p.out_height; ++row) {
      const Index top = row * p.stride_height - p.padding_height;
      const bool rows_inside = top >= 0 && top + reach_height < p.height;
      zero_until(smaller(top + reach_height + 1, p.height));
      for (Index col = 0; col < p.out_width; ++col) {
        const Index left = col * p.stride_width - p.padding_width;
        const Index out =
            ((image_index * p.out_height + row) * p.out_width + col) * p.channels;
        const Index window = top * row_size + left * p.channels;
        if (rows_inside && left >= 0 && left + reach_width < p.width) {
          float* pixels = image + window;
          for (Index c = 0; c < p.channels; ++c)
            pixels[offsets.floats[index[out + c]] + c] += g[out + c];
          continue;
        }
        for (Index c = 0; c < p.channels; ++c) {
          const Tap tap = index[out + c];
          const Index h = top + offsets.rows[tap], w = left + offsets.cols[tap];
          if (h >= 0 && h < p.height && w >= 0 && w < p.width)
            image[window + offsets.floats[tap] + c] += g[out + c];
        }
      }
    }
    zero_until(p.height);
  });
}

void mean_pool(const Images& images, const Bins& rows, const Bins& cols, const float* x, float* y,
               int threads) {
  const Index channels = images.channels, row_size = images.width * channels;
  const Index out_row_size = cols.count * channels;
  const float* x_end = x + images.count * images.height * row_size;
  const Index bin_rows = ceil_div(images.height, larger(rows.count, Index{1}));
  const Index grain = larger(pass_grain / larger(row_size * bin_rows, Index{1}), Index{1});
  parallel_ranges(threads, images.count * rows.count, grain, [&](Index first, Index last) {
    const float* y_end = y + last * out_row_size;
    for (Index line = first; line < last; ++line) {
      const Index row = line % rows.count;
      const float* image = x + line / rows.count * images.height * row_size;
      for (Index col = 0; col < cols.count; ++col) {
        const Vector area = broadcast(rows.divisors[row] * cols.divisors[col]);
        for_channels(channels, [&](Channels c) {
          Vector sum = {};
          for (Index h = rows.edges[2 * row]; h < rows.edges[2 * row + 1]; ++h) {
            Vector row_sum = {};  // of its own: two levels of sums lose fewer digits
            for (Index w = cols.edges[2 * col]; w < cols.edges[2 * col + 1]; ++w)
              row_sum += c.from(image + h * row_size + w * channels + c.start, x_end);
            sum += row_sum;
          }
          c.to(y + line * out_row_size + col * channels + c.start, y_end, sum / area);
        });
      }
    }
  });
}

void mean_pool_backward(const Images& images, const Bins& rows, const Bins& cols, const float* g,
                        float* dx, int threads) {
  const Index channels = images.channels, row_size = images.width * channels;
  const Index grain = larger(pass_grain / larger(row_size, Index{1}), Index{1});
  parallel_ranges(threads, images.count * images.height, grain, [&](Index first, Index last) {
    for (Index line = first; line < last; ++line) {
      const Index h = line % images.height;
      const float* image = g + line / images.height * rows.count * cols.count * channels;
      float* row_of_dx = dx + line * row_size;
      std::memset(row_of_dx, 0, static_cast<std::size_t>(row_size) * sizeof(float));
      for (Index row = 0; row < rows.count; ++row) {
        if (h < rows.edges[2 * row] || h >= rows.edges[2 * row + 1]) continue;
        for (Index col = 0; col < cols.count; ++col) {
          const float* __restrict slope = image + (row * cols.count + col) * channels;
          const float share = 1 / (rows.divisors[row] * cols.divisors[col]);
          for (Index w = cols.edges[2 * col]; w < cols.edges[2 * col + 1]; ++w) {
            float* __restrict pixel = row_of_dx + w * channels;
            for (Index c = 0; c < channels; ++c) pixel[c] += slope[c] * share;
          }
        }
      }
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
