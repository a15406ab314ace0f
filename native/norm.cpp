// Contract: reference/norm.py. x is (rows, channels): all axes but the channels' are one.
//
// Sums over a batch are the delicate part. A block of rows that fits the first cache is summed
// in float32 (few terms, so little is lost), and blocks are combined in float64, in order. The
// variance of a block is about its own mean, so values far from zero lose nothing.
// Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance".
#include "norm.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Rows of a block, and blocks of a part (what one task sums up); from sizes alone.
struct Cut {
  Index rows, channels;
  Index block_rows, part_rows, parts;
};

Cut cut(Index rows, Index channels) {
  const Index block_rows = larger<Index>((16 << 10) / 4 / channels, 8);
  const Index blocks = ceil_div(rows, block_rows);
  const Index part_rows = larger<Index>(ceil_div<Index>(blocks, 64), 1) * block_rows;
  return {rows, channels, block_rows, part_rows, ceil_div(rows, part_rows)};
}

// to[c] = sum over the rows of value(offset of row and c); `value` is called for vectors and,
// beyond the last whole vector, for single floats.
template <class VectorValue, class FloatValue>
void column_sums(Index rows, Index channels, float* to, VectorValue vector_value,
                 FloatValue float_value) {
  Index c = 0;
  for (; c + lanes <= channels; c += lanes) {
    Vector sums[4] = {};  // four chains hide the latency of an addition
    Index row = 0;
    for (; row + 4 <= rows; row += 4)
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) sums[i] += vector_value((row + i) * channels + c, c);
    for (; row < rows; ++row) sums[0] += vector_value(row * channels + c, c);
    store(to + c, (sums[0] + sums[1]) + (sums[2] + sums[3]));
  }
  for (; c < channels; ++c) {
    float sum = 0;
    for (Index row = 0; row < rows; ++row) sum += float_value(row * channels + c, c);
    to[c] = sum;
  }
}

// y = body(offset, channel) for every element, a row at a time.
template <class VectorBody, class FloatBody>
void map_rows(Index rows, Index channels, int threads, VectorBody vector_body,
              FloatBody float_body) {
  const Index grain = larger<Index>(pass_grain / channels, 1);
  parallel_ranges(threads, rows, grain, [&](Index first, Index last) {
    for (Index row = first; row < last; ++row) {
      Index c = 0;
      for (; c + lanes <= channels; c += lanes) vector_body(row * channels + c, c);
      for (; c < channels; ++c) float_body(row * channels + c, c);
    }
  });
}

// Mean and sum of squared deviations of a part's rows: mean and spread are (channels).
void part_moments(const Cut& cut, const float* x, Index first, Index last, double* mean,
                  double* spread, float* sums, float* centre) {
  const Index channels = cut.channels;
  for (Index top = first; top < last; top += cut.block_rows) {
    const Index rows = smaller(cut.block_rows, last - top);
    const float* block = x + top * channels;
    column_sums(rows, channels, sums, [=](Index i, Index) { return load(block + i); },
                [=](Index i, Index) { return block[i]; });
    for (Index c = 0; c < channels; ++c) centre[c] = sums[c] / static_cast<float>(rows);
    column_sums(rows, channels, sums,
                [=](Index i, Index c) {
                  const Vector d = load(block + i) - load(centre + c);
                  return d * d;
                },
                [=](Index i, Index c) {
                  const float d = block[i] - centre[c];
                  return d * d;
                });
    const double before = static_cast<double>(top - first), count = static_cast<double>(rows);
    for (Index c = 0; c < channels; ++c) {
      const double delta = centre[c] - mean[c];
      mean[c] += delta * count / (before + count);
      spread[c] += sums[c] + delta * delta * before * count / (before + count);
    }
  }
}

}  // namespace

void moments(const float* x, Index rows, Index channels, float* mean, float* var, int threads) {
  const Cut pieces = cut(rows, channels);
  const Scratch moments(pieces.parts * channels * 4);
  double* means = reinterpret_cast<double*>(static_cast<float*>(moments));
  double* spreads = means + pieces.parts * channels;
  parallel_for(threads, static_cast<std::size_t>(pieces.parts), [&](std::size_t task) {
    const Index part = static_cast<Index>(task);
    double* part_mean = means + part * channels;
    double* part_spread = spreads + part * channels;
    for (Index c = 0; c < channels; ++c) part_mean[c] = part_spread[c] = 0;
    const Scratch sums(2 * channels);
    part_moments(pieces, x, part * pieces.part_rows,
                 smaller((part + 1) * pieces.part_rows, rows), part_mean, part_spread, sums,
                 sums + channels);
  });

  for (Index c = 0; c < channels; ++c) {
    double before = 0, centre = 0, spread = 0;
    for (Index part = 0; part < pieces.parts; ++part) {
      const double count = static_cast<double>(
          smaller(pieces.part_rows, rows - part * pieces.part_rows));
      const double delta = means[part * channels + c] - centre;
      centre += delta * count / (before + count);
      spread += spreads[part * channels + c] + delta * delta * before * count / (before + count);
      before += count;
    }
    mean[c] = static_cast<float>(centre);
    var[c] = static_cast<float>(spread / static_cast<double>(larger<Index>(rows, 1)));
  }
}

void normalise(const float* x, const float* mean, const float* var, const float* weight,
               const float* bias, float eps, Index rows, Index channels, float* y, int threads) {
  const Scratch affine(2 * channels);
  float* scale = affine;
  float* shift = affine + channels;
  for (Index c = 0; c < channels; ++c) {
    const double inverse_std = 1 / __builtin_sqrt(static_cast<double>(var[c]) + eps);
    scale[c] = static_cast<float>(inverse_std * (weight ? weight[c] : 1.0f));
    shift[c] = bias ? bias[c] : 0.0f;
  }
  map_rows(rows, channels, threads,
           [=](Index i, Index c) {
             store(y + i, (load(x + i) - load(mean + c)) * load(scale + c) + load(shift + c));
           },
           [=](Index i, Index c) { y[i] = (x[i] - mean[c]) * scale[c] + shift[c]; });
}

void batch_norm_backward(const float* g, const float* x, const float* weight, const float* mean,
                         const float* var, float eps, Index rows, Index channels, float* dx,
                         float* dweight, float* dbias, int threads) {
  const Cut pieces = cut(rows, channels);
  const Scratch totals(pieces.parts * channels * 4);
  double* g_totals = reinterpret_cast<double*>(static_cast<float*>(totals));
  double* gx_totals = g_totals + pieces.parts * channels;
  parallel_for(threads, static_cast<std::size_t>(pieces.parts), [&](std::size_t task) {
    const Index part = static_cast<Index>(task);
    double* g_total = g_totals + part * channels;
    double* gx_total = gx_totals + part * channels;
    for (Index c = 0; c < channels; ++c) g_total[c] = gx_total[c] = 0;
    const Scratch sums(channels);
    const Index last = smaller((part + 1) * pieces.part_rows, rows);
    for (Index top = part * pieces.part_rows; top < last; top += pieces.block_rows) {
      const Index count = smaller(pieces.block_rows, last - top);
      const float* slopes = g + top * channels;
      const float* block = x + top * channels;
      column_sums(count, channels, sums, [=](Index i, Index) { return load(slopes + i); },
                  [=](Index i, Index) { return slopes[i]; });
      for (Index c = 0; c < channels; ++c) g_total[c] += sums[c];
      column_sums(count, channels, sums,
                  [=](Index i, Index c) {
                    return load(slopes + i) * (load(block + i) - load(mean + c));
                  },
                  [=](Index i, Index c) { return slopes[i] * (block[i] - mean[c]); });
      for (Index c = 0; c < channels; ++c) gx_total[c] += sums[c];
    }
  });

  // dx = slope * g + tilt * (x - mean) + level
  const Scratch affine(3 * channels);
  float* slope = affine;
  float* tilt = affine + channels;
  float* level = affine + 2 * channels;
  const double count = static_cast<double>(larger<Index>(rows, 1));
  for (Index c = 0; c < channels; ++c) {
    double sum_g = 0, sum_gx = 0;
    for (Index part = 0; part < pieces.parts; ++part) {
      sum_g += g_totals[part * channels + c];
      sum_gx += gx_totals[part * channels + c];
    }
    const double inverse_std = 1 / __builtin_sqrt(static_cast<double>(var[c]) + eps);
    dbias[c] = static_cast<float>(sum_g);
    dweight[c] = static_cast<float>(sum_gx * inverse_std);
    const double scale = inverse_std * (weight ? weight[c] : 1.0f);
    slope[c] = static_cast<float>(scale);
    tilt[c] = static_cast<float>(-scale * inverse_std * inverse_std * sum_gx / count);
    level[c] = static_cast<float>(-scale * sum_g / count);
  }
  map_rows(rows, channels, threads,
           [=](Index i, Index c) {
             const Vector tilted = (load(x + i) - load(mean + c)) * load(tilt + c) + load(level + c);
             store(dx + i, load(g + i) * load(slope + c) + tilted);
           },
           [=](Index i, Index c) {
             dx[i] = g[i] * slope[c] + ((x[i] - mean[c]) * tilt[c] + level[c]);
           });
}

void scale_shift(const float* x, const float* scale, const float* shift, Index rows,
                 Index channels, float* y, int threads) {
  map_rows(rows, channels, threads,
           [=](Index i, Index c) { store(y + i, load(x + i) * load(scale + c) + load(shift + c)); },
           [=](Index i, Index c) { y[i] = x[i] * scale[c] + shift[c]; });
}

}  // namespace chainrule::CHAINRULE_ISA
