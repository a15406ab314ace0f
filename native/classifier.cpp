// Contract: reference/classifier.py. The samples are read from memory once: a block of them that
// the cache holds gets its scores, then its losses and their slopes, and adds to the gradient.
//
// Samples are cut into tasks by their sizes alone, each with sums of its own, which are added in
// order at the end: the bits do not depend on the number of threads.
#include "classifier.hpp"

#include "linear.hpp"
#include "loss.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr Index floats_of_a_block = Index{1} << 16;
constexpr Index most_tasks = 16;

// Losses of a block's scores, and their slopes: the gradient of their sum times g (rows).
void losses_and_slopes(const LinearClassifier& job, float* scores, const std::int64_t* target,
                       const float* g, float* losses, float* slopes, Index rows) {
  const Index classes = job.classes;
  switch (job.loss) {
    case ScoreLoss::cross_entropy: {
      Scratch log_probs(rows * classes);
      for (Index i = 0; i < rows; ++i) scores[i * classes + target[i]] -= job.margin;
      cross_entropy(scores, target, losses, log_probs, rows, classes, 1);
      cross_entropy_backward(g, log_probs, target, slopes, rows, classes, 1);
      return;
    }
    case ScoreLoss::weston_watkins:
      multi_margin_loss(scores, target, job.squared, job.margin, losses, rows, classes, 1);
      multi_margin_loss_backward(g, scores, target, job.squared, job.margin, slopes, rows, classes,
                                 1);
      return;
    case ScoreLoss::crammer_singer:
      crammer_singer_loss(scores, target, job.squared, job.margin, losses, rows, classes, 1);
      crammer_singer_loss_backward(g, scores, target, job.squared, job.margin, slopes, rows,
                                   classes, 1);
      return;
    case ScoreLoss::one_vs_all:
      one_vs_all_loss(scores, target, job.squared, job.margin, losses, rows, classes, 1);
      one_vs_all_loss_backward(g, scores, target, job.squared, job.margin, slopes, rows, classes,
                               1);
      return;
  }
}

// Samples [first, last), block by block; sums are dW (classes, features), then db (classes).
void add_samples(const LinearClassifier& job, Index first, Index last, Index block, float* losses,
                 float* sums) {
  const Index classes = job.classes, features = job.features;
  float* bias_sums = sums + classes * features;
  Scratch scores(block * classes), slopes(block * classes), g(block);
  for (Index i = 0; i < block; ++i) g[i] = 1.0f / static_cast<float>(job.samples);
  for (Index i = 0; i < (features + 1) * classes; ++i) sums[i] = 0;
  for (Index row = first; row < last; row += block) {
    const Index rows = smaller(block, last - row);
    const float* x = job.x + row * features;
    matrix_product({x, features, 1}, {job.weight, 1, features}, job.bias, false, scores, rows,
                   classes, features, 1);
    losses_and_slopes(job, scores, job.target + row, g, losses + row, slopes, rows);
    add_matrix_product({slopes, 1, classes}, {x, features, 1}, sums, classes, features, rows);
    for (Index c = 0; c < classes; ++c) {
      double sum = 0;
      for (Index i = 0; i < rows; ++i) sum += static_cast<double>(slopes[i * classes + c]);
      bias_sums[c] += static_cast<float>(sum);
    }
  }
}

}  // namespace

void linear_classifier(const LinearClassifier& job, float* losses, float* dweight, float* dbias,
                       int threads) {
  const Index weights = job.classes * job.features, size = weights + job.classes;
  const Index block = larger(floats_of_a_block / job.features, Index{16});
  const Index blocks = ceil_div(job.samples, block), tasks = smaller(blocks, most_tasks);
  Scratch memory(tasks * size);
  float* sums = memory;
  parallel_for(threads, static_cast<std::size_t>(tasks), [&](std::size_t task) {
    const Index t = static_cast<Index>(task);
    add_samples(job, blocks * t / tasks * block,
                smaller(job.samples, blocks * (t + 1) / tasks * block), block, losses,
                sums + t * size);
  });
  parallel_ranges(threads, size, pass_grain, [=](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      float sum = 0;
      for (Index t = 0; t < tasks; ++t) sum += sums[t * size + i];
      (i < weights ? dweight[i] : dbias[i - weights]) = sum;
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
