// Contract: reference/pool.py. Windows of at most 256 taps, whose numbers fit a byte.
#include "pool.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using Tap = std::uint8_t;

typedef std::int32_t IntVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
typedef Tap TapVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES / 4)));
typedef Tap UnalignedTaps __attribute__((vector_size(CHAINRULE_VECTOR_BYTES / 4), aligned(1)));

// Up to `lanes` channels of a pixel. Where channels do not fill a vector, a load may run on
// into what follows in the array (those lanes are never stored), but not beyond its end.
struct Channels {
  Index start, count;

  bool fill() const { return count == lanes; }

  Vector from(const float* p, const float* end) const {
    if (p + lanes <= end) return load(p);
    Vector v = {};
    std::memcpy(&v, p, static_cast<std::size_t>(count) * sizeof(float));
    return v;
  }

  IntVector from(const Tap* p, const Tap* end) const {
    TapVector taps = {};
    if (p + lanes <= end)
      taps = *reinterpret_cast<const UnalignedTaps*>(p);
    else
      std::memcpy(&taps, p, static_cast<std::size_t>(count));
    return __builtin_convertvector(taps, IntVector);
  }

  void to(float* p, Vector v) const {
    if (fill())
      store(p, v);
    else
      std::memcpy(p, &v, static_cast<std::size_t>(count) * sizeof(float));
  }

  void to(Tap* p, IntVector v) const {
    const TapVector taps = __builtin_convertvector(v, TapVector);
    if (fill())
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

void max_pool2d(const Pool& p, const float* x, float* y, Tap* index, int threads) {
  const Index image_size = p.height * p.width * p.channels;
  const float* end = x + p.images * image_size;
  parallel_for(threads, static_cast<std::size_t>(p.images * p.out_height), [&](std::size_t task) {
    const Index line = static_cast<Index>(task);
    const float* image = x + line / p.out_height * image_size;
    for (Index col = 0; col < p.out_width; ++col) {
      const Index out = (line * p.out_width + col) * p.channels;
      for_channels(p.channels, [&](Channels c) {
        Vector best = broadcast(-__builtin_inff());
        IntVector winner = {};
        for_taps(p, line % p.out_height, col, [&](Index tap, Index pixel) {
          const Vector value = c.from(image + pixel * p.channels + c.start, end);
          const IntVector wins = (value > best) | (value != value);  // larger, or NaN
          winner = wins ? IntVector{} + static_cast<std::int32_t>(tap) : winner;
          best = wins ? value : best;
        });
        c.to(y + out + c.start, best);
        c.to(index + out + c.start, winner);
      });
    }
  });
}

void max_pool2d_backward(const Pool& p, const float* g, const Tap* index, float* dx,
                         int threads) {
  const Index image_size = p.height * p.width * p.channels;
  const Index out_size = p.out_height * p.out_width * p.channels;
  const float* g_end = g + p.images * out_size;
  const Tap* index_end = index + p.images * out_size;
  // One task an image: windows that overlap add up in the same order always.
  parallel_for(threads, static_cast<std::size_t>(p.images), [&](std::size_t task) {
    const Index n = static_cast<Index>(task);
    float* image = dx + n * image_size;
    const float* end = image + image_size;
    std::memset(image, 0, static_cast<std::size_t>(image_size) * sizeof(float));
    for (Index row = 0; row < p.out_height; ++row)
      for (Index col = 0; col < p.out_width; ++col) {
        const Index out = n * out_size + (row * p.out_width + col) * p.channels;
        for_channels(p.channels, [&](Channels c) {
          const Vector slope = c.from(g + out + c.start, g_end);
          const IntVector winner = c.from(index + out + c.start, index_end);
          for_taps(p, row, col, [&](Index tap, Index pixel) {
            float* to = image + pixel * p.channels + c.start;
            const Vector gained = winner == static_cast<std::int32_t>(tap) ? slope : Vector{};
            c.to(to, c.from(to, end) + gained);
          });
        });
      }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
