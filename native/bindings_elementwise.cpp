#include "bindings.hpp"

namespace chainrule {
namespace {

// A function of each element, and the gradient of one from its result or its argument.
template <auto kernel, class... Settings>
nb::object gate(const Gapless& x, Settings... settings, int threads) {
  if (!fit(x)) return nb::none();
  const New<float> y = like(x);
  run([&] { (active().*kernel)(x.data(), y.data(), x.size(), settings..., threads); });
  return y.object();
}

template <auto kernel, class... Settings>
nb::object gate_backward(const Gapless& g, const Gapless& known, Settings... settings,
                         int threads) {
  if (!fit(g, known) || !same_layout(g, known)) return nb::none();
  const New<float> dx = like(known);
  run([&] {
    (active().*kernel)(g.data(), known.data(), dx.data(), known.size(), settings..., threads);
  });
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

bool clamp_in_place(const Array<float, As::gapless>& x, float low, float high, int threads) {
  if (!fit(x)) return false;
  run([&] { active().hardtanh(x.data(), x.data(), x.size(), low, high, threads); });
  return true;
}

template <class Array>
nb::object drop(const Array& x, double p, std::uint64_t key, int threads) {
  if (!fit(threads, x)) return nb::none();
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

}  // namespace

void bind_elementwise(nb::module_& m) {
  m.def("relu", &gate<&Kernels::relu>, "x"_a, "threads"_a);
  m.def("relu_backward", &gate_backward<&Kernels::relu_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("sigmoid", &gate<&Kernels::sigmoid>, "x"_a, "threads"_a);
  m.def("sigmoid_backward", &gate_backward<&Kernels::sigmoid_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("tanh", &gate<&Kernels::tanh>, "x"_a, "threads"_a);
  m.def("tanh_backward", &gate_backward<&Kernels::tanh_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("leaky_relu", &gate<&Kernels::leaky_relu, float>, "x"_a, "slope"_a, "threads"_a);
  m.def("leaky_relu_backward", &gate_backward<&Kernels::leaky_relu_backward, float>, "g"_a, "x"_a,
        "slope"_a, "threads"_a);
  m.def("elu", &gate<&Kernels::elu, float, float, float>, "x"_a, "alpha"_a, "scale"_a,
        "input_scale"_a, "threads"_a);
  m.def("elu_backward", &gate_backward<&Kernels::elu_backward, float, float, float>, "g"_a, "x"_a,
        "alpha"_a, "scale"_a, "input_scale"_a, "threads"_a);
  m.def("gelu", &gate<&Kernels::gelu, bool>, "x"_a, "by_tanh"_a, "threads"_a);
  m.def("gelu_backward", &gate_backward<&Kernels::gelu_backward, bool>, "g"_a, "x"_a, "by_tanh"_a,
        "threads"_a);
  m.def("silu", &gate<&Kernels::silu>, "x"_a, "threads"_a);
  m.def("silu_backward", &gate_backward<&Kernels::silu_backward>, "g"_a, "x"_a, "threads"_a);
  m.def("hardswish", &gate<&Kernels::hardswish>, "x"_a, "threads"_a);
  m.def("hardswish_backward", &gate_backward<&Kernels::hardswish_backward>, "g"_a, "x"_a,
        "threads"_a);
  m.def("hardsigmoid", &gate<&Kernels::hardsigmoid>, "x"_a, "threads"_a);
  m.def("hardsigmoid_backward", &gate_backward<&Kernels::hardsigmoid_backward>, "g"_a, "x"_a, "threads"_a);
  m.def("mish", &gate<&Kernels::mish>, "x"_a, "threads"_a);
  m.def("mish_backward", &gate_backward<&Kernels::mish_backward>, "g"_a, "x"_a, "threads"_a);
  m.def("hardtanh", &gate<&Kernels::hardtanh, float, float>, "x"_a, "low"_a, "high"_a,
        "threads"_a);
  m.def("hardtanh_backward", &gate_backward<&Kernels::hardtanh_backward, float, float>, "g"_a,
        "x"_a, "low"_a, "high"_a, "threads"_a);
  m.def("clamp_backward", &gate_backward<&Kernels::clamp_backward, float, float>, "g"_a, "x"_a,
        "low"_a, "high"_a, "threads"_a);
  m.def("clamp_in_place", &clamp_in_place, "x"_a, "low"_a, "high"_a, "threads"_a);
  m.def("softplus", &gate<&Kernels::softplus, float, float>, "x"_a, "beta"_a, "threshold"_a,
        "threads"_a);
  m.def("softplus_backward", &gate_backward<&Kernels::softplus_backward, float, float>, "g"_a,
        "x"_a, "beta"_a, "threshold"_a, "threads"_a);
  m.def("logsigmoid", &gate<&Kernels::logsigmoid>, "x"_a, "threads"_a);
  m.def("logsigmoid_backward", &gate_backward<&Kernels::logsigmoid_backward>, "g"_a, "x"_a,
        "threads"_a);
  m.def("hardshrink", &gate<&Kernels::hardshrink, float>, "x"_a, "lambd"_a, "threads"_a);
  m.def("softshrink", &gate<&Kernels::softshrink, float>, "x"_a, "lambd"_a, "threads"_a);
  m.def("shrink_backward", &gate_backward<&Kernels::shrink_backward, float>, "g"_a, "x"_a,
        "lambd"_a, "threads"_a);
  m.def("add", &add, "a"_a, "b"_a, "threads"_a);
  m.def("accumulate", &accumulate, "a"_a, "b"_a, "threads"_a);
  m.def("dropout", &dropout, "x"_a, "p"_a, "key"_a, "threads"_a);
}

}  // namespace chainrule
