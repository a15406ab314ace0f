#include "bindings.hpp"

namespace chainrule {
namespace {

// Positions of a window along an axis.
std::ptrdiff_t positions(std::size_t pixels, std::size_t kernel, std::ptrdiff_t stride,
                         std::ptrdiff_t padding, std::ptrdiff_t dilation) {
  require(stride > 0 && dilation > 0 && padding >= 0,
          "conv2d: stride and dilation are at least 1, padding at least 0");
  constexpr std::ptrdiff_t most = std::ptrdiff_t{1} << 30;  // sums and products do not overflow
  require(pixels <= most && kernel <= most && stride <= most && padding <= most &&
              dilation <= most,
          "conv2d: sizes, strides, paddings and dilations go up to 2^30");
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

// An empty result needs no kernel: kernels have at least one channel on both sides.
template <class Kernel>
void fill(const New<float>& result, Kernel kernel) {
  if (!result.is_empty()) run(kernel);
}

// The result, as images (N, C, H, W).
New<float> convolve(const Convolution& c, const ChannelsLast& x, const Contiguous& weight,
                    const Vector& bias, const Epilogue& epilogue, int threads) {
  const auto outputs = static_cast<std::size_t>(c.outputs);
  const float* shifts = data_or_null(bias, outputs, "conv2d: bias and weight disagree");
  const New<float> y = images(x.shape(0), static_cast<std::size_t>(c.out_height),
                              static_cast<std::size_t>(c.out_width), outputs);
  fill(y, [&] {
    active().conv2d(c, x.data(), weight.data(), shifts, epilogue, y.data(), threads);
  });
  return y;
}

nb::object conv2d(const ChannelsLast& x, const Contiguous& weight, const Vector& bias,
                  Pair stride, Pair padding, Pair dilation, std::ptrdiff_t groups,
                  const Vector& scale, const Vector& shift, const ChannelsLast& add, bool relu,
                  int threads) {
  if (!fit(threads, x, weight, add)) return nb::none();
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
  if (!fit(threads, x, weight)) return nb::none();
  const Convolution c =
      convolution_of(shape_of(x), shape_of(weight), stride, padding, dilation, groups);
  if (x.size() == 0 || c.outputs == 0 || c.out_height == 0 || c.out_width == 0)
    return nb::none();
  const New<float> mean = in_c_order({weight.shape(0)}), var = in_c_order({weight.shape(0)});
  const Epilogue epilogue{nullptr, nullptr, nullptr, false, mean.data(), var.data()};
  const New<float> y = convolve(c, x, weight, bias, epilogue, threads);
  return nb::make_tuple(y.object(), mean.object(), var.object());
}

nb::object conv2d_input_grad(const ChannelsLast& g, const Contiguous& weight,
                             const Shape& x_shape, Pair stride, Pair padding, Pair dilation,
                             std::ptrdiff_t groups, int threads) {
  if (!fit(threads, g, weight)) return nb::none();
  const Shape x = in_memory(x_shape);
  const Convolution c = convolution_of(x, shape_of(weight), stride, padding, dilation, groups);
  require_result(c, shape_of(g));
  const New<float> dx = images(x[0], x[1], x[2], x[3]);
  fill(dx, [&] { active().conv2d_input_grad(c, g.data(), weight.data(), dx.data(), threads); });
  return dx.object();
}

nb::object conv2d_weight_grad(const ChannelsLast& g, const ChannelsLast& x,
                              const Shape& weight_shape, Pair stride, Pair padding, Pair dilation,
                              std::ptrdiff_t groups, int threads) {
  if (!fit(threads, g, x)) return nb::none();
  const Convolution c =
      convolution_of(shape_of(x), weight_shape, stride, padding, dilation, groups);
  require_result(c, shape_of(g));
  const New<float> dw =
      in_c_order({weight_shape[0], weight_shape[1], weight_shape[2], weight_shape[3]});
  fill(dw, [&] { active().conv2d_weight_grad(c, g.data(), x.data(), dw.data(), threads); });
  return dw.object();
}

using VolumeShape = std::array<std::size_t, 5>;

// volume is (N, D, H, W, C).
Frames frames_of(const VolumeShape& volume, std::ptrdiff_t taps, std::ptrdiff_t stride,
                 std::ptrdiff_t padding, std::ptrdiff_t dilation, std::ptrdiff_t groups) {
  const auto size = [&](int axis) { return static_cast<std::ptrdiff_t>(volume[axis]); };
  require(taps > 0 && groups > 0 && size(4) % groups == 0, "frames: taps and groups");
  require(dilation >= 0, "frames: dilation is at least 0");
  // Without dilation all taps see one frame.
  const std::ptrdiff_t places = dilation == 0
      ? positions(volume[1], 1, stride, padding, 1)
      : positions(volume[1], static_cast<std::size_t>(taps), stride, padding, dilation);
  const Frames f{size(0), size(1), size(2) * size(3), size(4), places,
                 taps, stride, padding, dilation, groups};
  return f;
}

nb::object gather_frames(const ChannelsLast& x, std::ptrdiff_t taps, std::ptrdiff_t stride,
                         std::ptrdiff_t padding, std::ptrdiff_t dilation, std::ptrdiff_t groups,
                         int threads) {
  if (!fit(threads, x)) return nb::none();
  require(x.ndim() == 5, "frames: needs 5 axes");
  const VolumeShape volume{x.shape(0), x.shape(1), x.shape(2), x.shape(3), x.shape(4)};
  const Frames f = frames_of(volume, taps, stride, padding, dilation, groups);
  const New<float> y = images(static_cast<std::size_t>(f.images * f.places), volume[2], volume[3],
                              static_cast<std::size_t>(taps * f.channels));
  fill(y, [&] { active().gather_frames(f, x.data(), y.data(), threads); });
  return y.object();
}

nb::object add_frames(const ChannelsLast& g, const VolumeShape& x_shape, std::ptrdiff_t taps,
                      std::ptrdiff_t stride, std::ptrdiff_t padding, std::ptrdiff_t dilation,
                      std::ptrdiff_t groups, int threads) {
  if (!fit(threads, g)) return nb::none();
  const auto [images, channels, depth, height, width] = x_shape;
  const Frames f = frames_of({images, depth, height, width, channels}, taps, stride, padding,
                             dilation, groups);
  const Shape gathered = shape_of(g);
  require(gathered[0] == static_cast<std::size_t>(f.images * f.places) && gathered[1] == height &&
              gathered[2] == width && gathered[3] == static_cast<std::size_t>(taps) * channels,
          "frames: shapes disagree");
  const New<float> dx = volumes(images, depth, height, width, channels);
  fill(dx, [&] { active().add_frames(f, g.data(), dx.data(), threads); });
  return dx.object();
}

}  // namespace

void bind_conv(nb::module_& m) {
  m.def("conv2d", &conv2d, "x"_a, "weight"_a, "bias"_a.none(), "stride"_a, "padding"_a,
        "dilation"_a, "groups"_a, "scale"_a.none(), "shift"_a.none(), "add"_a.none(), "relu"_a,
        "threads"_a);
  m.def("conv2d_moments", &conv2d_moments, "x"_a, "weight"_a, "bias"_a.none(), "stride"_a,
        "padding"_a, "dilation"_a, "groups"_a, "threads"_a);
  m.def("conv2d_input_grad", &conv2d_input_grad, "g"_a, "weight"_a, "x_shape"_a, "stride"_a,
        "padding"_a, "dilation"_a, "groups"_a, "threads"_a);
  m.def("conv2d_weight_grad", &conv2d_weight_grad, "g"_a, "x"_a, "weight_shape"_a, "stride"_a,
        "padding"_a, "dilation"_a, "groups"_a, "threads"_a);
  m.def("gather_frames", &gather_frames, "x"_a, "taps"_a, "stride"_a, "padding"_a, "dilation"_a,
        "groups"_a, "threads"_a);
  m.def("add_frames", &add_frames, "g"_a, "x_shape"_a, "taps"_a, "stride"_a, "padding"_a,
        "dilation"_a, "groups"_a, "threads"_a);
}

}  // namespace chainrule
