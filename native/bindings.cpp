// The only file, with arrays.hpp, that knows Python. Functions take arrays as the contract has
// them, make the result, and return None for what reference does.
#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include "arrays.hpp"
#include "dispatch.hpp"
#include "memory.hpp"

using namespace nanobind::literals;
using namespace chainrule;

namespace {

using Input = Array<const float, As::exact>;
using Gapless = Array<const float, As::gapless>;
using Contiguous = Array<const float, As::contiguous>;
using ChannelsLast = Array<const float, As::channels_last>;
using Vector = Array<const float, As::vector>;
using ReleaseGil = nb::call_guard<nb::gil_scoped_release>;

// The Python side never sends disagreeing shapes; out-of-bounds memory is not worth the trust.
void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

template <class A, class B>
bool same_shape(const A& a, const B& b) {
  if (a.ndim() != b.ndim()) return false;
  for (std::size_t i = 0; i < a.ndim(); ++i)
    if (a.shape(i) != b.shape(i)) return false;
  return true;
}

// Whether the same elements stand at the same places of memory.
template <class A, class B>
bool same_layout(const A& a, const B& b) {
  if (!same_shape(a, b)) return false;
  for (std::size_t i = 0; i < a.ndim(); ++i)
    if (a.shape(i) > 1 && a.stride(static_cast<int>(i)) != b.stride(static_cast<int>(i)))
      return false;
  return true;
}

// Runs a kernel with other Python threads at work.
template <class Kernel>
void run(Kernel kernel) {
  nb::gil_scoped_release release;
  kernel();
}

nb::object empty(const std::vector<std::size_t>& shape) {
  const std::vector<npy_intp> sizes(shape.begin(), shape.end());
  return New<float>(static_cast<int>(sizes.size()), sizes.data(), nullptr).object();
}

// A function of each element, and the gradient of one from its result.
template <auto kernel>
nb::object gate(const Gapless& x, int threads) {
  if (!fit(x)) return nb::none();
  const New<float> y = like(x);
  run([&] { (active().*kernel)(x.data(), y.data(), x.size(), threads); });
  return y.object();
}

template <auto kernel>
nb::object gate_backward(const Gapless& g, const Gapless& y, int threads) {
  if (!fit(g, y) || !same_layout(g, y)) return nb::none();
  const New<float> dx = like(y);
  run([&] { (active().*kernel)(g.data(), y.data(), dx.data(), y.size(), threads); });
  return dx.object();
}

// The values' address, or null; `size` of them.
template <class Values>
const float* data_or_null(const Values& values, std::size_t size, const char* what) {
  require(!values || values.size() == size, what);
  return values.data();
}

using Pair = std::pair<std::ptrdiff_t, std::ptrdiff_t>;
using Shape = std::array<std::size_t, 4>;

template <class Array>
Shape shape_of(const Array& array) {
  require(array.ndim() == 4, "conv2d: needs 4 axes");
  return {array.shape(0), array.shape(1), array.shape(2), array.shape(3)};
}

// Of (N, C, H, W): (N, H, W, C).
Shape in_memory(const Shape& images) { return {images[0], images[2], images[3], images[1]}; }

// Positions of a window along an axis.
std::ptrdiff_t positions(std::size_t pixels, std::size_t kernel, std::ptrdiff_t stride,
                         std::ptrdiff_t padding, std::ptrdiff_t dilation) {
  require(stride > 0 && dilation > 0 && padding >= 0,
          "conv2d: stride and dilation are at least 1, padding at least 0");
  const std::ptrdiff_t span = static_cast<std::ptrdiff_t>(pixels) + 2 * padding -
                              dilation * (static_cast<std::ptrdiff_t>(kernel) - 1) - 1;
  return span < 0 ? 0 : span / stride + 1;
}

// images is (N, H, W, C), weight (O, C/groups, KH, KW).
Convolution convolution_of(const Shape& images, const Shape& weight, Pair stride, Pair padding,
                           Pair dilation, std::ptrdiff_t groups) {
  const auto size = [](std::size_t n) { return static_cast<std::ptrdiff_t>(n); };
  Convolution c{
      .images = size(images[0]), .channels = size(images[3]),
      .height = size(images[1]), .width = size(images[2]),
      .outputs = size(weight[0]),
      .kernel_height = size(weight[2]), .kernel_width = size(weight[3]),
      .out_height = positions(images[1], weight[2], stride.first, padding.first, dilation.first),
      .out_width =
          positions(images[2], weight[3], stride.second, padding.second, dilation.second),
      .stride_height = stride.first, .stride_width = stride.second,
      .padding_height = padding.first, .padding_width = padding.second,
      .dilation_height = dilation.first, .dilation_width = dilation.second,
      .groups = groups,
      .winograd = winograd(),
  };
  require(groups > 0 && c.channels % groups == 0 && c.outputs % groups == 0,
          "conv2d: channels do not divide into groups");
  require(size(weight[1]) == c.channels / groups, "conv2d: shapes disagree");
  return c;
}

// Whether g is a result of the convolution.
void require_result(const Convolution& c, const Shape& g) {
  const auto is = [](std::size_t a, std::ptrdiff_t b) { return a == static_cast<std::size_t>(b); };
  require(is(g[0], c.images) && is(g[1], c.out_height) && is(g[2], c.out_width) &&
              is(g[3], c.outputs),
          "conv2d: shapes disagree");
}

void choose_winograd_tile(int most_tile, bool everywhere) {
  require(most_tile == 0 || most_tile == 2 || most_tile == 4,
          "choose_winograd: squares have 2x2 or 4x4 outputs; 0 for none");
  choose_winograd({most_tile, everywhere});
}

// The result, as images (N, C, H, W).
New<float> convolve(const Convolution& c, const ChannelsLast& x, const Contiguous& weight,
                    const Vector& bias, const Epilogue& epilogue, int threads) {
  const auto outputs = static_cast<std::size_t>(c.outputs);
  const float* shifts = data_or_null(bias, outputs, "conv2d: bias and weight disagree");
  const New<float> y = images(x.shape(0), static_cast<std::size_t>(c.out_height),
                              static_cast<std::size_t>(c.out_width), outputs);
  run([&] {
    active().conv2d(c, x.data(), weight.data(), shifts, epilogue, y.data(), threads);
  });
  return y;
}

nb::object conv2d(const ChannelsLast& x, const Contiguous& weight, const Vector& bias,
                  Pair stride, Pair padding, Pair dilation, std::ptrdiff_t groups,
                  const Vector& scale, const Vector& shift, const ChannelsLast& add, bool relu,
                  int threads) {
  if (!fit(x, weight, add)) return nb::none();
  const Convolution c =
      convolution_of(shape_of(x), shape_of(weight), stride, padding, dilation, groups);
  require(bool{scale} == bool{shift}, "conv2d: scale and shift come together");
  if (add) require_result(c, shape_of(add));
  const std::size_t outputs = weight.shape(0);
  const Epilogue epilogue{data_or_null(scale, outputs, "conv2d: scale and weight disagree"),
                          data_or_null(shift, outputs, "conv2d: shift and weight disagree"),
                          add.data(), relu, nullptr, nullptr};
  return convolve(c, x, weight, bias, epilogue, threads).object();
}

nb::object conv2d_moments(const ChannelsLast& x, const Contiguous& weight, const Vector& bias,
                          Pair stride, Pair padding, Pair dilation, std::ptrdiff_t groups,
                          int threads) {
  if (!fit(x, weight) || x.size() == 0) return nb::none();
  const Convolution c =
      convolution_of(shape_of(x), shape_of(weight), stride, padding, dilation, groups);
  const New<float> mean = in_c_order({weight.shape(0)}), var = in_c_order({weight.shape(0)});
  const Epilogue epilogue{nullptr, nullptr, nullptr, false, mean.data(), var.data()};
  const New<float> y = convolve(c, x, weight, bias, epilogue, threads);
  return nb::make_tuple(y.object(), mean.object(), var.object());
}

nb::object conv2d_input_grad(const ChannelsLast& g, const Contiguous& weight,
                             const Shape& x_shape, Pair stride, Pair padding, Pair dilation,
                             std::ptrdiff_t groups, int threads) {
  if (!fit(g, weight)) return nb::none();
  const Shape x = in_memory(x_shape);
  const Convolution c = convolution_of(x, shape_of(weight), stride, padding, dilation, groups);
  require_result(c, shape_of(g));
  const New<float> dx = images(x[0], x[1], x[2], x[3]);
  run([&] { active().conv2d_input_grad(c, g.data(), weight.data(), dx.data(), threads); });
  return dx.object();
}

nb::object conv2d_weight_grad(const ChannelsLast& g, const ChannelsLast& x,
                              const Shape& weight_shape, Pair stride, Pair padding, Pair dilation,
                              std::ptrdiff_t groups, int threads) {
  if (!fit(g, x)) return nb::none();
  const Convolution c =
      convolution_of(shape_of(x), weight_shape, stride, padding, dilation, groups);
  require_result(c, shape_of(g));
  const New<float> dw =
      in_c_order({weight_shape[0], weight_shape[1], weight_shape[2], weight_shape[3]});
  run([&] { active().conv2d_weight_grad(c, g.data(), x.data(), dw.data(), threads); });
  return dw.object();
}

// Matrices at any steps, so that a transpose needs no copy.
using Matrix = Array<const float, As::strided>;

nb::object linear(const Matrix& x, const Matrix& weight, const Vector& bias, bool relu,
                  int threads) {
  if (!fit(x, weight)) return nb::none();
  require(x.ndim() == 2 && weight.ndim() == 2 && x.shape(1) == weight.shape(1),
          "linear: shapes disagree");
  const float* shifts =
      data_or_null(bias, weight.shape(0), "linear: bias and weight disagree");
  const New<float> y = in_c_order({x.shape(0), weight.shape(0)});
  run([&] {
    active().matrix_product({x.data(), x.stride(0), x.stride(1)},
                            {weight.data(), weight.stride(1), weight.stride(0)}, shifts, relu,
                            y.data(), x.shape(0), weight.shape(0), x.shape(1), threads);
  });
  return y.object();
}

// Channels are the last axis in memory; all others count as rows.
template <class Array>
Rows rows_of(const Array& x) {
  require(x.ndim() >= 2 && x.shape(x.ndim() - 1) > 0, "norm: x needs rows and channels");
  const std::size_t channels = x.shape(x.ndim() - 1);
  return {static_cast<std::ptrdiff_t>(x.size() / channels), static_cast<std::ptrdiff_t>(channels)};
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
  if (!fit(x) || x.size() == 0) return nb::none();
  const Rows rows = rows_of(x);
  const New<float> mean = for_channels(rows), var = for_channels(rows);
  run([&] { active().moments(rows, x.data(), mean.data(), var.data(), threads); });
  return nb::make_tuple(mean.object(), var.object());
}

nb::object normalise(const ChannelsLast& x, const Vector& mean, const Vector& var,
                     const Vector& weight, const Vector& bias, float eps, const ChannelsLast& add,
                     bool relu, int threads) {
  if (!fit(x, add) || x.size() == 0) return nb::none();
  const Rows rows = rows_of(x);
  const Normalisation norm = normalisation_of(rows, mean, var, weight, bias, eps);
  const float* other = like_or_null(x, add);
  const New<float> y = like(x);
  run([&] { active().normalise(rows, norm, x.data(), other, relu, y.data(), threads); });
  return y.object();
}

nb::object scale_shift(const ChannelsLast& x, const Contiguous& scale, const Contiguous& shift,
                       const ChannelsLast& add, bool relu, int threads) {
  if (!fit(x, scale, shift, add) || x.size() == 0) return nb::none();
  const Rows rows = rows_of(x);
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
  if (!fit(mean, var, weight, bias)) return nb::none();
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
  if (!fit(g, x) || x.size() == 0) return nb::none();
  require_like(x, g);
  const Rows rows = rows_of(x);
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
  if (!fit(g, x) || x.size() == 0) return nb::none();
  require_like(x, g);
  const Rows rows = rows_of(x);
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
  if (!fit(g, y, x) || x.size() == 0) return nb::none();
  require_like(x, g, y);
  const Rows rows = rows_of(x);
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
  if (!fit(g) || g.size() == 0) return nb::none();
  const Rows rows = rows_of(g);
  const New<float> sum = for_channels(rows);
  run([&] { active().channel_sum(rows, g.data(), sum.data(), threads); });
  return sum.object();
}

nb::object relu_bias_backward(const ChannelsLast& g, const ChannelsLast& y, int threads) {
  if (!fit(g, y) || g.size() == 0) return nb::none();
  require_like(g, y);
  const Rows rows = rows_of(g);
  const New<float> masked = like(g), dbias = for_channels(rows);
  run([&] {
    active().relu_bias_backward(rows, g.data(), y.data(), masked.data(), dbias.data(), threads);
  });
  return nb::make_tuple(masked.object(), dbias.object());
}

nb::object layer_norm(const Contiguous& x, const Vector& weight, const Vector& bias, float eps,
                      int threads) {
  if (!fit(x) || x.size() == 0) return nb::none();
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
  if (!fit(g, x) || x.size() == 0) return nb::none();
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
  if (!fit(x) || x.size() == 0) return nb::none();
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
  if (!fit(g, x) || x.size() == 0) return nb::none();
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

using Taps = Array<const std::uint8_t, As::channels_last>;

// images is (N, H, W, C), out (N, OH, OW, C).
Pool pool_of(const Shape& images, const Shape& out, Pair kernel, Pair stride, Pair padding,
             Pair dilation) {
  require(images[0] == out[0] && images[3] == out[3], "max_pool2d: shapes disagree");
  require(kernel.first > 0 && kernel.second > 0 && kernel.first * kernel.second <= 256,
          "max_pool2d: a window has 1 to 256 taps");
  require(stride.first > 0 && stride.second > 0 && dilation.first > 0 && dilation.second > 0,
          "max_pool2d: stride and dilation are at least 1");
  const auto size = [](std::size_t n) { return static_cast<std::ptrdiff_t>(n); };
  return {
      .images = size(images[0]), .channels = size(images[3]),
      .height = size(images[1]), .width = size(images[2]),
      .out_height = size(out[1]), .out_width = size(out[2]),
      .kernel_height = kernel.first, .kernel_width = kernel.second,
      .stride_height = stride.first, .stride_width = stride.second,
      .padding_height = padding.first, .padding_width = padding.second,
      .dilation_height = dilation.first, .dilation_width = dilation.second,
  };
}

// As pool_output_size in src/chainrule/kernels/geometry.py.
std::size_t pool_positions(std::size_t pixels, std::ptrdiff_t kernel, std::ptrdiff_t stride,
                           std::ptrdiff_t padding, std::ptrdiff_t dilation, bool ceil_mode) {
  require(kernel > 0 && stride > 0 && padding >= 0 && dilation > 0,
          "max_pool2d: kernel, stride and dilation are at least 1, padding at least 0");
  const auto size = static_cast<std::ptrdiff_t>(pixels);
  const std::ptrdiff_t span = size + 2 * padding - dilation * (kernel - 1) - 1;
  require(span >= 0, "max_pool2d: the window is larger than the padded image");
  if (!ceil_mode) return static_cast<std::size_t>(span / stride + 1);
  const std::ptrdiff_t count = (span + stride - 1) / stride + 1;
  return static_cast<std::size_t>((count - 1) * stride >= size + padding ? count - 1 : count);
}

nb::object max_pool2d(const ChannelsLast& x, Pair kernel, Pair stride, Pair padding,
                      Pair dilation, bool ceil_mode, int threads) {
  if (!fit(x) || kernel.first * kernel.second > 256) return nb::none();
  const Shape from = shape_of(x);
  const Shape to{from[0],
                 pool_positions(from[1], kernel.first, stride.first, padding.first,
                                dilation.first, ceil_mode),
                 pool_positions(from[2], kernel.second, stride.second, padding.second,
                                dilation.second, ceil_mode),
                 from[3]};
  const Pool p = pool_of(from, to, kernel, stride, padding, dilation);
  const New<float> y = images(to[0], to[1], to[2], to[3]);
  const New<std::uint8_t> index = images<std::uint8_t>(to[0], to[1], to[2], to[3]);
  run([&] { active().max_pool2d(p, x.data(), y.data(), index.data(), threads); });
  return nb::make_tuple(y.object(), index.object());
}

nb::object max_pool2d_backward(const ChannelsLast& g, const Taps& index, const Shape& x_shape,
                               Pair kernel, Pair stride, Pair padding, Pair dilation,
                               int threads) {
  if (!fit(g, index)) return nb::none();
  require(same_shape(g, index), "max_pool2d: shapes disagree");
  const Shape x = in_memory(x_shape);
  const Pool p = pool_of(x, shape_of(g), kernel, stride, padding, dilation);
  const New<float> dx = images(x[0], x[1], x[2], x[3]);
  run([&] { active().max_pool2d_backward(p, g.data(), index.data(), dx.data(), threads); });
  return dx.object();
}

nb::object add(const Gapless& a, const Gapless& b, int threads) {
  if (!fit(a, b) || !same_layout(a, b)) return nb::none();
  const New<float> y = like(a);
  run([&] { active().add(a.data(), b.data(), y.data(), a.size(), threads); });
  return y.object();
}

bool accumulate(const Array<float, As::gapless>& a, const Gapless& b, int threads) {
  if (!fit(a, b) || !same_layout(a, b)) return false;
  run([&] { active().add(a.data(), b.data(), a.data(), a.size(), threads); });
  return true;
}

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

// scores (N, C), target (N) in [0, C).
Rows rows_of_scores(const Gapless& scores, const Target& target) {
  require(scores.ndim() == 2, "loss: scores need two axes");
  const std::size_t rows = scores.shape(0), classes = scores.shape(1);
  require(classes <= INT32_MAX, "loss: too many classes");
  require(target.ndim() == 1 && target.size() == rows, "loss: shapes disagree");
  for (std::size_t i = 0; i < rows; ++i)
    require(0 <= target.data()[i] && target.data()[i] < static_cast<std::int64_t>(classes),
            "loss: a target is no class");
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
  if (!fit(g, log_probs) || log_probs.size() == 0) return nb::none();
  const Rows rows = rows_of_scores(log_probs, target);
  require(g.size() == target.size(), "loss: shapes disagree");
  const New<float> dlogits = like(log_probs);
  run([&] {
    active().cross_entropy_backward(g.data(), log_probs.data(), target.data(), dlogits.data(),
                                    rows.rows, rows.channels, threads);
  });
  return dlogits.object();
}

nb::object multi_margin_loss(const Gapless& scores, const Target& target, double p, float margin,
                             int threads) {
  if (!fit(scores) || scores.size() == 0 || (p != 1 && p != 2)) return nb::none();
  const Rows rows = rows_of_scores(scores, target);
  const New<float> loss = in_c_order({scores.shape(0)});
  run([&] {
    active().multi_margin_loss(scores.data(), target.data(), p == 2, margin, loss.data(),
                               rows.rows, rows.channels, threads);
  });
  return loss.object();
}

nb::object multi_margin_loss_backward(const Contiguous& g, const Gapless& scores,
                                      const Target& target, double p, float margin, int threads) {
  if (!fit(g, scores) || scores.size() == 0 || (p != 1 && p != 2)) return nb::none();
  const Rows rows = rows_of_scores(scores, target);
  require(g.size() == target.size(), "loss: shapes disagree");
  const New<float> dscores = like(scores);
  run([&] {
    active().multi_margin_loss_backward(g.data(), scores.data(), target.data(), p == 2, margin,
                                        dscores.data(), rows.rows, rows.channels, threads);
  });
  return dscores.object();
}

template <class Array>
nb::object drop(const Array& x, double p, std::uint64_t key, int threads) {
  if (!fit(x)) return nb::none();
  require(0 <= p && p < 1, "dropout: p is a probability below 1");
  const auto threshold = static_cast<std::uint32_t>(p * 0x1p32);
  const auto scale = static_cast<float>(1 / (1 - p));
  const New<float> y = like(x);
  run([&] { active().dropout(x.data(), y.data(), x.size(), threshold, scale, key, threads); });
  return y.object();
}

// Elements are numbered as they lie in channels-last memory; of one axis, as they come.
nb::object dropout(nb::handle x, double p, std::uint64_t key, int threads) {
  ChannelsLast images;
  images.take(x.ptr());
  if (images.fits()) return drop(images, p, key, threads);
  Contiguous line;
  line.take(x.ptr());
  return drop(line, p, key, threads);
}

using Edges = Array<const std::int64_t, As::exact>;

Images images_of(const Shape& images) {
  const auto size = [](std::size_t n) { return static_cast<std::ptrdiff_t>(n); };
  return {.count = size(images[0]), .channels = size(images[3]), .height = size(images[1]),
          .width = size(images[2])};
}

// One pair of edges, and one divisor, for each row or column of means.
Bins bins_of(const Edges& edges, const Input& divisors, std::ptrdiff_t size, std::size_t count) {
  require(edges.ndim() == 2 && edges.shape(0) == count && edges.shape(1) == 2 &&
              divisors.size() == count,
          "mean_pool: shapes disagree");
  for (const std::int64_t* edge = edges.data(); edge != edges.data() + 2 * count; edge += 2)
    require(0 <= edge[0] && edge[0] <= edge[1] && edge[1] <= size,
            "mean_pool: a bin lies outside the image");
  return {.count = static_cast<std::ptrdiff_t>(count), .edges = edges.data(),
          .divisors = divisors.data()};
}

nb::object mean_pool(const ChannelsLast& x, const Edges& rows, const Input& row_divisors,
                     const Edges& cols, const Input& col_divisors, int threads) {
  if (!fit(x)) return nb::none();
  const Images from = images_of(shape_of(x));
  const Bins row_bins = bins_of(rows, row_divisors, from.height, rows.shape(0));
  const Bins col_bins = bins_of(cols, col_divisors, from.width, cols.shape(0));
  const New<float> y = images(x.shape(0), rows.shape(0), cols.shape(0), x.shape(3));
  run([&] { active().mean_pool(from, row_bins, col_bins, x.data(), y.data(), threads); });
  return y.object();
}

nb::object mean_pool_backward(const ChannelsLast& g, const Shape& x_shape, const Edges& rows,
                              const Input& row_divisors, const Edges& cols,
                              const Input& col_divisors, int threads) {
  if (!fit(g)) return nb::none();
  const Shape x = in_memory(x_shape), means = shape_of(g);
  require(x[0] == means[0] && x[3] == means[3], "mean_pool: shapes disagree");
  const Images from = images_of(x);
  const Bins row_bins = bins_of(rows, row_divisors, from.height, means[1]);
  const Bins col_bins = bins_of(cols, col_divisors, from.width, means[2]);
  const New<float> dx = images(x[0], x[1], x[2], x[3]);
  run([&] { active().mean_pool_backward(from, row_bins, col_bins, g.data(), dx.data(), threads); });
  return dx.object();
}

// The memory of arrays, borrowed for the time of a call without an object for each of them: an
// optimizer's step has hundreds of small ones.
class Borrowed {
 public:
  Borrowed() = default;
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() {
    for (Py_buffer& view : views_) PyBuffer_Release(&view);
  }

  // Whether the `count` arrays are float32 in one order in memory without gaps, none overlaps
  // another, and those that are not number `read_only` can be written to. If so they are the
  // last ones in here.
  bool take(const nb::handle* arrays, std::size_t count, std::size_t read_only) {
    const std::size_t first = views_.size();
    for (std::size_t k = 0; k < count; ++k) {
      const int writable = k == read_only ? 0 : PyBUF_WRITABLE;
      Py_buffer view;
      if (PyObject_GetBuffer(arrays[k].ptr(), &view, PyBUF_STRIDES | PyBUF_FORMAT | writable)) {
        PyErr_Clear();  // not an array, or one that cannot be written to
        return false;
      }
      views_.push_back(view);
      if (std::strcmp(view.format, "f") != 0) return false;
    }
    const Py_buffer* own = views_.data() + first;
    if (!is_dense(own[0])) return false;
    for (std::size_t k = 1; k < count; ++k) {
      if (!same_layout(own[0], own[k])) return false;
      for (std::size_t other = 0; other < k; ++other)
        if (overlap(own[k], own[other])) return false;
    }
    return true;
  }

  float* data(std::size_t from_last) const {
    return static_cast<float*>(views_[views_.size() - from_last].buf);
  }
  std::ptrdiff_t size() const { return views_.back().len / views_.back().itemsize; }

 private:
  static bool same_layout(const Py_buffer& a, const Py_buffer& b) {
    if (a.ndim != b.ndim) return false;
    for (int axis = 0; axis < a.ndim; ++axis)
      if (a.shape[axis] != b.shape[axis] ||
          (a.shape[axis] > 1 && a.strides[axis] != b.strides[axis]))
        return false;
    return true;
  }

  // Whether the elements fill a piece of memory, in the order of some permutation of the axes.
  static bool is_dense(const Py_buffer& view) {
    if (view.len == 0) return true;
    Py_ssize_t filled = view.itemsize;
    while (filled < view.len) {
      int next = 0;
      while (next < view.ndim && (view.shape[next] == 1 || view.strides[next] != filled)) ++next;
      if (next == view.ndim) return false;
      filled *= view.shape[next];
    }
    return true;
  }

  static bool overlap(const Py_buffer& a, const Py_buffer& b) {
    const char *x = static_cast<const char*>(a.buf), *y = static_cast<const char*>(b.buf);
    return x < y + b.len && y < x + a.len;
  }

  std::vector<Py_buffer> views_;
};

// Calls native(parameters) on those that it can take; lists[k][i] is array k of parameter i,
// lists[1] the gradients, and make(arrays) makes a parameter of pointers. A list may be None at
// the end. Returns the numbers of the parameters that are left to do.
template <std::size_t arrays, class Make, class Native>
std::vector<std::size_t> for_parameters(const nb::object (&lists)[arrays], Make make,
                                        Native native) {
  const std::size_t used = lists[arrays - 1].is_none() ? arrays - 1 : arrays;
  const std::size_t count = nb::len(lists[0]);
  for (std::size_t k = 0; k < used; ++k)
    require(PyList_Check(lists[k].ptr()) && nb::len(lists[k]) == count,
            "optimizer: needs lists of one length");
  Borrowed memory;
  std::vector<std::size_t> left;
  std::vector<decltype(make(memory, used))> parameters;
  for (std::size_t i = 0; i < count; ++i) {
    nb::handle of_one[arrays];
    for (std::size_t k = 0; k < used; ++k)
      of_one[k] = PyList_GET_ITEM(lists[k].ptr(), static_cast<Py_ssize_t>(i));
    if (memory.take(of_one, used, 1))
      parameters.push_back(make(memory, used));
    else
      left.push_back(i);
  }
  {
    nb::gil_scoped_release release;
    native(parameters.data(), static_cast<std::ptrdiff_t>(parameters.size()));
  }
  return left;
}

std::vector<std::size_t> sgd_step(nb::object weights, nb::object grads, nb::object buffers,
                                  double lr, double momentum, double dampening,
                                  double weight_decay, bool nesterov, bool maximize, int threads) {
  const Sgd rule{
      .lr = static_cast<float>(lr), .momentum = static_cast<float>(momentum),
      .gain = static_cast<float>(1 - dampening), .weight_decay = static_cast<float>(weight_decay),
      .nesterov = nesterov, .maximize = maximize,
  };
  const nb::object lists[] = {weights, grads, buffers};
  return for_parameters(
      lists,
      [](const Borrowed& memory, std::size_t used) {
        return SgdParameter{memory.data(used), memory.data(used - 1),
                            used > 2 ? memory.data(used - 2) : nullptr, memory.size()};
      },
      [&](const SgdParameter* parameters, std::ptrdiff_t count) {
        active().sgd_step(parameters, count, rule, threads);
      });
}

std::vector<std::size_t> adam_step(nb::object weights, nb::object grads, nb::object means,
                                   nb::object squares, nb::object peaks, int step, double lr,
                                   double beta1, double beta2, double eps, double weight_decay,
                                   bool decoupled, bool maximize, int threads) {
  const double c1 = 1 - std::pow(beta1, step), c2 = std::sqrt(1 - std::pow(beta2, step));
  const Adam rule{
      .lr = static_cast<float>(lr * c2 / c1), .eps = static_cast<float>(c2 * eps),
      .beta1 = static_cast<float>(beta1), .one_minus_beta1 = static_cast<float>(1 - beta1),
      .beta2 = static_cast<float>(beta2), .one_minus_beta2 = static_cast<float>(1 - beta2),
      .decay_into_grad = static_cast<float>(decoupled ? 0 : weight_decay),
      .keep = static_cast<float>(decoupled ? 1 - lr * weight_decay : 1),
      .maximize = maximize,
  };
  const nb::object lists[] = {weights, grads, means, squares, peaks};
  return for_parameters(
      lists,
      [](const Borrowed& memory, std::size_t used) {
        return AdamParameter{memory.data(used),     memory.data(used - 1),
                             memory.data(used - 2), memory.data(used - 3),
                             used > 4 ? memory.data(used - 4) : nullptr, memory.size()};
      },
      [&](const AdamParameter* parameters, std::ptrdiff_t count) {
        active().adam_step(parameters, count, rule, threads);
      });
}

double multiply_adds(std::ptrdiff_t steps, int threads) {
  require(steps >= 0 && threads >= 1 && threads <= 4096, "multiply_adds: steps or threads");
  return active().multiply_adds(steps, threads);
}

}  // namespace

NB_MODULE(_native, m) {
  if (_import_array() < 0) throw nb::python_error();
  m.doc() = "Compiled kernels; use them through chainrule.kernels.";
  m.def("instruction_sets", &available_instruction_sets);
  m.def("instruction_set", [] { return std::string(active().instruction_set); });
  m.def("choose", &choose, "instruction_set"_a);
  m.def("winograd", [] { return winograd().most_tile; });
  m.def("choose_winograd", &choose_winograd_tile, "most_tile"_a, "everywhere"_a = false);
  m.def("empty", &empty, "shape"_a);
  m.def("kept_bytes", &kept_bytes);
  m.def("allocations", &allocations);
  m.def("release_kept", &release_kept);
  m.def("relu", &gate<&Kernels::relu>, "x"_a, "threads"_a);
  m.def("relu_backward", &gate_backward<&Kernels::relu_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("sigmoid", &gate<&Kernels::sigmoid>, "x"_a, "threads"_a);
  m.def("sigmoid_backward", &gate_backward<&Kernels::sigmoid_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("tanh", &gate<&Kernels::tanh>, "x"_a, "threads"_a);
  m.def("tanh_backward", &gate_backward<&Kernels::tanh_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("conv2d", &conv2d, "x"_a, "weight"_a, "bias"_a.none(), "stride"_a, "padding"_a,
        "dilation"_a, "groups"_a, "scale"_a.none(), "shift"_a.none(), "add"_a.none(), "relu"_a,
        "threads"_a);
  m.def("conv2d_moments", &conv2d_moments, "x"_a, "weight"_a, "bias"_a.none(), "stride"_a,
        "padding"_a, "dilation"_a, "groups"_a, "threads"_a);
  m.def("conv2d_input_grad", &conv2d_input_grad, "g"_a, "weight"_a, "x_shape"_a, "stride"_a,
        "padding"_a, "dilation"_a, "groups"_a, "threads"_a);
  m.def("conv2d_weight_grad", &conv2d_weight_grad, "g"_a, "x"_a, "weight_shape"_a, "stride"_a,
        "padding"_a, "dilation"_a, "groups"_a, "threads"_a);
  m.def("linear", &linear, "x"_a, "weight"_a, "bias"_a.none(), "relu"_a, "threads"_a);
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
  m.def("layer_norm", &layer_norm, "x"_a, "weight"_a.none(), "bias"_a.none(), "eps"_a,
        "threads"_a);
  m.def("layer_norm_backward", &layer_norm_backward, "g"_a, "x"_a, "weight"_a.none(), "mean"_a,
        "var"_a, "eps"_a, "threads"_a);
  m.def("group_norm", &group_norm, "x"_a, "groups"_a, "weight"_a.none(), "bias"_a.none(),
        "eps"_a, "threads"_a);
  m.def("group_norm_backward", &group_norm_backward, "g"_a, "x"_a, "weight"_a.none(), "mean"_a,
        "var"_a, "eps"_a, "threads"_a);
  m.def("max_pool2d", &max_pool2d, "x"_a, "kernel"_a, "stride"_a, "padding"_a, "dilation"_a,
        "ceil_mode"_a, "threads"_a);
  m.def("max_pool2d_backward", &max_pool2d_backward, "g"_a, "index"_a, "x_shape"_a, "kernel"_a,
        "stride"_a, "padding"_a, "dilation"_a, "threads"_a);
  m.def("add", &add, "a"_a, "b"_a, "threads"_a);
  m.def("accumulate", &accumulate, "a"_a, "b"_a, "threads"_a);
  m.def("softmax", &softmax<&Kernels::softmax>, "x"_a, "axis"_a, "threads"_a);
  m.def("softmax_backward", &softmax_backward<&Kernels::softmax_backward>, "g"_a, "y"_a, "axis"_a,
        "threads"_a);
  m.def("log_softmax", &softmax<&Kernels::log_softmax>, "x"_a, "axis"_a, "threads"_a);
  m.def("log_softmax_backward", &softmax_backward<&Kernels::log_softmax_backward>, "g"_a, "y"_a,
        "axis"_a, "threads"_a);
  m.def("cross_entropy", &cross_entropy, "logits"_a, "target"_a, "threads"_a);
  m.def("cross_entropy_backward", &cross_entropy_backward, "g"_a, "log_probs"_a, "target"_a,
        "threads"_a);
  m.def("multi_margin_loss", &multi_margin_loss, "scores"_a, "target"_a, "p"_a, "margin"_a,
        "threads"_a);
  m.def("multi_margin_loss_backward", &multi_margin_loss_backward, "g"_a, "scores"_a, "target"_a,
        "p"_a, "margin"_a, "threads"_a);
  m.def("dropout", &dropout, "x"_a, "p"_a, "key"_a, "threads"_a);
  m.def("mean_pool", &mean_pool, "x"_a, "rows"_a, "row_divisors"_a, "cols"_a, "col_divisors"_a,
        "threads"_a);
  m.def("mean_pool_backward", &mean_pool_backward, "g"_a, "x_shape"_a, "rows"_a,
        "row_divisors"_a, "cols"_a, "col_divisors"_a, "threads"_a);
  m.def("sgd_step", &sgd_step, "weights"_a, "grads"_a, "buffers"_a.none(), "lr"_a, "momentum"_a,
        "dampening"_a, "weight_decay"_a, "nesterov"_a, "maximize"_a, "threads"_a);
  m.def("adam_step", &adam_step, "weights"_a, "grads"_a, "means"_a, "squares"_a,
        "peaks"_a.none(), "step"_a, "lr"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a,
        "decoupled"_a, "maximize"_a, "threads"_a);
  m.def("multiply_adds", &multiply_adds, "steps"_a, "threads"_a, ReleaseGil());
}
