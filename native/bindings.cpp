// The module: choosing instruction sets, the memory of results, and each family's functions.
#define CHAINRULE_IMPORTS_NUMPY
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <string>
#include <vector>

#include "bindings.hpp"
#include "memory.hpp"

namespace chainrule {
namespace {

void choose_winograd_tile(int most_tile, bool everywhere) {
  require(most_tile == 0 || most_tile == 2 || most_tile == 4,
          "choose_winograd: squares have 2x2 or 4x4 outputs; 0 for none");
  choose_winograd({most_tile, everywhere});
}

nb::object empty(const std::vector<std::size_t>& shape) {
  const std::vector<npy_intp> sizes(shape.begin(), shape.end());
  return New<float>(static_cast<int>(sizes.size()), sizes.data(), nullptr).object();
}

double multiply_adds(std::ptrdiff_t steps, int threads) {
  require(steps >= 0 && threads >= 1 && threads <= 4096, "multiply_adds: steps or threads");
  return active().multiply_adds(steps, threads);
}

}  // namespace
}  // namespace chainrule

using namespace chainrule;

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
  m.def("multiply_adds", &multiply_adds, "steps"_a, "threads"_a,
        nb::call_guard<nb::gil_scoped_release>());
  bind_conv(m);
  bind_elementwise(m);
  bind_linear(m);
  bind_loss(m);
  bind_neighbours(m);
  bind_norm(m);
  bind_optimizer(m);
  bind_pool(m);
  bind_sampling(m);
}
