#include "moments.hpp"

#include "channels.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Mean and squared deviations of two sets of rows together; `share` is the second's of all.
struct Merge {
  double share, weight;

  Merge(double before, double count)
      : share(count / (before + count)), weight(before * share) {}

  void operator()(double& mean, double& spread, double other_mean, double other_spread) const {
    const double delta = other_mean - mean;
    mean += delta * share;
    spread += other_spread + delta * delta * weight;
  }
};

// Of a block of rows: its first rows' mean, repeated along a pattern, and to[c] and
// to[channels + c], the sums of the deviations from that and of their squares. `wide` has room
// for two patterns.
void measure_block(const float* x, Index rows, Index channels, Index width, float* centre,
                   float* to, float* wide) {
  const Index copies = width / channels;
  const Index few = smaller(ceil_div(ceil_div<Index>(rows, 8), copies) * copies, rows);
  sum_block<1>(0, few, channels, width, to, wide,
               [=]<class T>(Index i, Index) { return Terms<T, 1>{read<T>(x + i)}; });
  for (Index c = 0; c < channels; ++c) centre[c] = to[c] / static_cast<float>(few);
  for (Index i = channels; i < width; ++i) centre[i] = centre[i - channels];
  sum_block<2>(0, rows, channels, width, to, wide, [=]<class T>(Index i, Index c) {
    const T deviation = read<T>(x + i) - read<T>(centre + c);
    return Terms<T, 2>{deviation, deviation * deviation};
  });
}

// Mean and squared deviations of n floats.
void measure_run(const float* x, Index n, double& mean, double& spread) {
  mean = spread = 0;
  for (Index first = 0; first < n; first += run_in_single) {
    const Index last = smaller(first + run_in_single, n), few = ceil_div<Index>(last - first, 8);
    float centre, sums[2];
    sum_run<1>(first, first + few, &centre,
               [=]<class T>(Index i) { return Terms<T, 1>{read<T>(x + i)}; });
    centre /= static_cast<float>(few);
    sum_run<2>(first, last, sums, [=]<class T>(Index i) {
      const T deviation = read<T>(x + i) - centre;
      return Terms<T, 2>{deviation, deviation * deviation};
    });
    const double count = static_cast<double>(last - first), off = sums[0] / count;
    const Merge merge(static_cast<double>(first), count);
    merge(mean, spread, centre + off, sums[1] - off * sums[0]);
  }
}

}  // namespace

Moments::Moments(Index parts, Index channels)
    : parts_(parts), channels_(channels), width_(pattern_width(channels)),
      block_(rows_of_block(channels, width_)), memory_(2 * parts * (2 * channels + 1)),
      counts_(reinterpret_cast<double*>(static_cast<float*>(memory_))) {
  for (Index i = 0; i < parts * (2 * channels + 1); ++i) counts_[i] = 0;
}

void Moments::add(Index part, const float* x, Index rows) {
  double* __restrict mean = mean_of(part);
  double* __restrict spread = spread_of(part);
  const Scratch scratch(2 * channels_ + 3 * width_);
  float* __restrict sums = scratch;
  float* __restrict centre = scratch + 2 * channels_;
  float* wide = centre + width_;
  for (Index first = 0; first < rows; first += block_) {
    const Index count = smaller(block_, rows - first);
    measure_block(x + first * channels_, count, channels_, width_, centre, sums, wide);
    const double n = static_cast<double>(count);
    const Merge merge(counts_[part], n);
    for (Index c = 0; c < channels_; ++c) {
      const double off = sums[c] / n;
      merge(mean[c], spread[c], centre[c] + off, sums[channels_ + c] - off * sums[c]);
    }
    counts_[part] += n;
  }
}

void moments_of_run(const float* x, Index n, float* mean, float* var) {
  double exact_mean, spread;
  measure_run(x, n, exact_mean, spread);
  *mean = static_cast<float>(exact_mean);
  *var = static_cast<float>(spread / static_cast<double>(larger<Index>(n, 1)));
}

void moments_of_runs(const Rows& size, const float* x, float* mean, float* var, int threads) {
  const Index images = size.rows / size.run, channels = size.channels;
  const Doubles of_runs(2 * images * channels);
  parallel_ranges(threads, images * channels, runs_of_task(size), [&](Index first, Index last) {
    for (Index run = first; run < last; ++run)
      measure_run(x + run * size.run, size.run, of_runs[2 * run], of_runs[2 * run + 1]);
  });
  const double count = static_cast<double>(size.run);
  for (Index c = 0; c < channels; ++c) {
    double total_mean = 0, spread = 0;
    for (Index image = 0; image < images; ++image) {
      const double* run = of_runs + 2 * (image * channels + c);
      Merge(static_cast<double>(image) * count, count)(total_mean, spread, run[0], run[1]);
    }
    mean[c] = static_cast<float>(total_mean);
    var[c] = static_cast<float>(spread / static_cast<double>(larger<Index>(size.rows, 1)));
  }
}

void Moments::finish(double* __restrict mean, double* __restrict var) const {
  for (Index c = 0; c < channels_; ++c) mean[c] = var[c] = 0;
  double rows = 0;
  for (Index part = 0; part < parts_; ++part) {
    if (counts_[part] == 0) continue;
    const Merge merge(rows, counts_[part]);
    const double* other_mean = mean_of(part);
    const double* other_spread = spread_of(part);
    for (Index c = 0; c < channels_; ++c) merge(mean[c], var[c], other_mean[c], other_spread[c]);
    rows += counts_[part];
  }
  for (Index c = 0; c < channels_; ++c) var[c] /= larger(rows, 1.0);
}

void Moments::finish(float* mean, float* var) const {
  const Doubles exact(2 * channels_);
  double *means = exact, *vars = means + channels_;
  finish(means, vars);
  for (Index c = 0; c < channels_; ++c) mean[c] = static_cast<float>(means[c]);
  for (Index c = 0; c < channels_; ++c) var[c] = static_cast<float>(vars[c]);
}

}  // namespace chainrule::CHAINRULE_ISA
