// Tiles of sums over pairs of rows, a query and a point: of products, or of absolute differences.
//
// Rows are cut into cells, as many numbers as a lane of a vector holds. A tile goes through the
// cells of a few queries and of a panel of points, which stand side by side: a cell of a query is
// spread over a vector and meets the cells of all points at once. What happens then, and what is
// in a cell, is all that differs between the kinds of cells.
#pragma once
#include "register_tile.hpp"

namespace chainrule::CHAINRULE_ISA {

typedef std::int64_t LongVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));

inline Vector spread(float x) { return broadcast(x); }

inline IntVector spread(std::int32_t x) {
#if CHAINRULE_VECTOR_BYTES == 64
  return IntVector{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif CHAINRULE_VECTOR_BYTES == 32
  return IntVector{x, x, x, x, x, x, x, x};
#else
  return IntVector{x, x, x, x};
#endif
}

inline LongVector spread(std::int64_t x) {
#if CHAINRULE_VECTOR_BYTES == 64
  return LongVector{x, x, x, x, x, x, x, x};
#elif CHAINRULE_VECTOR_BYTES == 32
  return LongVector{x, x, x, x};
#else
  return LongVector{x, x};
#endif
}

// A float; |x - y| is added up.
struct Floats {
  using Cell = float;
  using Lanes = Vector;
  using Sum = float;
  static Vector add(Vector sum, Vector x, Vector y) {
    typedef std::uint32_t Bits __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
    const Bits difference = reinterpret_cast<Bits>(x - y);
    return sum + reinterpret_cast<Vector>(difference & (Bits{} + 0x7fffffffu));
  }
};

// Two whole numbers of 16 bits; products are added up. One instruction where there is one for it.
struct Pairs {
  using Cell = std::int32_t;
  using Lanes = IntVector;
  using Sum = std::int32_t;
  static IntVector add(IntVector sum, IntVector x, IntVector y) {
#if defined(__x86_64__) && CHAINRULE_VECTOR_BYTES > 16
    IntVector products;
    asm("vpmaddwd %2, %1, %0" : "=v"(products) : "v"(y), "v"(x));
    return sum + products;
#else
    return sum + ((x << 16 >> 16) * (y << 16 >> 16) + (x >> 16) * (y >> 16));
#endif
  }
};

// Eight bytes; |x - y| is added up.
struct Octets {
  using Cell = std::int64_t;
  using Lanes = LongVector;
  using Sum = std::int32_t;
  static LongVector add(LongVector sum, LongVector x, LongVector y) {
#if defined(__x86_64__) && CHAINRULE_VECTOR_BYTES > 16
    LongVector gaps;
    asm("vpsadbw %2, %1, %0" : "=v"(gaps) : "v"(y), "v"(x));
    return sum + gaps;
#else
    typedef std::uint8_t Bytes __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
    const Bytes a = reinterpret_cast<Bytes>(x), b = reinterpret_cast<Bytes>(y);
    const LongVector gaps = reinterpret_cast<LongVector>(a > b ? a - b : b - a);
    const LongVector by_two = (gaps & 0x00ff00ff00ff00ff) + (gaps >> 8 & 0x00ff00ff00ff00ff);
    const LongVector by_four = (by_two & 0x0000ffff0000ffff) + (by_two >> 16 & 0x0000ffff0000ffff);
    return sum + (by_four & 0xffffffff) + (by_four >> 32 & 0xffffffff);
#endif
  }
};

constexpr int panel_vectors = 2;

// Points of a panel.
template <class Kind>
constexpr Index panel_width =
    panel_vectors * CHAINRULE_VECTOR_BYTES / static_cast<Index>(sizeof(typename Kind::Cell));

using NeighbourTiles = RegisterTile<14>;
constexpr Index most_tile_rows = NeighbourTiles::most_rows(panel_vectors);

// sums[r][j] = starts[j] + the sum over cells of x[cell][r] and y[cell][j].
template <class Kind, int Rows>
void neighbour_tile(const void* queries, const void* points, Index cells,
                    const std::int32_t* starts, void* sums) {
  using Lanes = typename Kind::Lanes;
  constexpr Index width = panel_width<Kind>, half = width / panel_vectors;
  const auto* x = static_cast<const typename Kind::Cell*>(queries);
  const auto* y = static_cast<const typename Kind::Cell*>(points);
  Lanes acc[Rows][panel_vectors] = {};
  if constexpr (half * sizeof(*starts) == sizeof(Lanes)) {
    if (starts)
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) std::memcpy(acc[r], starts, sizeof acc[r]);
  }
  for (Index cell = 0; cell < cells; ++cell, x += Rows, y += width) {
    Lanes these[panel_vectors];
    std::memcpy(these, y, sizeof these);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Lanes value = spread(x[r]);
#pragma GCC unroll 2
      for (int v = 0; v < panel_vectors; ++v)
        acc[r][v] = Kind::add(acc[r][v], value, these[v]);
    }
  }
  auto* out = static_cast<typename Kind::Sum*>(sums);
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < panel_vectors; ++v, out += half) {
      typedef typename Kind::Sum Sums __attribute__((vector_size(half * sizeof(float))));
      const Sums narrow = __builtin_convertvector(acc[r][v], Sums);
      std::memcpy(out, &narrow, sizeof narrow);
    }
}

using NeighbourTile = void (*)(const void* queries, const void* points, Index cells,
                               const std::int32_t* starts, void* sums);

template <class Kind>
NeighbourTile neighbour_tile_of(Index rows) {
  return NeighbourTiles::of(rows, panel_vectors, []<int Rows, int Vectors>() {
    static_assert(Vectors <= panel_vectors);
    return neighbour_tile<Kind, Rows>;
  });
}

// By instructions that multiply and add up at once; null where the processor has none. The first
// is as that of Pairs, the second has cells of four bytes, unsigned ones of queries and signed ones
// of points, whose products are added up.
NeighbourTile pair_tile_of(Index rows);
NeighbourTile byte_tile_of(Index rows);

}  // namespace chainrule::CHAINRULE_ISA
