// The only file that knows Python. Each function fills arrays that the caller made; the Python
// side (src/chainrule/kernels/native.py) checks dtype and layout and decides what to send here.
//
// Every array is .noconvert(): nanobind would otherwise hand us a silent temporary copy, and
// what we write would be lost.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>
#include <utility>

#include "dispatch.hpp"
#include "memory.hpp"

namespace nb = nanobind;
using namespace nb::literals;
using namespace chainrule;

namespace {

using Input = nb::ndarray<const float, nb::c_contig, nb::device::cpu>;
using Output = nb::ndarray<float, nb::c_contig, nb::device::cpu>;
using ReleaseGil = nb::call_guard<nb::gil_scoped_release>;

// The Python side never sends disagreeing shapes; out-of-bounds memory is not worth the trust.
void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

nb::ndarray<nb::numpy, float> empty(const std::vector<std::size_t>& shape) {
  constexpr std::size_t most = PTRDIFF_MAX / sizeof(float);
  std::size_t count = 1;
  for (const std::size_t size : shape) {
    // A product that overflows would be a small block for a large array.
    if (count > 0 && size > most / count) throw std::bad_alloc();
    count *= size;
  }
  void* block = take_block(count * sizeof(float));
  nb::capsule owner(block, [](void* p) noexcept { return_block(p); });
  return nb::ndarray<nb::numpy, float>(block, shape.size(), shape.data(), owner);
}

void relu(Input x, Output y, int threads) {
  require(x.size() == y.size(), "relu: x and y differ in size");
  active().relu(x.data(), y.data(), x.size(), threads);
}

void relu_backward(Input g, Input y, Output dx, int threads) {
  require(g.size() == y.size() && g.size() == dx.size(), "relu_backward: sizes differ");
  active().relu_backward(g.data(), y.data(), dx.data(), g.size(), threads);
}

void sigmoid(Input x, Output y, int threads) {
  require(x.size() == y.size(), "sigmoid: x and y differ in size");
  active().sigmoid(x.data(), y.data(), x.size(), threads);
}

void sigmoid_backward(Input g, Input y, Output dx, int threads) {
  require(g.size() == y.size() && g.size() == dx.size(), "sigmoid_backward: sizes differ");
  active().sigmoid_backward(g.data(), y.data(), dx.data(), g.size(), threads);
}

void hyperbolic_tangent(Input x, Output y, int threads) {
  require(x.size() == y.size(), "tanh: x and y differ in size");
  active().tanh(x.data(), y.data(), x.size(), threads);
}

void tanh_backward(Input g, Input y, Output dx, int threads) {
  require(g.size() == y.size() && g.size() == dx.size(), "tanh_backward: sizes differ");
  active().tanh_backward(g.data(), y.data(), dx.data(), g.size(), threads);
}

using Pair = std::pair<std::ptrdiff_t, std::ptrdiff_t>;

// Sizes from arrays: images is (N, H, W, C), weight (O, C/groups, KH, KW), out (N, OH, OW, O).
template <class Images, class Weight, class Out>
Convolution sizes(const Images& images, const Weight& weight, const Out& out, Pair stride,
                  Pair padding, Pair dilation, std::ptrdiff_t groups) {
  require(images.ndim() == 4 && weight.ndim() == 4 && out.ndim() == 4, "conv2d: needs 4 axes");
  const auto size = [](const auto& array, int axis) {
    return static_cast<std::ptrdiff_t>(array.shape(axis));
  };
  const auto positions = [](auto pixels, auto kernel, auto stride, auto padding, auto dilation) {
    return (pixels + 2 * padding - dilation * (kernel - 1) - 1) / stride + 1;
  };
  Convolution c{
      .images = size(images, 0), .channels = size(images, 3),
      .height = size(images, 1), .width = size(images, 2),
      .outputs = size(weight, 0),
      .kernel_height = size(weight, 2), .kernel_width = size(weight, 3),
      .out_height = size(out, 1), .out_width = size(out, 2),
      .stride_height = stride.first, .stride_width = stride.second,
      .padding_height = padding.first, .padding_width = padding.second,
      .dilation_height = dilation.first, .dilation_width = dilation.second,
      .groups = groups,
      .winograd = winograd(),
  };
  require(groups > 0 && c.channels % groups == 0 && c.outputs % groups == 0,
          "conv2d: channels do not divide into groups");
  require(c.stride_height > 0 && c.stride_width > 0 && c.dilation_height > 0 &&
              c.dilation_width > 0 && c.padding_height >= 0 && c.padding_width >= 0,
          "conv2d: stride and dilation are at least 1, padding at least 0");
  require(size(weight, 1) == c.channels / groups && size(out, 3) == c.outputs &&
              size(out, 0) == c.images &&
              c.out_height == positions(c.height, c.kernel_height, stride.first, padding.first,
                                        dilation.first) &&
              c.out_width == positions(c.width, c.kernel_width, stride.second, padding.second,
                                       dilation.second),
          "conv2d: shapes disagree");
  return c;
}

template <class A, class B>
bool same_shape(const A& a, const B& b) {
  if (a.ndim() != b.ndim()) return false;
  for (std::size_t i = 0; i < a.ndim(); ++i)
    if (a.shape(i) != b.shape(i)) return false;
  return true;
}

// The values' address, or null; `size` of them.
const float* data_or_null(const std::optional<Input>& values, std::size_t size,
                          const char* what) {
  require(!values || values->size() == size, what);
  return values ? values->data() : nullptr;
}

void choose_winograd_tile(int most_tile, bool everywhere) {
  require(most_tile == 0 || most_tile == 2 || most_tile == 4,
          "choose_winograd: squares have 2x2 or 4x4 outputs; 0 for none");
  choose_winograd({most_tile, everywhere});
}

void conv2d(Input x, Input weight, std::optional<Input> bias, std::optional<Input> scale,
            std::optional<Input> shift, std::optional<Input> add, bool relu,
            std::optional<Output> mean, std::optional<Output> var, Output y, Pair stride,
            Pair padding, Pair dilation, std::ptrdiff_t groups, int threads) {
  const Convolution c = sizes(x, weight, y, stride, padding, dilation, groups);
  const std::size_t outputs = weight.shape(0);
  require(scale.has_value() == shift.has_value(), "conv2d: scale and shift come together");
  require(mean.has_value() == var.has_value(), "conv2d: mean and variance come together");
  require(!mean || (mean->size() == outputs && var->size() == outputs),
          "conv2d: mean, variance and weight disagree");
  require(!add || same_shape(*add, y), "conv2d: add and y disagree");
  const Epilogue epilogue{data_or_null(scale, outputs, "conv2d: scale and weight disagree"),
                          data_or_null(shift, outputs, "conv2d: shift and weight disagree"),
                          add ? add->data() : nullptr, relu, mean ? mean->data() : nullptr,
                          var ? var->data() : nullptr};
  active().conv2d(c, x.data(), weight.data(),
                  data_or_null(bias, outputs, "conv2d: bias and weight disagree"), epilogue,
                  y.data(), threads);
}

void conv2d_input_grad(Input g, Input weight, Output dx, Pair stride, Pair padding, Pair dilation,
                       std::ptrdiff_t groups, int threads) {
  const Convolution c = sizes(dx, weight, g, stride, padding, dilation, groups);
  active().conv2d_input_grad(c, g.data(), weight.data(), dx.data(), threads);
}

void conv2d_weight_grad(Input g, Input x, Output dw, Pair stride, Pair padding, Pair dilation,
                        std::ptrdiff_t groups, int threads) {
  const Convolution c = sizes(x, dw, g, stride, padding, dilation, groups);
  active().conv2d_weight_grad(c, g.data(), x.data(), dw.data(), threads);
}

// A matrix at any steps, so that a transpose needs no copy.
using Matrix = nb::ndarray<const float, nb::ndim<2>, nb::device::cpu>;

void linear(Matrix x, Matrix weight, std::optional<Input> bias, bool relu, Output y,
            int threads) {
  require(y.ndim() == 2 && x.shape(0) == y.shape(0) && x.shape(1) == weight.shape(1) &&
              y.shape(1) == weight.shape(0),
          "linear: shapes disagree");
  require(!bias || bias->size() == weight.shape(0), "linear: bias and weight disagree");
  active().matrix_product({x.data(), x.stride(0), x.stride(1)},
                          {weight.data(), weight.stride(1), weight.stride(0)},
                          bias ? bias->data() : nullptr, relu, y.data(), y.shape(0),
                          y.shape(1), x.shape(1), threads);
}

// Channels are the last axis; all others count as rows.
Rows rows_of(const Input& x) {
  require(x.ndim() >= 2 && x.shape(x.ndim() - 1) > 0, "norm: x needs rows and channels");
  const std::size_t channels = x.shape(x.ndim() - 1);
  return {static_cast<std::ptrdiff_t>(x.size() / channels), static_cast<std::ptrdiff_t>(channels)};
}

template <class... Arrays>
void require_like(const Input& x, const Arrays&... arrays) {
  require((same_shape(x, arrays) && ...), "norm: shapes disagree");
}

template <class... Vectors>
void require_vectors(const Rows& rows, const Vectors&... vectors) {
  require(((static_cast<std::ptrdiff_t>(vectors.size()) == rows.channels) && ...),
          "norm: a vector has not one value for each channel");
}

Normalisation normalisation_of(const Rows& rows, const Input& mean, const Input& var,
                               const std::optional<Input>& weight,
                               const std::optional<Input>& bias, float eps) {
  require_vectors(rows, mean, var);
  const std::size_t channels = static_cast<std::size_t>(rows.channels);
  return {mean.data(), var.data(), data_or_null(weight, channels, "norm: weight and x disagree"),
          data_or_null(bias, channels, "norm: bias and x disagree"), eps};
}

// The address of an array like x, or null.
const float* like_or_null(const Input& x, const std::optional<Input>& array) {
  if (!array) return nullptr;
  require_like(x, *array);
  return array->data();
}

void moments(Input x, Output mean, Output var, int threads) {
  const Rows rows = rows_of(x);
  require_vectors(rows, mean, var);
  active().moments(rows, x.data(), mean.data(), var.data(), threads);
}

void normalise(Input x, Input mean, Input var, std::optional<Input> weight,
               std::optional<Input> bias, float eps, std::optional<Input> add, bool relu,
               Output y, int threads) {
  const Rows rows = rows_of(x);
  require_like(x, y);
  active().normalise(rows, normalisation_of(rows, mean, var, weight, bias, eps), x.data(),
                     like_or_null(x, add), relu, y.data(), threads);
}

void scale_shift(Input x, Input scale, Input shift, std::optional<Input> add, bool relu, Output y,
                 int threads) {
  const Rows rows = rows_of(x);
  require_like(x, y);
  require_vectors(rows, scale, shift);
  active().scale_shift(rows, x.data(), scale.data(), shift.data(), like_or_null(x, add), relu,
                       y.data(), threads);
}

void batch_norm_backward(Input g, Input x, std::optional<Input> weight, Input mean, Input var,
                         float eps, Output dx, Output dweight, Output dbias, int threads) {
  const Rows rows = rows_of(x);
  require_like(x, g, dx);
  require_vectors(rows, dweight, dbias);
  active().batch_norm_backward(rows, normalisation_of(rows, mean, var, weight, {}, eps), g.data(),
                               x.data(), {dx.data(), dweight.data(), dbias.data()}, threads);
}

void batch_norm_relu_backward(Input g, Input x, std::optional<Input> weight,
                              std::optional<Input> bias, Input mean, Input var, float eps,
                              Output dx, Output dweight, Output dbias, int threads) {
  const Rows rows = rows_of(x);
  require_like(x, g, dx);
  require_vectors(rows, dweight, dbias);
  active().batch_norm_relu_backward(rows, normalisation_of(rows, mean, var, weight, bias, eps),
                                    g.data(), x.data(),
                                    {dx.data(), dweight.data(), dbias.data()}, threads);
}

void batch_norm_add_relu_backward(Input g, Input y, Input x, std::optional<Input> weight,
                                  Input mean, Input var, float eps, Output dx, Output dweight,
                                  Output dbias, Output masked, int threads) {
  const Rows rows = rows_of(x);
  require_like(x, g, y, dx, masked);
  require_vectors(rows, dweight, dbias);
  active().batch_norm_add_relu_backward(
      rows, normalisation_of(rows, mean, var, weight, {}, eps), g.data(), y.data(), x.data(),
      {dx.data(), dweight.data(), dbias.data()}, masked.data(), threads);
}

void channel_sum(Input g, Output sum, int threads) {
  const Rows rows = rows_of(g);
  require_vectors(rows, sum);
  active().channel_sum(rows, g.data(), sum.data(), threads);
}

void relu_bias_backward(Input g, Input y, Output masked, Output dbias, int threads) {
  const Rows rows = rows_of(g);
  require_like(g, y, masked);
  require_vectors(rows, dbias);
  active().relu_bias_backward(rows, g.data(), y.data(), masked.data(), dbias.data(), threads);
}

void layer_norm(Input x, std::optional<Input> weight, std::optional<Input> bias, float eps,
                Output y, Output mean, Output var, int threads) {
  const Rows rows = rows_of(x);
  const std::size_t columns = x.shape(1);
  require(x.ndim() == 2, "layer_norm: needs rows");
  require_like(x, y);
  require(mean.size() == x.shape(0) && var.size() == x.shape(0), "layer_norm: mean, var of rows");
  active().layer_norm(rows, x.data(), data_or_null(weight, columns, "layer_norm: weight and x"),
                      data_or_null(bias, columns, "layer_norm: bias and x"), eps, y.data(),
                      mean.data(), var.data(), threads);
}

void layer_norm_backward(Input g, Input x, std::optional<Input> weight, Input mean, Input var,
                         float eps, Output dx, Output dweight, Output dbias, int threads) {
  const Rows rows = rows_of(x);
  require(x.ndim() == 2, "layer_norm: needs rows");
  require_like(x, g, dx);
  require_vectors(rows, dweight, dbias);
  require(mean.size() == x.shape(0) && var.size() == x.shape(0), "layer_norm: mean, var of rows");
  active().layer_norm_backward(rows, g.data(), x.data(),
                               data_or_null(weight, x.shape(1), "layer_norm: weight and x"),
                               mean.data(), var.data(), eps,
                               {dx.data(), dweight.data(), dbias.data()}, threads);
}

// x is (N, *, C); mean, and var like it, (N, groups).
template <class Statistic>
Groups groups_of(const Input& x, const Statistic& mean, const Statistic& var) {
  const Rows rows = rows_of(x);
  require(mean.ndim() == 2 && mean.shape(0) == x.shape(0) && mean.shape(1) > 0 &&
              x.shape(x.ndim() - 1) % mean.shape(1) == 0 && same_shape(mean, var),
          "group_norm: mean and var need a value for each group of channels of each image");
  const auto images = static_cast<std::ptrdiff_t>(x.shape(0));
  return {images, images ? rows.rows / images : 0, rows.channels,
          static_cast<std::ptrdiff_t>(mean.shape(1))};
}

void group_norm(Input x, std::optional<Input> weight, std::optional<Input> bias, float eps,
                Output y, Output mean, Output var, int threads) {
  const Groups groups = groups_of(x, mean, var);
  const auto channels = static_cast<std::size_t>(groups.channels);
  require_like(x, y);
  active().group_norm(groups, x.data(),
                      data_or_null(weight, channels, "group_norm: weight and x disagree"),
                      data_or_null(bias, channels, "group_norm: bias and x disagree"), eps,
                      y.data(), mean.data(), var.data(), threads);
}

void group_norm_backward(Input g, Input x, std::optional<Input> weight, Input mean, Input var,
                         float eps, Output dx, Output dweight, Output dbias, int threads) {
  const Groups groups = groups_of(x, mean, var);
  const auto channels = static_cast<std::size_t>(groups.channels);
  require_like(x, g, dx);
  require_vectors(rows_of(x), dweight, dbias);
  active().group_norm_backward(groups, g.data(), x.data(),
                               data_or_null(weight, channels, "group_norm: weight and x disagree"),
                               mean.data(), var.data(), eps,
                               {dx.data(), dweight.data(), dbias.data()}, threads);
}

using Taps = nb::ndarray<const std::uint8_t, nb::c_contig, nb::device::cpu>;
using TapsOutput = nb::ndarray<std::uint8_t, nb::c_contig, nb::device::cpu>;

// images is (N, H, W, C), out and index are (N, OH, OW, C).
template <class Images, class Out, class Index>
Pool pool_sizes(const Images& images, const Out& out, const Index& index, Pair kernel, Pair stride,
                Pair padding, Pair dilation) {
  require(images.ndim() == 4 && out.ndim() == 4, "max_pool2d: needs 4 axes");
  require(images.shape(0) == out.shape(0) && images.shape(3) == out.shape(3) &&
              index.size() == out.size(),
          "max_pool2d: shapes disagree");
  require(kernel.first > 0 && kernel.second > 0 && kernel.first * kernel.second <= 256,
          "max_pool2d: a window has 1 to 256 taps");
  require(stride.first > 0 && stride.second > 0 && dilation.first > 0 && dilation.second > 0,
          "max_pool2d: stride and dilation are at least 1");
  const auto size = [](const auto& array, int axis) {
    return static_cast<std::ptrdiff_t>(array.shape(axis));
  };
  return {
      .images = size(images, 0), .channels = size(images, 3),
      .height = size(images, 1), .width = size(images, 2),
      .out_height = size(out, 1), .out_width = size(out, 2),
      .kernel_height = kernel.first, .kernel_width = kernel.second,
      .stride_height = stride.first, .stride_width = stride.second,
      .padding_height = padding.first, .padding_width = padding.second,
      .dilation_height = dilation.first, .dilation_width = dilation.second,
  };
}

void max_pool2d(Input x, Output y, TapsOutput index, Pair kernel, Pair stride, Pair padding,
                Pair dilation, int threads) {
  const Pool p = pool_sizes(x, y, index, kernel, stride, padding, dilation);
  active().max_pool2d(p, x.data(), y.data(), index.data(), threads);
}

void max_pool2d_backward(Input g, Taps index, Output dx, Pair kernel, Pair stride, Pair padding,
                         Pair dilation, int threads) {
  const Pool p = pool_sizes(dx, g, index, kernel, stride, padding, dilation);
  active().max_pool2d_backward(p, g.data(), index.data(), dx.data(), threads);
}

void add(Input a, Input b, Output y, int threads) {
  require(a.size() == b.size() && a.size() == y.size(), "add: sizes differ");
  active().add(a.data(), b.data(), y.data(), y.size(), threads);
}

// Classes are the last axis; all others count as rows.
Rows rows_of_classes(const Input& x, const Output& y) {
  require(x.ndim() >= 1 && x.shape(x.ndim() - 1) > 0, "softmax: needs classes");
  require(x.size() == y.size(), "softmax: sizes differ");
  const std::size_t classes = x.shape(x.ndim() - 1);
  require(classes <= INT32_MAX, "softmax: too many classes");
  return {static_cast<std::ptrdiff_t>(x.size() / classes), static_cast<std::ptrdiff_t>(classes)};
}

void softmax(Input x, Output y, bool logarithm, int threads) {
  const auto [rows, classes] = rows_of_classes(x, y);
  (logarithm ? active().log_softmax : active().softmax)(x.data(), y.data(), rows, classes,
                                                        threads);
}

void softmax_backward(Input g, Input y, Output dx, bool logarithm, int threads) {
  const auto [rows, classes] = rows_of_classes(g, dx);
  require(y.size() == g.size(), "softmax_backward: sizes differ");
  (logarithm ? active().log_softmax_backward : active().softmax_backward)(
      g.data(), y.data(), dx.data(), rows, classes, threads);
}

using Target = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// scores (N, C), target (N) in [0, C), and one number for each row.
template <class Vector>
Rows rows_of_scores(const Input& scores, const Target& target, const Vector& vector,
                    const Output& out) {
  require(scores.ndim() == 2, "loss: scores need two axes");
  const Rows sizes = rows_of_classes(scores, out);
  require(target.shape(0) == scores.shape(0) && vector.size() == scores.shape(0),
          "loss: shapes disagree");
  for (std::size_t i = 0; i < target.shape(0); ++i)
    require(0 <= target(i) && target(i) < sizes.channels, "loss: a target is no class");
  return sizes;
}

void cross_entropy(Input logits, Target target, Output loss, Output log_probs, int threads) {
  const auto [rows, classes] = rows_of_scores(logits, target, loss, log_probs);
  active().cross_entropy(logits.data(), target.data(), loss.data(), log_probs.data(), rows,
                         classes, threads);
}

void cross_entropy_backward(Input g, Input log_probs, Target target, Output dlogits,
                            int threads) {
  const auto [rows, classes] = rows_of_scores(log_probs, target, g, dlogits);
  active().cross_entropy_backward(g.data(), log_probs.data(), target.data(), dlogits.data(), rows,
                                  classes, threads);
}

void multi_margin_loss(Input scores, Target target, bool squared, float margin, Output loss,
                       int threads) {
  require(scores.ndim() == 2 && scores.shape(1) > 0 && scores.shape(1) <= INT32_MAX &&
              target.shape(0) == scores.shape(0) && loss.size() == scores.shape(0),
          "loss: shapes disagree");
  for (std::size_t i = 0; i < target.shape(0); ++i)
    require(0 <= target(i) && target(i) < static_cast<std::int64_t>(scores.shape(1)),
            "loss: a target is no class");
  active().multi_margin_loss(scores.data(), target.data(), squared, margin, loss.data(),
                             scores.shape(0), scores.shape(1), threads);
}

void multi_margin_loss_backward(Input g, Input scores, Target target, bool squared, float margin,
                                Output dscores, int threads) {
  const auto [rows, classes] = rows_of_scores(scores, target, g, dscores);
  active().multi_margin_loss_backward(g.data(), scores.data(), target.data(), squared, margin,
                                      dscores.data(), rows, classes, threads);
}

void dropout(Input x, Output y, std::uint32_t threshold, float scale, std::uint64_t key,
             int threads) {
  require(x.size() == y.size(), "dropout: x and y differ in size");
  active().dropout(x.data(), y.data(), y.size(), threshold, scale, key, threads);
}

using Edges = nb::ndarray<const std::int64_t, nb::shape<-1, 2>, nb::c_contig, nb::device::cpu>;

// images is (N, H, W, C), means (N, OH, OW, C); one pair of edges for each row or column of means.
Images mean_sizes(const Input& images, const Input& means) {
  require(images.ndim() == 4 && means.ndim() == 4 && images.shape(0) == means.shape(0) &&
              images.shape(3) == means.shape(3),
          "mean_pool: shapes disagree");
  const auto size = [&](int axis) { return static_cast<std::ptrdiff_t>(images.shape(axis)); };
  return {.count = size(0), .channels = size(3), .height = size(1), .width = size(2)};
}

Bins bins_of(const Edges& edges, const Input& divisors, std::ptrdiff_t size, std::size_t count) {
  require(edges.shape(0) == count && divisors.size() == count, "mean_pool: shapes disagree");
  for (std::size_t i = 0; i < count; ++i)
    require(0 <= edges(i, 0) && edges(i, 0) <= edges(i, 1) && edges(i, 1) <= size,
            "mean_pool: a bin lies outside the image");
  return {.count = static_cast<std::ptrdiff_t>(count), .edges = edges.data(),
          .divisors = divisors.data()};
}

void mean_pool(Input x, Output y, Edges rows, Input row_divisors, Edges cols, Input col_divisors,
               int threads) {
  const Images images = mean_sizes(x, Input(y));
  const Bins row_bins = bins_of(rows, row_divisors, images.height, y.shape(1));
  const Bins col_bins = bins_of(cols, col_divisors, images.width, y.shape(2));
  active().mean_pool(images, row_bins, col_bins, x.data(), y.data(), threads);
}

void mean_pool_backward(Input g, Output dx, Edges rows, Input row_divisors, Edges cols,
                        Input col_divisors, int threads) {
  const Images images = mean_sizes(Input(dx), g);
  const Bins row_bins = bins_of(rows, row_divisors, images.height, g.shape(1));
  const Bins col_bins = bins_of(cols, col_divisors, images.width, g.shape(2));
  active().mean_pool_backward(images, row_bins, col_bins, g.data(), dx.data(), threads);
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
  m.def("relu", &relu, "x"_a.noconvert(), "y"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("relu_backward", &relu_backward, "g"_a.noconvert(), "y"_a.noconvert(),
        "dx"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("sigmoid", &sigmoid, "x"_a.noconvert(), "y"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("sigmoid_backward", &sigmoid_backward, "g"_a.noconvert(), "y"_a.noconvert(),
        "dx"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("tanh", &hyperbolic_tangent, "x"_a.noconvert(), "y"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("tanh_backward", &tanh_backward, "g"_a.noconvert(), "y"_a.noconvert(),
        "dx"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("conv2d", &conv2d, "x"_a.noconvert(), "weight"_a.noconvert(),
        "bias"_a.noconvert().none(), "scale"_a.noconvert().none(), "shift"_a.noconvert().none(),
        "add"_a.noconvert().none(), "relu"_a, "mean"_a.noconvert().none(),
        "var"_a.noconvert().none(), "y"_a.noconvert(), "stride"_a, "padding"_a,
        "dilation"_a, "groups"_a, "threads"_a, ReleaseGil());
  m.def("conv2d_input_grad", &conv2d_input_grad, "g"_a.noconvert(), "weight"_a.noconvert(),
        "dx"_a.noconvert(), "stride"_a, "padding"_a, "dilation"_a, "groups"_a, "threads"_a,
        ReleaseGil());
  m.def("conv2d_weight_grad", &conv2d_weight_grad, "g"_a.noconvert(), "x"_a.noconvert(),
        "dw"_a.noconvert(), "stride"_a, "padding"_a, "dilation"_a, "groups"_a, "threads"_a,
        ReleaseGil());
  m.def("linear", &linear, "x"_a.noconvert(), "weight"_a.noconvert(),
        "bias"_a.noconvert().none(), "relu"_a, "y"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("moments", &moments, "x"_a.noconvert(), "mean"_a.noconvert(), "var"_a.noconvert(),
        "threads"_a, ReleaseGil());
  m.def("normalise", &normalise, "x"_a.noconvert(), "mean"_a.noconvert(), "var"_a.noconvert(),
        "weight"_a.noconvert().none(), "bias"_a.noconvert().none(), "eps"_a,
        "add"_a.noconvert().none(), "relu"_a, "y"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("scale_shift", &scale_shift, "x"_a.noconvert(), "scale"_a.noconvert(),
        "shift"_a.noconvert(), "add"_a.noconvert().none(), "relu"_a, "y"_a.noconvert(),
        "threads"_a, ReleaseGil());
  m.def("batch_norm_backward", &batch_norm_backward, "g"_a.noconvert(), "x"_a.noconvert(),
        "weight"_a.noconvert().none(), "mean"_a.noconvert(), "var"_a.noconvert(), "eps"_a,
        "dx"_a.noconvert(), "dweight"_a.noconvert(), "dbias"_a.noconvert(), "threads"_a,
        ReleaseGil());
  m.def("batch_norm_relu_backward", &batch_norm_relu_backward, "g"_a.noconvert(),
        "x"_a.noconvert(), "weight"_a.noconvert().none(), "bias"_a.noconvert().none(),
        "mean"_a.noconvert(), "var"_a.noconvert(), "eps"_a, "dx"_a.noconvert(),
        "dweight"_a.noconvert(), "dbias"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("batch_norm_add_relu_backward", &batch_norm_add_relu_backward, "g"_a.noconvert(),
        "y"_a.noconvert(), "x"_a.noconvert(), "weight"_a.noconvert().none(),
        "mean"_a.noconvert(), "var"_a.noconvert(), "eps"_a, "dx"_a.noconvert(),
        "dweight"_a.noconvert(), "dbias"_a.noconvert(), "masked"_a.noconvert(), "threads"_a,
        ReleaseGil());
  m.def("channel_sum", &channel_sum, "g"_a.noconvert(), "sum"_a.noconvert(), "threads"_a,
        ReleaseGil());
  m.def("relu_bias_backward", &relu_bias_backward, "g"_a.noconvert(), "y"_a.noconvert(),
        "masked"_a.noconvert(), "dbias"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("layer_norm", &layer_norm, "x"_a.noconvert(), "weight"_a.noconvert().none(),
        "bias"_a.noconvert().none(), "eps"_a, "y"_a.noconvert(), "mean"_a.noconvert(),
        "var"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("layer_norm_backward", &layer_norm_backward, "g"_a.noconvert(), "x"_a.noconvert(),
        "weight"_a.noconvert().none(), "mean"_a.noconvert(), "var"_a.noconvert(), "eps"_a,
        "dx"_a.noconvert(), "dweight"_a.noconvert(), "dbias"_a.noconvert(), "threads"_a,
        ReleaseGil());
  m.def("group_norm", &group_norm, "x"_a.noconvert(), "weight"_a.noconvert().none(),
        "bias"_a.noconvert().none(), "eps"_a, "y"_a.noconvert(), "mean"_a.noconvert(),
        "var"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("group_norm_backward", &group_norm_backward, "g"_a.noconvert(), "x"_a.noconvert(),
        "weight"_a.noconvert().none(), "mean"_a.noconvert(), "var"_a.noconvert(), "eps"_a,
        "dx"_a.noconvert(), "dweight"_a.noconvert(), "dbias"_a.noconvert(), "threads"_a,
        ReleaseGil());
  m.def("max_pool2d", &max_pool2d, "x"_a.noconvert(), "y"_a.noconvert(), "index"_a.noconvert(),
        "kernel"_a, "stride"_a, "padding"_a, "dilation"_a, "threads"_a, ReleaseGil());
  m.def("max_pool2d_backward", &max_pool2d_backward, "g"_a.noconvert(), "index"_a.noconvert(),
        "dx"_a.noconvert(), "kernel"_a, "stride"_a, "padding"_a, "dilation"_a, "threads"_a,
        ReleaseGil());
  m.def("add", &add, "a"_a.noconvert(), "b"_a.noconvert(), "y"_a.noconvert(), "threads"_a,
        ReleaseGil());
  m.def("softmax", &softmax, "x"_a.noconvert(), "y"_a.noconvert(), "logarithm"_a, "threads"_a,
        ReleaseGil());
  m.def("softmax_backward", &softmax_backward, "g"_a.noconvert(), "y"_a.noconvert(),
        "dx"_a.noconvert(), "logarithm"_a, "threads"_a, ReleaseGil());
  m.def("cross_entropy", &cross_entropy, "logits"_a.noconvert(), "target"_a.noconvert(),
        "loss"_a.noconvert(), "log_probs"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("cross_entropy_backward", &cross_entropy_backward, "g"_a.noconvert(),
        "log_probs"_a.noconvert(), "target"_a.noconvert(), "dlogits"_a.noconvert(), "threads"_a,
        ReleaseGil());
  m.def("multi_margin_loss", &multi_margin_loss, "scores"_a.noconvert(), "target"_a.noconvert(),
        "squared"_a, "margin"_a, "loss"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("multi_margin_loss_backward", &multi_margin_loss_backward, "g"_a.noconvert(),
        "scores"_a.noconvert(), "target"_a.noconvert(), "squared"_a, "margin"_a,
        "dscores"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("dropout", &dropout, "x"_a.noconvert(), "y"_a.noconvert(), "threshold"_a, "scale"_a,
        "key"_a, "threads"_a, ReleaseGil());
  m.def("mean_pool", &mean_pool, "x"_a.noconvert(), "y"_a.noconvert(), "rows"_a.noconvert(),
        "row_divisors"_a.noconvert(), "cols"_a.noconvert(), "col_divisors"_a.noconvert(),
        "threads"_a, ReleaseGil());
  m.def("mean_pool_backward", &mean_pool_backward, "g"_a.noconvert(), "dx"_a.noconvert(),
        "rows"_a.noconvert(), "row_divisors"_a.noconvert(), "cols"_a.noconvert(),
        "col_divisors"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("sgd_step", &sgd_step, "weights"_a, "grads"_a, "buffers"_a.none(), "lr"_a, "momentum"_a,
        "dampening"_a, "weight_decay"_a, "nesterov"_a, "maximize"_a, "threads"_a);
  m.def("adam_step", &adam_step, "weights"_a, "grads"_a, "means"_a, "squares"_a,
        "peaks"_a.none(), "step"_a, "lr"_a, "beta1"_a, "beta2"_a, "eps"_a, "weight_decay"_a,
        "decoupled"_a, "maximize"_a, "threads"_a);
  m.def("multiply_adds", &multiply_adds, "steps"_a, "threads"_a, ReleaseGil());
}
