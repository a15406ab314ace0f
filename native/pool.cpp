// Contract: reference/pool.py. Windows of at most 256 taps, whose numbers fit a byte.
#include "pool.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Channels that are worked on together: their maxima and taps stay in the first cache.
constexpr Index together = 128;

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
      for (Index start = 0; start < p.channels; start += together) {
        const Index count = smaller(together, p.channels - start);
        float best[together];
        std::int32_t winner[together];
        for (Index c = 0; c < count; ++c) {
          best[c] = -__builtin_inff();
          winner[c] = 0;
        }
        for_taps(p, line % p.out_height, col, [&](Index tap, Index pixel) {
          const float* value = image + pixel * p.channels + start;
          for (Index c = 0; c < count; ++c) {
            const float v = value[c];
            const bool wins = !(v <= best[c]);  // larger, or one of them is NaN
            const bool keeps = best[c] != best[c] && v == v;
            winner[c] = wins & !keeps ? static_cast<std::int32_t>(tap) : winner[c];
            best[c] = wins & !keeps ? v : best[c];
          }
        });
        std::memcpy(y + out + start, best, static_cast<std::size_t>(count) * sizeof(float));
        for (Index c = 0; c < count; ++c)
          index[out + start + c] = static_cast<std::uint8_t>(winner[c]);
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
          for (Index c = 0; c < p.channels; ++c) {
            const float slope = g[out + c];
            to[c] += index[out + c] == tap ? slope : 0.0f;
          }
        });
      }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
