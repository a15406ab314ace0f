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
  float* centre = scratch + 2 * channels_;
  float* wide = centre + width_;
  for (Index first = 0; first < rows; first += block_) {
    const Index count = smaller(block_, rows - first);
    const Index few = smaller(ceil_div(ceil_div<Index>(count, 8), copies()) * copies(), count);
    sum_block<1>(first, few, channels_, width_, sums, wide,
                 [=]<class T>(Index i, Index) { return Terms<T, 1>{read<T>(x + i)}; });
    for (Index c = 0; c < channels_; ++c) centre[c] = sums[c] / static_cast<float>(few);
    for (Index i = channels_; i < width_; ++i) centre[i] = centre[i - channels_];
    sum_block<2>(first, count, channels_, width_, sums, wide, [=]<class T>(Index i, Index c) {
      const T deviation = read<T>(x + i) - read<T>(centre + c);
      return Terms<T, 2>{deviation, deviation * deviation};
    });
    const double n = static_cast<double>(count);
    const Merge merge(counts_[part], n);
    for (Index c = 0; c < channels_; ++c) {
      const double off = sums[c] / n;
      merge(mean[c], spread[c], centre[c] + off, sums[channels_ + c] - off * sums[c]);
    }
    counts_[part] += n;
  }
}

void Moments::finish(float* mean, float* var) const {
  const Scratch scratch(4 * channels_);
  double* __restrict means = reinterpret_cast<double*>(static_cast<float*>(scratch));
  double* __restrict spreads = means + channels_;
  for (Index c = 0; c < channels_; ++c) means[c] = spreads[c] = 0;
  double rows = 0;
  for (Index part = 0; part < parts_; ++part) {
    if (counts_[part] == 0) continue;
    const Merge merge(rows, counts_[part]);
    const double* other_mean = mean_of(part);
    const double* other_spread = spread_of(part);
    for (Index c = 0; c < channels_; ++c)
      merge(means[c], spreads[c], other_mean[c], other_spread[c]);
    rows += counts_[part];
  }
  for (Index c = 0; c < channels_; ++c) {
    mean[c] = static_cast<float>(means[c]);
    var[c] = static_cast<float>(spreads[c] / larger(rows, 1.0));
  }
}

}  // namespace chainrule::CHAINRULE_ISA
