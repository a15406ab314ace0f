#include <string>

#include <nanobind/stl/string.h>

#include "bindings.hpp"

namespace chainrule {
namespace {

template <class T>
bool view(nb::handle array, NumberType type, Numbers& numbers) {
  Array<const T, As::strided> rows;
  rows.take(array.ptr());
  if (!rows || !fit(rows) || rows.ndim() != 2) return false;
  if (rows.shape(1) > 1 && rows.stride(1) != 1) return false;
  numbers = {rows.data(), type, static_cast<std::ptrdiff_t>(rows.shape(0)),
             static_cast<std::ptrdiff_t>(rows.shape(1)), rows.stride(0)};
  return true;
}

bool view(nb::handle array, Numbers& numbers) {
  return view<std::uint8_t>(array, NumberType::uint8, numbers) ||
         view<float>(array, NumberType::float32, numbers) ||
         view<double>(array, NumberType::float64, numbers);
}

nb::object nearest(nb::handle queries, nb::handle points, std::ptrdiff_t k,
                   const std::string& metric, int threads) {
  Numbers x, y;
  if (!view(queries, x) || !view(points, y)) return nb::none();
  require(x.width == y.width && 0 <= k && k <= y.rows, "nearest: shapes disagree");
  if (x.rows == 0 || x.width == 0 || k == 0) return nb::none();
  const bool l2 = metric == "l2", l1 = metric == "l1";
  require(l2 || l1 || metric == "cosine", "nearest: unknown metric");
  const auto rows = static_cast<std::size_t>(x.rows), columns = static_cast<std::size_t>(k);
  const New<double> distances = in_c_order<double>({rows, columns});
  const New<std::int64_t> index = in_c_order<std::int64_t>({rows, columns});
  bool done = false;
  run([&] {
    done = active().nearest(x, y, k, l2 ? Metric::l2 : l1 ? Metric::l1 : Metric::cosine,
                            distances.data(), index.data(), threads);
  });
  if (!done) return nb::none();
  return nb::make_tuple(distances.object(), index.object());
}

}  // namespace

void bind_neighbours(nb::module_& m) {
  m.def("nearest", &nearest, "queries"_a, "points"_a, "k"_a, "metric"_a, "threads"_a);
}

}  // namespace chainrule
