// What bindings of the kernels share. These, one file a family, are with arrays.hpp the only ones
// that know Python: functions take arrays as the contract has them, make the result, and return
// None for what reference does.
#pragma once
#include <nanobind/nanobind.h>
#include <nanobind/stl/array.h>
#include <nanobind/stl/pair.h>

#include <array>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "arrays.hpp"
#include "dispatch.hpp"

namespace chainrule {

using namespace nanobind::literals;

using Gapless = Array<const float, As::gapless>;
using Contiguous = Array<const float, As::contiguous>;
using ChannelsLast = Array<const float, As::channels_last>;
using Vector = Array<const float, As::vector>;

// The Python side never sends disagreeing shapes; out-of-bounds memory is not worth the trust.
inline void require(bool condition, const char* what) {
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
inline Shape in_memory(const Shape& images) { return {images[0], images[2], images[3], images[1]}; }

// Adds a family's functions to the module.
void bind_conv(nb::module_& m);
void bind_elementwise(nb::module_& m);
void bind_linear(nb::module_& m);
void bind_loss(nb::module_& m);
void bind_neighbours(nb::module_& m);
void bind_norm(nb::module_& m);
void bind_optimizer(nb::module_& m);
void bind_pool(nb::module_& m);
void bind_sampling(nb::module_& m);

}  // namespace chainrule
