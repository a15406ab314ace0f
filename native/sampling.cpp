// Contract: reference/sampling.py.
#include "sampling.hpp"

#include "simd_math.hpp"

namespace chainrule::CHAINRULE_ISA {

// A task is a run of the result, written from its beginning to its end: a vector may be stored
// beyond an output's numbers, where those of the next one come later.
void resample(const Resampling& r, const float* x, float* y, int threads) {
  const float* x_end = x + r.outer * r.length * r.inner;
  const Index grain = larger(pass_grain / 4 / larger(r.inner, Index{1}), Index{1});
  parallel_ranges(threads, r.outer * r.outputs, grain, [&](Index first, Index last) {
    const float* end = y + last * r.inner;
    for (Index line = first; line < last; ++line) {
      const Index output = line % r.outputs;
      const float* from = x + line / r.outputs * r.length * r.inner;
      float* to = y + line * r.inner;
      for (Index i = 0; i < r.inner; i += lanes) {
        const Index count = smaller(lanes, r.inner - i);
        Vector sum = {};
        for (Index tap = r.starts[output]; tap < r.starts[output + 1]; ++tap)
          sum += broadcast(r.weight[tap]) *
                 load_some(from + r.index[tap] * r.inner + i, count, x_end);
        store_some(to + i, count, end, sum);
      }
    }
  });
}

namespace {

// The value as float32 holds it: a compiler must not multiply and add in one rounding here, or
// "nearest" would not be the same pixel on every instruction set.
float rounded(float value) {
#if defined(__x86_64__)
  asm("" : "+x"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#endif
  return value;
}

// Where along an axis to read, in pixels, and how fast that moves with the coordinate.
struct Place {
  float at, slope;
};

Place place_of(float coordinate, Index size, const Sampling& s) {
  const float n = static_cast<float>(size);
  if (s.units == Units::pixels) return {coordinate, 1};
  const bool centres = s.units == Units::centres;
  Place place;
  if (centres) {
    place.slope = (n - 1) / 2;
    place.at = rounded((coordinate + 1) * place.slope);
  } else {
    place.slope = n / 2;
    place.at = (rounded((coordinate + 1) * n) - 1) / 2;
  }
  if (s.outside == Outside::zero) return place;
  if (s.outside == Outside::reflected) {
    const float low = centres ? 0.0f : -0.5f, span = centres ? n - 1 : n;
    if (span == 0) return {0 * place.at, 0};
    const float away = place.at - low;
    const float distance = away < 0 ? -away : away;
    const float back = __builtin_fmodf(distance, 2 * span);
    if (away < 0) place.slope = -place.slope;
    if (back > span) place.slope = -place.slope;
    place.at = (back > span ? 2 * span - back : back) + low;
  }
  // On the border and beyond it the pixel stays the same.
  if (!(place.at > 0 && place.at < n - 1)) place.slope = 0;
  if (place.at < 0) place.at = 0;
  if (place.at > n - 1) place.at = n - 1;
  return place;
}

// The pixels (at most two) of an axis that a place reads, their weights, and how these move.
struct Axis {
  int count = 0;
  Index pixel[2];
  float weight[2], slope[2];

  Axis(float coordinate, Index size, const Sampling& s) {
    const Place place = place_of(coordinate, size, s);
    if (s.nearest) {
      const float nearest = __builtin_rintf(place.at);
      if (nearest >= 0 && nearest <= static_cast<float>(size - 1))
        add(static_cast<Index>(nearest), 1, 0);
      return;
    }
    const float first = __builtin_floorf(place.at), share = place.at - first;
    if (!(first >= -1 && first <= static_cast<float>(size - 1))) return;  // NaN is nowhere
    const Index pixel_before = static_cast<Index>(first);
    if (pixel_before >= 0) add(pixel_before, 1 - share, -place.slope);
    if (pixel_before + 1 < size) add(pixel_before + 1, share, place.slope);
  }

  void add(Index at, float its_weight, float its_slope) {
    pixel[count] = at;
    weight[count] = its_weight;
    slope[count++] = its_slope;
  }
};

// The pixels that a point reads, in floats from the image's start, their weights, and how these
// move with the point's two coordinates (x, y).
struct Reads {
  int count = 0;
  Index pixel[4];
  float weight[4], by_x[4], by_y[4];

  Reads(const float* at, const Sampling& s) {
    const Axis rows(at[1], s.height, s), cols(at[0], s.width, s);
    for (int r = 0; r < rows.count; ++r)
      for (int c = 0; c < cols.count; ++c) {
        pixel[count] = (rows.pixel[r] * s.width + cols.pixel[c]) * s.channels;
        weight[count] = rows.weight[r] * cols.weight[c];
        by_x[count] = rows.weight[r] * cols.slope[c];
        by_y[count++] = rows.slope[r] * cols.weight[c];
      }
  }
};

Index points_of_task(const Sampling& s) {
  return larger(pass_grain / 8 / larger(s.channels, Index{4}), Index{1});
}

}  // namespace

void sample_images(const Sampling& s, const float* x, const float* at, float* y, int threads) {
  const Index image = s.height * s.width * s.channels;
  const float* x_end = x + s.images * image;
  parallel_ranges(threads, s.images * s.points, points_of_task(s), [&](Index first, Index last) {
    const float* end = y + last * s.channels;
    for (Index point = first; point < last; ++point) {
      const Reads reads(at + 2 * point, s);
      const float* from = x + point / s.points * image;
      for (Index c = 0; c < s.channels; c += lanes) {
        const Index count = smaller(lanes, s.channels - c);
        Vector sum = {};
        for (int i = 0; i < reads.count; ++i)
          sum += broadcast(reads.weight[i]) * load_some(from + reads.pixel[i] + c, count, x_end);
        store_some(y + point * s.channels + c, count, end, sum);
      }
    }
  });
}

// Points may read the same pixel, so a task takes all points of an image, for some channels.
void sample_images_input_grad(const Sampling& s, const float* g, const float* at, float* dx,
                              int threads) {
  constexpr Index most_channels = 32;
  const Index blocks = ceil_div(s.channels, most_channels);
  const Index pixels = s.height * s.width;
  parallel_for(threads, static_cast<std::size_t>(s.images * blocks), [&](std::size_t task) {
    const Index image = static_cast<Index>(task) / blocks;
    const Index first = static_cast<Index>(task) % blocks * most_channels;
    const Index channels = smaller(most_channels, s.channels - first);
    float* to = dx + image * pixels * s.channels + first;
    for (Index pixel = 0; pixel < pixels; ++pixel)
      std::memset(to + pixel * s.channels, 0, static_cast<std::size_t>(channels) * sizeof(float));
    for (Index point = image * s.points; point < (image + 1) * s.points; ++point) {
      const Reads reads(at + 2 * point, s);
      const float* __restrict slope = g + point * s.channels + first;
      for (int i = 0; i < reads.count; ++i) {
        float* __restrict pixel = to + reads.pixel[i];
        const float weight = reads.weight[i];
        for (Index c = 0; c < channels; ++c) pixel[c] += weight * slope[c];
      }
    }
  });
}

void sample_images_place_grad(const Sampling& s, const float* g, const float* x, const float* at,
                              float* dat, int threads) {
  const Index image = s.height * s.width * s.channels;
  const float *x_end = x + s.images * image, *g_end = g + s.images * s.points * s.channels;
  parallel_ranges(threads, s.images * s.points, points_of_task(s), [&](Index first, Index last) {
    for (Index point = first; point < last; ++point) {
      const Reads reads(at + 2 * point, s);
      const float* from = x + point / s.points * image;
      Vector along_x = {}, along_y = {};
      for (Index c = 0; c < s.channels; c += lanes) {
        const Index count = smaller(lanes, s.channels - c);
        Vector by_x = {}, by_y = {};
        for (int i = 0; i < reads.count; ++i) {
          const Vector pixel = load_some(from + reads.pixel[i] + c, count, x_end);
          by_x += broadcast(reads.by_x[i]) * pixel;
          by_y += broadcast(reads.by_y[i]) * pixel;
        }
        const Vector slope = load_some(g + point * s.channels + c, count, g_end);
        const IntVector meant = lane_numbers() < static_cast<std::int32_t>(count);
        along_x += meant ? slope * by_x : Vector{};
        along_y += meant ? slope * by_y : Vector{};
      }
      dat[2 * point] = sum_of(along_x);
      dat[2 * point + 1] = sum_of(along_y);
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
