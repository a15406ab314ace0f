// Mean and variance of each channel, gathered in parts: by tasks of their own, or by a
// convolution's tasks from the rows each has just written, while they are in cache.
//
//   Moments moments(tasks, channels);
//   in task t:    moments.add(t, rows_it_wrote, how_many);   // once or more, in a fixed order
//   afterwards:   moments.finish(mean, var);
//
// Sums over a batch are the delicate part. A block of rows that fits a cache is summed in
// float32 (few terms, so little is lost), and blocks are combined in float64, in order. A block's
// values are measured from the mean of its first eighth: whatever they are, that lies within
// sqrt(8) standard deviations of the block's own mean, so that the sum of squares, corrected for
// the difference, loses three bits at most; values far from zero lose no more than others.
// Source: Chan, Golub & LeVeque 1983, "Algorithms for computing the sample variance".
#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

// Mean and biased variance of n floats; 0 if there are none.
void moments_of_run(const float* x, Index n, float* mean, float* var);

// Mean and biased variance of each channel of channels-first memory.
void moments_of_runs(const Rows& size, const float* x, float* mean, float* var, int threads);

class Moments {
 public:
  Moments(Index parts, Index channels);

  // Rows of all channels, contiguous, into a part. One thread at a time in each part.
  void add(Index part, const float* x, Index rows);

  // mean and biased variance (channels) of all rows; 0 if there are none.
  void finish(double* mean, double* var) const;
  void finish(float* mean, float* var) const;

 private:
  double* mean_of(Index part) const { return counts_ + parts_ + 2 * part * channels_; }
  double* spread_of(Index part) const { return mean_of(part) + channels_; }

  Index parts_, channels_, width_, block_;
  Scratch memory_;
  double* counts_;  // rows of each part; behind them, means and squared deviations
};

}  // namespace chainrule::CHAINRULE_ISA
