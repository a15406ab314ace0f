#include "bindings.hpp"

namespace chainrule {
namespace {

// Softmax along the axis that is innermost in memory; all others count as rows.
using Scores = Array<const float, As::strided>;

bool has_classes(const Scores& x, int axis) {
  const int axes = static_cast<int>(x.ndim()), at = axis < 0 ? axis + axes : axis;
  return 0 <= at && at < axes && x.size() > 0 && x.is_innermost(at);
}

Rows rows_of_classes(const Scores& x, int axis) {
  const std::size_t axes = x.ndim(), classes = x.shape(axis < 0 ? axis + axes : axis);
  require(classes <= INT32_MAX, "softmax: too many classes");
  return {static_cast<std::ptrdiff_t>(x.size() / classes), static_cast<std::ptrdiff_t>(classes)};
}

template <auto kernel>
nb::object softmax(const Scores& x, int axis, int threads) {
  if (!fit(x) || !has_classes(x, axis)) return nb::none();
  const Rows rows = rows_of_classes(x, axis);
  const New<float> y = like(x);
  run([&] { (active().*kernel)(x.data(), y.data(), rows.rows, rows.channels, threads); });
  return y.object();
}

template <auto kernel>
nb::object softmax_backward(const Scores& g, const Scores& y, int axis, int threads) {
  if (!fit(g, y) || !same_layout(g, y) || !has_classes(y, axis)) return nb::none();
  const Rows rows = rows_of_classes(y, axis);
  const New<float> dx = like(y);
  run([&] {
    (active().*kernel)(g.data(), y.data(), dx.data(), rows.rows, rows.channels, threads);
  });
  return dx.object();
}

using Target = Array<const std::int64_t, As::vector>;

void check_target(const Target& target, std::size_t rows, std::size_t classes) {
  require(classes <= INT32_MAX, "loss: too many classes");
  require(target.ndim() == 1 && target.size() == rows, "loss: shapes disagree");
  for (std::size_t i = 0; i < rows; ++i)
    require(0 <= target.data()[i] && target.data()[i] < static_cast<std::int64_t>(classes),
            "loss: a target is no class");
}

// scores (N, C), target (N) in [0, C).
Rows rows_of_scores(const Gapless& scores, const Target& target) {
  require(scores.ndim() == 2, "loss: scores need two axes");
  const std::size_t rows = scores.shape(0), classes = scores.shape(1);
  check_target(target, rows, classes);
  return {static_cast<std::ptrdiff_t>(rows), static_cast<std::ptrdiff_t>(classes)};
}

nb::object cross_entropy(const Gapless& logits, const Target& target, int threads) {
  if (!fit(logits) || logits.size() == 0) return nb::none();
  const Rows rows = rows_of_scores(logits, target);
  const New<float> loss = in_c_order({logits.shape(0)}), log_probs = like(logits);
  run([&] {
    active().cross_entropy(logits.data(), target.data(), loss.data(), log_probs.data(),
                           rows.rows, rows.channels, threads);
  });
  return nb::make_tuple(loss.object(), log_probs.object());
}

nb::object cross_entropy_backward(const Contiguous& g, const Gapless& log_probs,
                                  const Target& target, int threads) {
  if (!fit(threads, g, log_probs) || log_probs.size() == 0) return nb::none();
  const Rows rows = rows_of_scores(log_probs, target);
  require(g.size() == target.size(), "loss: shapes disagree");
  const New<float> dlogits = like(log_probs);
  run([&] {
    active().cross_entropy_backward(g.data(), log_probs.data(), target.data(), dlogits.data(),
                                    rows.rows, rows.channels, threads);
  });
  return dlogits.object();
}

template <auto kernel>
nb::object hinge_loss(const Gapless& scores, const Target& target, double p, float margin,
                             int threads) {
  if (!fit(scores) || scores.size() == 0 || (p != 1 && p != 2)) return nb::none();
  const Rows rows = rows_of_scores(scores, target);
  const New<float> loss = in_c_order({scores.shape(0)});
  run([&] {
    (active().*kernel)(scores.data(), target.data(), p == 2, margin, loss.data(),
                               rows.rows, rows.channels, threads);
  });
  return loss.object();
}

template <auto kernel>
nb::object hinge_loss_backward(const Contiguous& g, const Gapless& scores,
                                      const Target& target, double p, float margin, int threads) {
  if (!fit(threads, g, scores) || scores.size() == 0 || (p != 1 && p != 2)) return nb::none();
  const Rows rows = rows_of_scores(scores, target);
  require(g.size() == target.size(), "loss: shapes disagree");
  const New<float> dscores = like(scores);
  run([&] {
    (active().*kernel)(g.data(), scores.data(), target.data(), p == 2, margin,
                                        dscores.data(), rows.rows, rows.channels, threads);
  });
  return dscores.object();
}

nb::object linear_classifier(const Contiguous& x, const Contiguous& weight, const Vector& bias,
                             const Target& target, int loss, double p, float margin,
                             int threads) {
  if (!fit(threads, x, weight) || x.size() == 0 || weight.size() == 0 || (p != 1 && p != 2))
    return nb::none();
  require(x.ndim() == 2 && weight.ndim() == 2 && x.shape(1) == weight.shape(1),
          "linear_classifier: shapes disagree");
  require(0 <= loss && loss < 4, "linear_classifier: there is no such loss");
  const std::size_t samples = x.shape(0), classes = weight.shape(0);
  const float* shifts =
      data_or_null(bias, classes, "linear_classifier: bias and weight disagree");
  check_target(target, samples, classes);
  const LinearClassifier job = {
      .x = x.data(),
      .weight = weight.data(),
      .bias = shifts,
      .target = target.data(),
      .loss = static_cast<ScoreLoss>(loss),
      .squared = p == 2,
      .margin = margin,
      .samples = static_cast<std::ptrdiff_t>(samples),
      .features = static_cast<std::ptrdiff_t>(x.shape(1)),
      .classes = static_cast<std::ptrdiff_t>(classes),
  };
  const New<float> losses = in_c_order({samples}), dbias = in_c_order({classes}),
                   dweight = in_c_order({classes, x.shape(1)});
  run([&] {
    active().linear_classifier(job, losses.data(), dweight.data(), dbias.data(), threads);
  });
  return nb::make_tuple(losses.object(), dweight.object(), dbias.object());
}

// Of x and t that lie alike in memory.
nb::object huber_sum(const Gapless& x, const Gapless& t, float delta, int threads) {
  if (!fit(x, t) || !same_layout(x, t) || x.size() == 0) return nb::none();
  const New<float> sum = in_c_order({});
  run([&] {
    sum.data()[0] = static_cast<float>(
        active().huber_sum(x.data(), t.data(), x.size(), delta, threads));
  });
  return sum.object();
}

nb::object huber_sum_backward(const Gapless& x, const Gapless& t, float delta, float scale,
                              int threads) {
  if (!fit(x, t) || !same_layout(x, t)) return nb::none();
  const New<float> dx = like(x);
  run([&] {
    active().huber_sum_backward(x.data(), t.data(), dx.data(), x.size(), delta, scale, threads);
  });
  return dx.object();
}

template <auto kernel, auto backward>
void bind_hinge(nb::module_& m, const char* name, const char* backward_name) {
  m.def(name, &hinge_loss<kernel>, "scores"_a, "target"_a, "p"_a, "margin"_a, "threads"_a);
  m.def(backward_name, &hinge_loss_backward<backward>, "g"_a, "scores"_a, "target"_a, "p"_a,
        "margin"_a, "threads"_a);
}

}  // namespace

void bind_loss(nb::module_& m) {
  m.def("softmax", &softmax<&Kernels::softmax>, "x"_a, "axis"_a, "threads"_a);
  m.def("softmax_backward", &softmax_backward<&Kernels::softmax_backward>, "g"_a, "y"_a, "axis"_a,
        "threads"_a);
  m.def("log_softmax", &softmax<&Kernels::log_softmax>, "x"_a, "axis"_a, "threads"_a);
  m.def("log_softmax_backward", &softmax_backward<&Kernels::log_softmax_backward>, "g"_a, "y"_a,
        "axis"_a, "threads"_a);
  m.def("cross_entropy", &cross_entropy, "logits"_a, "target"_a, "threads"_a);
  m.def("cross_entropy_backward", &cross_entropy_backward, "g"_a, "log_probs"_a, "target"_a,
        "threads"_a);
  bind_hinge<&Kernels::multi_margin_loss, &Kernels::multi_margin_loss_backward>(
      m, "multi_margin_loss", "multi_margin_loss_backward");
  bind_hinge<&Kernels::crammer_singer_loss, &Kernels::crammer_singer_loss_backward>(
      m, "crammer_singer_loss", "crammer_singer_loss_backward");
  bind_hinge<&Kernels::one_vs_all_loss, &Kernels::one_vs_all_loss_backward>(
      m, "one_vs_all_loss", "one_vs_all_loss_backward");
  m.def("linear_classifier", &linear_classifier, "x"_a, "weight"_a, "bias"_a.none(), "target"_a,
        "loss"_a, "p"_a, "margin"_a, "threads"_a);
  m.def("huber_sum", &huber_sum, "x"_a, "t"_a, "delta"_a, "threads"_a);
  m.def("huber_sum_backward", &huber_sum_backward, "x"_a, "t"_a, "delta"_a, "scale"_a,
        "threads"_a);
}

}  // namespace chainrule
