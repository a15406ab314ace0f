#include "bindings.hpp"

namespace chainrule {
namespace {

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

}  // namespace

void bind_linear(nb::module_& m) {
  m.def("linear", &linear, "x"_a, "weight"_a, "bias"_a.none(), "relu"_a, "threads"_a);
}

}  // namespace chainrule
