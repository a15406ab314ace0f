#include "bindings.hpp"

namespace chainrule {
namespace {

using Taps = Array<const std::uint8_t, As::channels_last>;

constexpr std::ptrdiff_t most_size = std::ptrdiff_t{1} << 30;  // their sums do not overflow

bool has_few_taps(Pair kernel) {
  return kernel.first <= 256 && kernel.second <= 256 && kernel.first * kernel.second <= 256;
}

// images is (N, H, W, C), out (N, OH, OW, C).
Pool pool_of(const Shape& images, const Shape& out, Pair kernel, Pair stride, Pair padding,
             Pair dilation) {
  require(images[0] == out[0] && images[3] == out[3], "max_pool2d: shapes disagree");
  require(kernel.first > 0 && kernel.second > 0 && has_few_taps(kernel),
          "max_pool2d: a window has 1 to 256 taps");
  require(stride.first > 0 && stride.second > 0 && dilation.first > 0 && dilation.second > 0,
          "max_pool2d: stride and dilation are at least 1");
  for (const Pair each : {stride, padding, dilation})
    require(each.first <= most_size && each.second <= most_size,
            "max_pool2d: strides, paddings and dilations go up to 2^30");
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
  require(pixels <= most_size && stride <= most_size && padding <= most_size &&
              dilation <= most_size,
          "max_pool2d: sizes, strides, paddings and dilations go up to 2^30");
  const auto size = static_cast<std::ptrdiff_t>(pixels);
  const std::ptrdiff_t span = size + 2 * padding - dilation * (kernel - 1) - 1;
  const std::ptrdiff_t up = ceil_mode && span > 0 ? stride - 1 : 0;
  std::ptrdiff_t count = span < 0 && !ceil_mode ? 0 : (span + up) / stride + 1;
  if (ceil_mode && (count - 1) * stride >= size + padding) --count;
  require(count >= 1, "max_pool2d: the window is larger than the padded image");
  return static_cast<std::size_t>(count);
}

nb::object max_pool2d(const ChannelsLast& x, Pair kernel, Pair stride, Pair padding,
                      Pair dilation, bool ceil_mode, int threads) {
  if (!fit(threads, x) || !has_few_taps(kernel)) return nb::none();
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
  if (!fit(threads, g, index)) return nb::none();
  require(same_shape(g, index), "max_pool2d: shapes disagree");
  const Shape x = in_memory(x_shape);
  const Pool p = pool_of(x, shape_of(g), kernel, stride, padding, dilation);
  const New<float> dx = images(x[0], x[1], x[2], x[3]);
  run([&] { active().max_pool2d_backward(p, g.data(), index.data(), dx.data(), threads); });
  return dx.object();
}

using Edges = Array<const std::int64_t, As::exact>;
using Divisors = Array<const float, As::exact>;

Images images_of(const Shape& images) {
  const auto size = [](std::size_t n) { return static_cast<std::ptrdiff_t>(n); };
  return {.count = size(images[0]), .channels = size(images[3]), .height = size(images[1]),
          .width = size(images[2])};
}

// One pair of edges, and one divisor, for each row or column of means.
Bins bins_of(const Edges& edges, const Divisors& divisors, std::ptrdiff_t size, std::size_t count) {
  require(edges.ndim() == 2 && edges.shape(0) == count && edges.shape(1) == 2 &&
              divisors.size() == count,
          "mean_pool: shapes disagree");
  for (const std::int64_t* edge = edges.data(); edge != edges.data() + 2 * count; edge += 2)
    require(0 <= edge[0] && edge[0] <= edge[1] && edge[1] <= size,
            "mean_pool: a bin lies outside the image");
  return {.count = static_cast<std::ptrdiff_t>(count), .edges = edges.data(),
          .divisors = divisors.data()};
}

nb::object mean_pool(const ChannelsLast& x, const Edges& rows, const Divisors& row_divisors,
                     const Edges& cols, const Divisors& col_divisors, int threads) {
  if (!fit(threads, x)) return nb::none();
  const Images from = images_of(shape_of(x));
  const Bins row_bins = bins_of(rows, row_divisors, from.height, rows.shape(0));
  const Bins col_bins = bins_of(cols, col_divisors, from.width, cols.shape(0));
  const New<float> y = images(x.shape(0), rows.shape(0), cols.shape(0), x.shape(3));
  run([&] { active().mean_pool(from, row_bins, col_bins, x.data(), y.data(), threads); });
  return y.object();
}

nb::object mean_pool_backward(const ChannelsLast& g, const Shape& x_shape, const Edges& rows,
                              const Divisors& row_divisors, const Edges& cols,
                              const Divisors& col_divisors, int threads) {
  if (!fit(threads, g)) return nb::none();
  const Shape x = in_memory(x_shape), means = shape_of(g);
  require(x[0] == means[0] && x[3] == means[3], "mean_pool: shapes disagree");
  const Images from = images_of(x);
  const Bins row_bins = bins_of(rows, row_divisors, from.height, means[1]);
  const Bins col_bins = bins_of(cols, col_divisors, from.width, means[2]);
  const New<float> dx = images(x[0], x[1], x[2], x[3]);
  run([&] { active().mean_pool_backward(from, row_bins, col_bins, g.data(), dx.data(), threads); });
  return dx.object();
}

}  // namespace

void bind_pool(nb::module_& m) {
  m.def("max_pool2d", &max_pool2d, "x"_a, "kernel"_a, "stride"_a, "padding"_a, "dilation"_a,
        "ceil_mode"_a, "threads"_a);
  m.def("max_pool2d_backward", &max_pool2d_backward, "g"_a, "index"_a, "x_shape"_a, "kernel"_a,
        "stride"_a, "padding"_a, "dilation"_a, "threads"_a);
  m.def("mean_pool", &mean_pool, "x"_a, "rows"_a, "row_divisors"_a, "cols"_a, "col_divisors"_a,
        "threads"_a);
  m.def("mean_pool_backward", &mean_pool_backward, "g"_a, "x_shape"_a, "rows"_a,
        "row_divisors"_a, "cols"_a, "col_divisors"_a, "threads"_a);
}

}  // namespace chainrule
