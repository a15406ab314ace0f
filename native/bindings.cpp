// The only file that knows Python. Each function fills arrays that the caller made; the Python
// side (src/chainrule/kernels/native.py) checks dtype and layout and decides what to send here.
//
// Every array is .noconvert(): nanobind would otherwise hand us a silent temporary copy, and
// what we write would be lost.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <numeric>
#include <stdexcept>

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
  const std::size_t count =
      std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
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

}  // namespace

NB_MODULE(_native, m) {
  m.doc() = "Compiled kernels; use them through chainrule.kernels.";
  m.def("instruction_sets", &available_instruction_sets);
  m.def("instruction_set", [] { return std::string(active().instruction_set); });
  m.def("choose", &choose, "instruction_set"_a);
  m.def("empty", &empty, "shape"_a);
  m.def("kept_bytes", &kept_bytes);
  m.def("release_kept", &release_kept);
  m.def("relu", &relu, "x"_a.noconvert(), "y"_a.noconvert(), "threads"_a, ReleaseGil());
  m.def("relu_backward", &relu_backward, "g"_a.noconvert(), "y"_a.noconvert(),
        "dx"_a.noconvert(), "threads"_a, ReleaseGil());
}
