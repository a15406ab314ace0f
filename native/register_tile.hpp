// Tiles of sums that stay in registers: rows (of pixels, of input channels) by one or two vectors.
#pragma once
#include "simd.hpp"

namespace chainrule::CHAINRULE_ISA {

// A function is a template of a number where the compiler is to unroll by it:
// instance<most>(n, choose) is choose<n>() for an n from 1 to `most` that is known at run time.
template <int most, class Choose>
auto instance(Index n, Choose choose) {
  if constexpr (most > 1)
    if (n != most) return instance<most - 1>(n, choose);
  return choose.template operator()<most>();
}

// The sizes of a family's tiles, none with more than `limit` rows.
template <int limit = registers>
struct RegisterTile {
  // The registers hold all sums, a vector of each column and one value of a row.
  static constexpr int most_rows(Index vectors) {
    return smaller(vectors == 2 ? (registers - 3) / 2 : registers - 2, limit);
  }

  // choose<rows, vectors>() for 1 to most_rows(vectors) rows of 1 or 2 vectors.
  template <class Choose>
  static auto of(Index rows, Index vectors, Choose choose) {
    return vectors == 2 ? of_vectors<2>(rows, choose) : of_vectors<1>(rows, choose);
  }

 private:
  template <int vectors, class Choose>
  static auto of_vectors(Index rows, Choose choose) {
    return instance<most_rows(vectors)>(
        rows, [choose]<int count>() { return choose.template operator()<count, vectors>(); });
  }
};

}  // namespace chainrule::CHAINRULE_ISA
