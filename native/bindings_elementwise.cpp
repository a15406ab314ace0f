#include "bindings.hpp"

namespace chainrule {
namespace {

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

}  // namespace

void bind_elementwise(nb::module_& m) {
  m.def("relu", &gate<&Kernels::relu>, "x"_a, "threads"_a);
  m.def("relu_backward", &gate_backward<&Kernels::relu_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("sigmoid", &gate<&Kernels::sigmoid>, "x"_a, "threads"_a);
  m.def("sigmoid_backward", &gate_backward<&Kernels::sigmoid_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("tanh", &gate<&Kernels::tanh>, "x"_a, "threads"_a);
  m.def("tanh_backward", &gate_backward<&Kernels::tanh_backward>, "g"_a, "y"_a, "threads"_a);
  m.def("add", &add, "a"_a, "b"_a, "threads"_a);
  m.def("accumulate", &accumulate, "a"_a, "b"_a, "threads"_a);
  m.def("dropout", &dropout, "x"_a, "p"_a, "key"_a, "threads"_a);
}

}  // namespace chainrule
