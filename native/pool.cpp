// Contract: reference/pool.py. Windows of at most 256 taps, whose numbers fit a byte.
#include "pool.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using Tap = std::uint8_t;

typedef std::int32_t IntVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
typedef Tap TapVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES / 4)));
typedef Tap UnalignedTaps __attribute__((vector_size(CHAINRULE_VECTOR_BYTES / 4), aligned(1)));

IntVector load_taps(const Tap* p) {
  const TapVector taps = *reinterpret_cast<const UnalignedTaps*>(p);
  return __builtin_convertvector(taps, IntVector);
}

void store_taps(Tap* p, IntVector taps) {
  *reinterpret_cast<UnalignedTaps*>(p) = __builtin_convertvector(taps, TapVector);
}

// Calls body(tap, pixel of x) for the taps of one window that lie in the image.
template <class Body>
void for_taps(const Pool& p, Index row, Index col, Body body) {
  for (Index kh = 0; kh < p.kernel_height; ++kh) {
    const Index h = row * p.stride_height - p.padding_height + kh * p.dilation_height;
    if (h < 0 || h >= p.height) continue;
    for (Index kw = 0; kw < p.kernel_width; ++kw) {
      const Index w = col * p.stride_width - p.padding_width + kw * p.dilation_width;
      if (w >= 0 && w < p.width) body(kh * p.kernel_width + kw, h * p.width + w);
    }
  }
}

}  // namespace

void max_pool2d(const Pool& p, const float* x, float* y, std::uint8_t* index, int threads) {
  parallel_for(threads, static_cast<std::size_t>(p.images * p.out_height), [&](std::size_t task) {
    const Index line = static_cast<Index>(task);
    const float* image = x + line / p.out_height * p.height * p.width * p.channels;
    for (Index col = 0; col < p.out_width; ++col) {
      const Index out = (line * p.out_width + col) * p.channels;
      Index c = 0;
      for (; c + lanes <= p.channels; c += lanes) {
        Vector best = broadcast(-__builtin_inff());
        IntVector winner = {};
        for_taps(p, line % p.out_height, col, [&](Index tap, Index pixel) {
          const Vector value = load(image + pixel * p.channels + c);
          const IntVector wins = (value > best) | (value != value);  // larger, or NaN
          winner = wins ? IntVector{} + static_cast<std::int32_t>(tap) : winner;
          best = wins ? value : best;
        });
        store(y + out + c, best);
        store_taps(index + out + c, winner);
      }
      for (; c < p.channels; ++c) {
        float best = -__builtin_inff();
        Index winner = 0;
        for_taps(p, line % p.out_height, col, [&](Index tap, Index pixel) {
          const float value = image[pixel * p.channels + c];
          if (value > best || value != value) {
            best = value;
            winner = tap;
          }
        });
        y[out + c] = best;
        index[out + c] = static_cast<Tap>(winner);
      }
    }
  });
}

void max_pool2d_backward(const Pool& p, const float* g, const std::uint8_t* index, float* dx,
                         int threads) {
  const Index image_size = p.height * p.width * p.channels;
  // One task an image: windows that overlap add up in the same order always.
  parallel_for(threads, static_cast<std::size_t>(p.images), [&](std::size_t task) {
    const Index n = static_cast<Index>(task);
    float* image = dx + n * image_size;
    std::memset(image, 0, static_cast<std::size_t>(image_size) * sizeof(float));
    for (Index row = 0; row < p.out_height; ++row)
      for (Index col = 0; col < p.out_width; ++col) {
        const Index out = ((n * p.out_height + row) * p.out_width + col) * p.channels;
        for_taps(p, row, col, [&](Index tap, Index pixel) {
          float* to = image + pixel * p.channels;
          Index c = 0;
          for (; c + lanes <= p.channels; c += lanes) {
            const IntVector won = load_taps(index + out + c) == static_cast<std::int32_t>(tap);
            store(to + c, load(to + c) + (won ? load(g + out + c) : Vector{}));
          }
          for (; c < p.channels; ++c)
            if (index[out + c] == tap) to[c] += g[out + c];
        });
      }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
