#include "bindings.hpp"

namespace chainrule {
namespace {

// Channels are the last axis of the shape; all others count as rows.
template <class Array>
Rows rows_of(const Array& x, std::size_t run = 1) {
  require(x.ndim() >= 2 && x.shape(x.ndim() - 1) > 0, "norm: x needs rows and channels");
  const std::size_t channels = x.shape(x.ndim() - 1);
  return {static_cast<std::ptrdiff_t>(x.size() / channels), static_cast<std::ptrdiff_t>(channels),
          static_cast<std::ptrdiff_t>(run)};
}

// As fit(), but images that are large enough are left in channels-first memory, and the others
// brought into it. No rows: what is left to reference.
template <class... Arrays>
Rows fit_in_one_order(int threads, const ChannelsLast& x, const Arrays&... others) {
  if (!(x.fits() && ... && others.fits()) || x.size() == 0) return {};
  if (const std::size_t pixels = x.pixels_of_large_planes()) {
    x.bring_into_c_order(threads);
    (others.bring_into_c_order(threads), ...);
    return rows_of(x, pixels);
  }
  fit(threads, x, others...);
  return rows_of(x);
}

template <class Array, class... Arrays>
void require_like(const Array& x, const Arrays&... arrays) {
  require((same_shape(x, arrays) && ...), "norm: shapes disagree");
}

template <class... Vectors>
void require_vectors(const Rows& rows, const Vectors&... vectors) {
  require(((static_cast<std::ptrdiff_t>(vectors.size()) == rows.channels) && ...),
          "norm: a vector has not one value for each channel");
}

// A new vector of one value for each channel.
New<float> for_channels(const Rows& rows) {
  return in_c_order({static_cast<std::size_t>(rows.channels)});
}

Normalisation normalisation_of(const Rows& rows, const Vector& mean, const Vector& var,
                               const Vector& weight, const Vector& bias, float eps) {
  require_vectors(rows, mean, var);
  const std::size_t channels = static_cast<std::size_t>(rows.channels);
  return {mean.data(), var.data(), data_or_null(weight, channels, "norm: weight and x disagree"),
          data_or_null(bias, channels, "norm: bias and x disagree"), eps};
}

// The address of an array like x, or null.
const float* like_or_null(const ChannelsLast& x, const ChannelsLast& array) {
  if (array) require_like(x, array);
  return array.data();
}

// Room for the gradients of x, weight and bias.
struct NormResults {
  template <class Array>
  NormResults(const Array& x, const Rows& rows)
      : dx(like(x)), dweight(for_channels(rows)), dbias(for_channels(rows)) {}
  NormGradients data() const { return {dx.data(), dweight.data(), dbias.data()}; }
  nb::object objects() const {
    return nb::make_tuple(dx.object(), dweight.object(), dbias.object());
  }

  New<float> dx, dweight, dbias;
};

nb::object moments(const ChannelsLast& x, int threads) {
  const Rows rows = fit_in_one_order(threads, x);
  if (!rows.rows) return nb::none();
  const New<float> mean = for_channels(rows), var = for_channels(rows);
  run([&] { active().moments(rows, x.data(), mean.data(), var.data(), threads); });
  return nb::make_tuple(mean.object(), var.object());
}

nb::object normalise(const ChannelsLast& x, const Vector& mean, const Vector& var,
                     const Vector& weight, const Vector& bias, float eps, const ChannelsLast& add,
                     bool relu, int threads) {
  const Rows rows = fit_in_one_order(threads, x, add);
  if (!rows.rows) return nb::none();
  const Normalisation norm = normalisation_of(rows, mean, var, weight, bias, eps);
  const float* other = like_or_null(x, add);
  const New<float> y = like(x);
  run([&] { active().normalise(rows, norm, x.data(), other, relu, y.data(), threads); });
  return y.object();
}

nb::object scale_shift(const ChannelsLast& x, const Contiguous& scale, const Contiguous& shift,
                       const ChannelsLast& add, bool relu, int threads) {
  if (!fit(threads, scale, shift)) return nb::none();
  const Rows rows = fit_in_one_order(threads, x, add);
  if (!rows.rows) return nb::none();
  require_vectors(rows, scale, shift);
  const float* other = like_or_null(x, add);
  const New<float> y = like(x);
  run([&] {
    active().scale_shift(rows, x.data(), scale.data(), shift.data(), other, relu, y.data(),
                         threads);
  });
  return y.object();
}

nb::object scale_and_shift(const Contiguous& mean, const Contiguous& var, const Contiguous& weight,
                           const Contiguous& bias, float eps) {
  if (!fit(1, mean, var, weight, bias)) return nb::none();
  const std::size_t channels = mean.size();
  require(mean.ndim() == 1 && same_shape(mean, var), "norm: mean and var disagree");
  const Normalisation norm{mean.data(), var.data(),
                           data_or_null(weight, channels, "norm: weight and mean disagree"),
                           data_or_null(bias, channels, "norm: bias and mean disagree"), eps};
  const New<float> scale = in_c_order({channels}), shift = in_c_order({channels}),
                   inverse = in_c_order({channels});
  active().scale_and_shift(norm, static_cast<std::ptrdiff_t>(channels), scale.data(),
                           shift.data(), inverse.data());
  return nb::make_tuple(scale.object(), shift.object(), inverse.object());
}

nb::object batch_norm_backward(const ChannelsLast& g, const ChannelsLast& x, const Vector& weight,
                               const Vector& mean, const Vector& var, float eps, int threads) {
  const Rows rows = fit_in_one_order(threads, x, g);
  if (!rows.rows) return nb::none();
  require_like(x, g);
  const Normalisation norm = normalisation_of(rows, mean, var, weight, {}, eps);
  const NormResults results(x, rows);
  run([&] {
    active().batch_norm_backward(rows, norm, g.data(), x.data(), results.data(), threads);
  });
  return results.objects();
}

nb::object batch_norm_relu_backward(const ChannelsLast& g, const ChannelsLast& x,
                                    const Vector& weight, const Vector& bias, const Vector& mean,
                                    const Vector& var, float eps, int threads) {
  const Rows rows = fit_in_one_order(threads, x, g);
  if (!rows.rows) return nb::none();
  require_like(x, g);
  const Normalisation norm = normalisation_of(rows, mean, var, weight, bias, eps);
  const NormResults results(x, rows);
  run([&] {
    active().batch_norm_relu_backward(rows, norm, g.data(), x.data(), results.data(), threads);
  });
  return results.objects();
}

nb::object batch_norm_add_relu_backward(const ChannelsLast& g, const ChannelsLast& y,
                                        const ChannelsLast& x, const Vector& weight,
                                        const Vector& mean, const Vector& var, float eps,
                                        int threads) {
  const Rows rows = fit_in_one_order(threads, x, g, y);
  if (!rows.rows) return nb::none();
  require_like(x, g, y);
  const Normalisation norm = normalisation_of(rows, mean, var, weight, {}, eps);
  const NormResults results(x, rows);
  const New<float> masked = like(x);
  run([&] {
    active().batch_norm_add_relu_backward(rows, norm, g.data(), y.data(), x.data(),
                                          results.data(), masked.data(), threads);
  });
  return nb::make_tuple(results.dx.object(), results.dweight.object(), results.dbias.object(),
                        masked.object());
}

nb::object channel_sum(const ChannelsLast& g, int threads) {
  const Rows rows = fit_in_one_order(threads, g);
  if (!rows.rows) return nb::none();
  const New<float> sum = for_channels(rows);
  run([&] { active().channel_sum(rows, g.data(), sum.data(), threads); });
  return sum.object();
}

nb::object relu_bias_backward(const ChannelsLast& g, const ChannelsLast& y, int threads) {
  const Rows rows = fit_in_one_order(threads, g, y);
  if (!rows.rows) return nb::none();
  require_like(g, y);
  const New<float> masked = like(g), dbias = for_channels(rows);
  run([&] {
    active().relu_bias_backward(rows, g.data(), y.data(), masked.data(), dbias.data(), threads);
  });
  return nb::make_tuple(masked.object(), dbias.object());
}

nb::object prelu(const ChannelsLast& x, const Vector& weight, int threads) {
  const Rows rows = fit_in_one_order(threads, x);
  if (!rows.rows) return nb::none();
  require_vectors(rows, weight);
  const New<float> y = like(x);
  run([&] { active().prelu(rows, x.data(), weight.data(), y.data(), threads); });
  return y.object();
}

nb::object prelu_backward(const ChannelsLast& g, const ChannelsLast& x, const Vector& weight,
                          int threads) {
  const Rows rows = fit_in_one_order(threads, x, g);
  if (!rows.rows) return nb::none();
  require_like(x, g);
  require_vectors(rows, weight);
  const New<float> dx = like(x), dweight = for_channels(rows);
  run([&] {
    active().prelu_backward(rows, g.data(), x.data(), weight.data(), dx.data(), dweight.data(),
                            threads);
  });
  return nb::make_tuple(dx.object(), dweight.object());
}

nb::object layer_norm(const Contiguous& x, const Vector& weight, const Vector& bias, float eps,
                      int threads) {
  if (!fit(threads, x) || x.size() == 0) return nb::none();
  require(x.ndim() == 2, "layer_norm: needs rows");
  const Rows rows = rows_of(x);
  const std::size_t columns = x.shape(1);
  const float* scales = data_or_null(weight, columns, "layer_norm: weight and x disagree");
  const float* shifts = data_or_null(bias, columns, "layer_norm: bias and x disagree");
  const New<float> y = like(x), mean = in_c_order({x.shape(0)}), var = in_c_order({x.shape(0)});
  run([&] {
    active().layer_norm(rows, x.data(), scales, shifts, eps, y.data(), mean.data(), var.data(),
                        threads);
  });
  return nb::make_tuple(y.object(), mean.object(), var.object());
}

nb::object layer_norm_backward(const Contiguous& g, const Contiguous& x, const Vector& weight,
                               const Vector& mean, const Vector& var, float eps, int threads) {
  if (!fit(threads, g, x) || x.size() == 0) return nb::none();
  require(x.ndim() == 2, "layer_norm: needs rows");
  require_like(x, g);
  require(mean.size() == x.shape(0) && var.size() == x.shape(0), "layer_norm: mean, var of rows");
  const Rows rows = rows_of(x);
  const float* scales = data_or_null(weight, x.shape(1), "layer_norm: weight and x disagree");
  const NormResults results(x, rows);
  run([&] {
    active().layer_norm_backward(rows, g.data(), x.data(), scales, mean.data(), var.data(), eps,
                                 results.data(), threads);
  });
  return results.objects();
}

nb::object rms_norm(const Contiguous& x, const Vector& weight, float eps, int threads) {
  if (!fit(threads, x) || x.size() == 0) return nb::none();
  require(x.ndim() == 2, "rms_norm: needs rows");
  const Rows rows = rows_of(x);
  const float* scales = data_or_null(weight, x.shape(1), "rms_norm: weight and x disagree");
  const New<float> y = like(x), square = in_c_order({x.shape(0)});
  run([&] { active().rms_norm(rows, x.data(), scales, eps, y.data(), square.data(), threads); });
  return nb::make_tuple(y.object(), square.object());
}

nb::object rms_norm_backward(const Contiguous& g, const Contiguous& x, const Vector& weight,
                             const Vector& square, float eps, int threads) {
  if (!fit(threads, g, x) || x.size() == 0) return nb::none();
  require(x.ndim() == 2, "rms_norm: needs rows");
  require_like(x, g);
  require(square.size() == x.shape(0), "rms_norm: square of rows");
  const Rows rows = rows_of(x);
  const float* scales = data_or_null(weight, x.shape(1), "rms_norm: weight and x disagree");
  const New<float> dx = like(x), dweight = for_channels(rows);
  run([&] {
    active().rms_norm_backward(rows, g.data(), x.data(), scales, square.data(), eps, dx.data(),
                               dweight.data(), threads);
  });
  return nb::make_tuple(dx.object(), dweight.object());
}

Groups groups_of(const ChannelsLast& x, std::size_t groups) {
  const Rows rows = rows_of(x);
  require(groups > 0 && x.shape(x.ndim() - 1) % groups == 0,
          "group_norm: channels do not divide into groups");
  const auto images = static_cast<std::ptrdiff_t>(x.shape(0));
  return {images, images ? rows.rows / images : 0, rows.channels,
          static_cast<std::ptrdiff_t>(groups)};
}

nb::object group_norm(const ChannelsLast& x, std::size_t count, const Vector& weight,
                      const Vector& bias, float eps, int threads) {
  if (!fit(threads, x) || x.size() == 0) return nb::none();
  const Groups groups = groups_of(x, count);
  const auto channels = static_cast<std::size_t>(groups.channels);
  const float* scales = data_or_null(weight, channels, "group_norm: weight and x disagree");
  const float* shifts = data_or_null(bias, channels, "group_norm: bias and x disagree");
  const New<float> y = like(x), mean = in_c_order({x.shape(0), count}),
                   var = in_c_order({x.shape(0), count});
  run([&] {
    active().group_norm(groups, x.data(), scales, shifts, eps, y.data(), mean.data(), var.data(),
                        threads);
  });
  return nb::make_tuple(y.object(), mean.object(), var.object());
}

nb::object group_norm_backward(const ChannelsLast& g, const ChannelsLast& x, const Vector& weight,
                               const Vector& mean, const Vector& var, float eps, int threads) {
  if (!fit(threads, g, x) || x.size() == 0) return nb::none();
  require_like(x, g);
  require(mean.ndim() == 2 && mean.shape(0) == x.shape(0) && same_shape(mean, var),
          "group_norm: mean and var need a value for each group of channels of each image");
  const Groups groups = groups_of(x, mean.shape(1));
  const auto channels = static_cast<std::size_t>(groups.channels);
  const float* scales = data_or_null(weight, channels, "group_norm: weight and x disagree");
  const NormResults results(x, rows_of(x));
  run([&] {
    active().group_norm_backward(groups, g.data(), x.data(), scales, mean.data(), var.data(), eps,
                                 results.data(), threads);
  });
  return results.objects();
}

}  // namespace

void bind_norm(nb::module_& m) {
  m.def("moments", &moments, "x"_a, "threads"_a);
  m.def("normalise", &normalise, "x"_a, "mean"_a, "var"_a, "weight"_a.none(), "bias"_a.none(),
        "eps"_a, "add"_a.none(), "relu"_a, "threads"_a);
  m.def("scale_shift", &scale_shift, "x"_a, "scale"_a, "shift"_a, "add"_a.none(), "relu"_a,
        "threads"_a);
  m.def("scale_and_shift", &scale_and_shift, "mean"_a, "var"_a, "weight"_a.none(),
        "bias"_a.none(), "eps"_a);
  m.def("batch_norm_backward", &batch_norm_backward, "g"_a, "x"_a, "weight"_a.none(), "mean"_a,
        "var"_a, "eps"_a, "threads"_a);
  m.def("batch_norm_relu_backward", &batch_norm_relu_backward, "g"_a, "x"_a, "weight"_a.none(),
        "bias"_a.none(), "mean"_a, "var"_a, "eps"_a, "threads"_a);
  m.def("batch_norm_add_relu_backward", &batch_norm_add_relu_backward, "g"_a, "y"_a, "x"_a,
        "weight"_a.none(), "mean"_a, "var"_a, "eps"_a, "threads"_a);
  m.def("channel_sum", &channel_sum, "g"_a, "threads"_a);
  m.def("relu_bias_backward", &relu_bias_backward, "g"_a, "y"_a, "threads"_a);
  m.def("prelu", &prelu, "x"_a, "weight"_a, "threads"_a);
  m.def("prelu_backward", &prelu_backward, "g"_a, "x"_a, "weight"_a, "threads"_a);
  m.def("layer_norm", &layer_norm, "x"_a, "weight"_a.none(), "bias"_a.none(), "eps"_a,
        "threads"_a);
  m.def("layer_norm_backward", &layer_norm_backward, "g"_a, "x"_a, "weight"_a.none(), "mean"_a,
        "var"_a, "eps"_a, "threads"_a);
  m.def("rms_norm", &rms_norm, "x"_a, "weight"_a.none(), "eps"_a, "threads"_a);
  m.def("rms_norm_backward", &rms_norm_backward, "g"_a, "x"_a, "weight"_a.none(), "square"_a,
        "eps"_a, "threads"_a);
  m.def("group_norm", &group_norm, "x"_a, "groups"_a, "weight"_a.none(), "bias"_a.none(),
        "eps"_a, "threads"_a);
  m.def("group_norm_backward", &group_norm_backward, "g"_a, "x"_a, "weight"_a.none(), "mean"_a,
        "var"_a, "eps"_a, "threads"_a);
}

}  // namespace chainrule
