// Contract: reference/linear.py. C = A B + bias on packed panels.
//
// The depth is cut into slices; of a slice, A is packed into panels of a few rows and B into
// panels of one or two vectors, so that the innermost loop reads both in order. A tile of C is
// the product of two panels and lives in registers. Each tile belongs to one task and the
// slices follow each other in order: the bits do not depend on the number of threads.
// Source: Goto & van de Geijn 2008, "Anatomy of high-performance matrix multiplication".
#include "linear.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr Index slice_depth = 256;
constexpr Index panels_of_a_task = 4;
constexpr Index work_of_a_thread = Index{1} << 18;  // multiplications worth waking one for

// Rows of a tile when a panel of B is V vectors wide: accumulators, V of B, one of A.
constexpr int most_rows(int vectors) { return smaller((registers - 1 - vectors) / vectors, 16); }

// How C is cut into tiles.
struct Cut {
  Index tile_rows, row_panels;
  Index tile_cols, col_panels;
};

// c[r][j] = init[r][j] + sum over k of a[k][r] * b[k][j], a whole tile; init_step 0 repeats one
// row, init null is zero.
template <int Rows, int Vectors>
void tile(const float* a, const float* b, Index depth, const float* init, Index init_step,
          float* c, Index c_step) {
  Vector acc[Rows][Vectors];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      acc[r][v] = init ? load(init + r * init_step + v * lanes) : Vector{};

  for (Index k = 0; k < depth; ++k, a += Rows, b += Vectors * lanes) {
    Vector w[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) w[v] = load(b + v * lanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector value = broadcast(a[r]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) acc[r][v] += value * w[v];
    }
  }

#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) store(c + r * c_step + v * lanes, acc[r][v]);
}

using Tile = void (*)(const float*, const float*, Index, const float*, Index, float*, Index);

template <int Vectors, int Rows = most_rows(Vectors)>
Tile tile_of(Index rows) {
  if (rows == Rows) return tile<Rows, Vectors>;
  if constexpr (Rows > 1) return tile_of<Vectors, Rows - 1>(rows);
  return nullptr;
}

typedef float Quad __attribute__((vector_size(16)));
typedef float UnalignedQuad __attribute__((vector_size(16), aligned(4), may_alias));

// Lanes of a and b, numbered through. GCC has the first form since version 12 only.
#ifdef __clang__
#define CHAINRULE_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
typedef int QuadMask __attribute__((vector_size(16)));
#define CHAINRULE_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, QuadMask{__VA_ARGS__})
#endif

// out[j][i] = in[i][j], four by four.
void transpose(const float* in, Index in_step, float* out, Index out_step) {
  Quad row[4];
  for (int i = 0; i < 4; ++i) row[i] = *reinterpret_cast<const UnalignedQuad*>(in + i * in_step);
  const Quad low01 = CHAINRULE_SHUFFLE(row[0], row[1], 0, 4, 1, 5);
  const Quad low23 = CHAINRULE_SHUFFLE(row[2], row[3], 0, 4, 1, 5);
  const Quad high01 = CHAINRULE_SHUFFLE(row[0], row[1], 2, 6, 3, 7);
  const Quad high23 = CHAINRULE_SHUFFLE(row[2], row[3], 2, 6, 3, 7);
  const Quad col[4] = {CHAINRULE_SHUFFLE(low01, low23, 0, 1, 4, 5),
                       CHAINRULE_SHUFFLE(low01, low23, 2, 3, 6, 7),
                       CHAINRULE_SHUFFLE(high01, high23, 0, 1, 4, 5),
                       CHAINRULE_SHUFFLE(high01, high23, 2, 3, 6, 7)};
  for (int j = 0; j < 4; ++j) *reinterpret_cast<UnalignedQuad*>(out + j * out_step) = col[j];
}

// panel[k][i] = m[i][k] for i below `count`, zero up to `width`. `along` steps to the next i,
// `down` to the next k.
void pack(const float* m, Index along, Index down, Index count, Index width, Index depth,
          float* panel) {
  Index whole = 0, deep = 0;  // what is moved in squares
  if (down == 1) {
    whole = count / 4 * 4;
    deep = depth / 4 * 4;
    for (Index i = 0; i < whole; i += 4)
      for (Index k = 0; k < deep; k += 4)
        transpose(m + i * along + k, along, panel + k * width + i, width);
  }
  for (Index k = 0; k < depth; ++k) {
    for (Index i = k < deep ? whole : 0; i < count; ++i)
      panel[k * width + i] = m[k * down + i * along];
    for (Index i = count; i < width; ++i) panel[k * width + i] = 0;
  }
}

// A tile that reaches beyond C, by way of one that does not.
void edge_tile(Tile multiply, const Cut& cut, const float* a, const float* b, Index depth,
               const float* init, Index init_step, float* c, Index c_step, Index rows,
               Index cols) {
  float whole[16 * 2 * lanes] = {};
  const std::size_t row_bytes = static_cast<std::size_t>(cols) * sizeof(float);
  if (init)
    for (Index r = 0; r < rows; ++r)
      std::memcpy(whole + r * cut.tile_cols, init + r * init_step, row_bytes);
  multiply(a, b, depth, whole, cut.tile_cols, whole, cut.tile_cols);
  for (Index r = 0; r < rows; ++r)
    std::memcpy(c + r * c_step, whole + r * cut.tile_cols, row_bytes);
}

Cut cut_into_tiles(Index rows, Index cols) {
  const Index vectors = cols <= lanes ? 1 : 2;
  const Index most = vectors == 1 ? most_rows(1) : most_rows(2);
  const Index row_panels = ceil_div(rows, most);
  return {
      .tile_rows = ceil_div(rows, row_panels),  // even panels rather than a thin last one
      .row_panels = row_panels,
      .tile_cols = vectors * lanes,
      .col_panels = ceil_div(cols, vectors * lanes),
  };
}

}  // namespace

void matrix_product(const Operand& a, const Operand& b, const float* bias, float* c, Index rows,
                    Index cols, Index depth, int threads) {
  if (rows == 0 || cols == 0) return;
  const Cut size = cut_into_tiles(rows, cols);
  const Tile multiply =
      size.tile_cols == lanes ? tile_of<1>(size.tile_rows) : tile_of<2>(size.tile_rows);
  const Index work = rows * cols * larger<Index>(depth, 1) / work_of_a_thread;
  threads = static_cast<int>(smaller<Index>(threads, 1 + work));

  const Index deepest = smaller(depth, slice_depth);
  Scratch a_panels(size.row_panels * size.tile_rows * deepest);
  Scratch b_panels(size.col_panels * size.tile_cols * deepest);
  const Index row_groups = ceil_div(size.row_panels, panels_of_a_task);

  Index first = 0;
  do {  // once at least: without depth, C is the bias
    const Index slice = smaller(depth - first, slice_depth);
    parallel_for(threads, static_cast<std::size_t>(size.row_panels + size.col_panels),
                 [&](std::size_t task) {
      Index p = static_cast<Index>(task);
      if (p < size.row_panels) {
        const Index row = p * size.tile_rows;
        pack(a.data + row * a.row_step + first * a.col_step, a.row_step, a.col_step,
             smaller(size.tile_rows, rows - row), size.tile_rows, slice,
             a_panels + p * size.tile_rows * slice);
      } else {
        p -= size.row_panels;
        const Index col = p * size.tile_cols;
        pack(b.data + col * b.col_step + first * b.row_step, b.col_step, b.row_step,
             smaller(size.tile_cols, cols - col), size.tile_cols, slice,
             b_panels + p * size.tile_cols * slice);
      }
    });
    parallel_for(threads, static_cast<std::size_t>(row_groups * size.col_panels),
                 [&](std::size_t task) {
      const Index group = static_cast<Index>(task) % row_groups;
      const Index col_panel = static_cast<Index>(task) / row_groups;
      const Index col = col_panel * size.tile_cols;
      const Index end = smaller((group + 1) * panels_of_a_task, size.row_panels);
      for (Index p = group * panels_of_a_task; p < end; ++p) {
        const Index row = p * size.tile_rows;
        float* out = c + row * cols + col;
        const float* a_panel = a_panels + p * size.tile_rows * slice;
        const float* b_panel = b_panels + col_panel * size.tile_cols * slice;
        const float* init = first > 0 ? out : bias ? bias + col : nullptr;
        const Index init_step = first > 0 ? cols : 0;
        if (row + size.tile_rows <= rows && col + size.tile_cols <= cols)
          multiply(a_panel, b_panel, slice, init, init_step, out, cols);
        else
          edge_tile(multiply, size, a_panel, b_panel, slice, init, init_step, out, cols,
                    smaller(size.tile_rows, rows - row), smaller(size.tile_cols, cols - col));
      }
    });
    first += slice_depth;
  } while (first < depth);
}

}  // namespace chainrule::CHAINRULE_ISA
