// Contract: reference/linear.py. C = A B + bias, by two kernels that need no transposed copy:
//
// - Rows of A and columns of B that are contiguous along the depth (x Wᵀ, the forward pass):
//   products of vectors along the depth, summed across the lanes at the end.
// - Rows of B that are contiguous (g W and gᵀ x, the gradients): a vector of a row of B times
//   single values of A.
//
// C is cut into blocks by its sizes alone, each a task that goes through the whole depth in
// order: the bits do not depend on the number of threads.
// Source of the blocking: Goto & van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication".
#include "linear.hpp"

#include "register_tile.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// A block of C and what it is the product of.
struct Block {
  Operand a, b;
  const float* bias;
  float* c;
  Index c_step;
  Index rows, cols, depth;
  bool relu;
  bool onto = false;  // C += AB; for blocks of panels
};

// Part `part` of `parts` even ones of n.
Index part_of(Index n, Index part, Index parts) { return n * part / parts; }

// ---- Sums along the depth ---------------------------------------------------------------

constexpr Index group = 4;  // columns of a tile
constexpr int most_dot_rows = registers == 32 ? 6 : 3;
// Low tiles pass over the columns more often, so these must stay in a nearer cache.
constexpr Index dot_slice = registers == 32 ? 4096 : 1024;

typedef std::int32_t Mask __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
typedef float Quad __attribute__((vector_size(16), may_alias));
typedef float UnalignedQuad __attribute__((vector_size(16), aligned(4), may_alias));

// Lanes of a and b, numbered through. GCC has the first form since version 12 only.
#ifdef __clang__
#define CHAINRULE_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define CHAINRULE_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, Mask{__VA_ARGS__})
#endif

// The same pattern in each group of four lanes.
#if CHAINRULE_VECTOR_BYTES == 64
#define CHAINRULE_QUADS(pattern) pattern(0), pattern(4), pattern(8), pattern(12)
#elif CHAINRULE_VECTOR_BYTES == 32
#define CHAINRULE_QUADS(pattern) pattern(0), pattern(4)
#else
#define CHAINRULE_QUADS(pattern) pattern(0)
#endif
#define CHAINRULE_LOW(q) q, q + lanes, q + 1, q + lanes + 1
#define CHAINRULE_HIGH(q) q + 2, q + lanes + 2, q + 3, q + lanes + 3
#define CHAINRULE_FRONT(q) q, q + 1, q + lanes, q + lanes + 1
#define CHAINRULE_BACK(q) q + 2, q + 3, q + lanes + 2, q + lanes + 3

// The four sums over the lanes.
Quad lane_sums(Vector a, Vector b, Vector c, Vector d) {
  const Vector ab = CHAINRULE_SHUFFLE(a, b, CHAINRULE_QUADS(CHAINRULE_LOW)) +
                    CHAINRULE_SHUFFLE(a, b, CHAINRULE_QUADS(CHAINRULE_HIGH));
  const Vector cd = CHAINRULE_SHUFFLE(c, d, CHAINRULE_QUADS(CHAINRULE_LOW)) +
                    CHAINRULE_SHUFFLE(c, d, CHAINRULE_QUADS(CHAINRULE_HIGH));
  const Vector abcd = CHAINRULE_SHUFFLE(ab, cd, CHAINRULE_QUADS(CHAINRULE_FRONT)) +
                      CHAINRULE_SHUFFLE(ab, cd, CHAINRULE_QUADS(CHAINRULE_BACK));
  const Quad* quads = reinterpret_cast<const Quad*>(&abcd);
  Quad sum = quads[0];
  for (Index q = 1; q < lanes / 4; ++q) sum += quads[q];
  return sum;
}

// Ones from `first` on: what of a last, overlapping vector is not yet summed.
Mask lanes_from(Index first) {
  Mask mask;
  for (Index i = 0; i < lanes; ++i) mask[i] = i < first ? 0 : -1;
  return mask;
}

Vector masked(Vector v, Mask mask) { return reinterpret_cast<Vector>(reinterpret_cast<Mask>(v) & mask); }

// Depth in whole vectors, and one that overlaps them (`rest` lanes of it count).
struct Depth {
  Index size, whole, rest;
  Mask mask;
  explicit Depth(Index depth)
      : size(depth), whole(depth / lanes), rest(depth % lanes), mask(lanes_from(lanes - rest)) {}
  Index vectors() const { return whole + (rest > 0); }
};

// packed[k][r] = vector k of row r.
void interleave(const float* a, Index step, int rows, const Depth& depth, float* packed) {
  for (int r = 0; r < rows; ++r, a += step) {
    float* out = packed + r * lanes;
    for (Index k = 0; k < depth.whole; ++k, out += rows * lanes) store(out, load(a + k * lanes));
    if (depth.rest) store(out, masked(load(a + depth.size - lanes), depth.mask));
  }
}

// sums[r] = the products of row r with four columns.
template <int Rows>
void dots(const float* a, const float* const b[group], const Depth& depth, Quad sums[]) {
  Vector acc[Rows][group] = {};
  const float *b0 = b[0], *b1 = b[1], *b2 = b[2], *b3 = b[3];
  const auto add = [&](Vector v0, Vector v1, Vector v2, Vector v3) __attribute__((always_inline)) {
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      const Vector value = load(a + r * lanes);
      acc[r][0] += value * v0;
      acc[r][1] += value * v1;
      acc[r][2] += value * v2;
      acc[r][3] += value * v3;
    }
    a += Rows * lanes;
  };
  const Index end = depth.whole * lanes;
  for (Index k = 0; k < end; k += lanes) add(load(b0 + k), load(b1 + k), load(b2 + k), load(b3 + k));
  if (depth.rest) {
    const Index k = depth.size - lanes;
    add(masked(load(b0 + k), depth.mask), masked(load(b1 + k), depth.mask),
        masked(load(b2 + k), depth.mask), masked(load(b3 + k), depth.mask));
  }
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r)
    sums[r] = lane_sums(acc[r][0], acc[r][1], acc[r][2], acc[r][3]);
}

// One slice of the depth of a block; the first one starts with the bias, the last one ends
// with relu.
void dot_slice_of(const Block& block, Index first, Index last, float* packed) {
  const Depth depth(last - first);
  const bool relu = block.relu && last == block.depth;
  const Index tiles = ceil_div<Index>(block.rows, most_dot_rows);
  for (Index t = 0; t < tiles; ++t) {
    const Index row = part_of(block.rows, t, tiles);
    const Index rows = part_of(block.rows, t + 1, tiles) - row;
    interleave(block.a.data + row * block.a.row_step + first, block.a.row_step,
               static_cast<int>(rows), depth, packed);
    const auto multiply =
        instance<most_dot_rows>(rows, []<int Rows>() { return dots<Rows>; });
    for (Index col = 0; col < block.cols; col += group) {
      const Index cols = smaller(group, block.cols - col);
      const float* b[group];
      for (Index j = 0; j < group; ++j)
        b[j] = block.b.data + (col + smaller(j, cols - 1)) * block.b.col_step + first;
      Quad sums[most_dot_rows];
      multiply(packed, b, depth, sums);
      const float* bias = block.bias ? block.bias + col : nullptr;
      for (Index r = 0; r < rows; ++r) {
        float* out = block.c + (row + r) * block.c_step + col;
        const float* before = first > 0 ? out : bias;
        if (cols == group) {
          if (before) sums[r] += *reinterpret_cast<const UnalignedQuad*>(before);
          if (relu) sums[r] = sums[r] < 0 ? Quad{} : sums[r];  // NaN stays
          *reinterpret_cast<UnalignedQuad*>(out) = sums[r];
        } else {
          for (Index j = 0; j < cols; ++j) {
            const float sum = before ? before[j] + sums[r][j] : sums[r][j];
            out[j] = relu && sum < 0 ? 0.0f : sum;
          }
        }
      }
    }
  }
}

void dot_block(const Block& block) {
  const Index slices = ceil_div(block.depth, dot_slice);
  const Index steps = ceil_div(block.depth, lanes);
  Scratch packed((ceil_div(steps, slices) + 1) * lanes * most_dot_rows);
  for (Index s = 0; s < slices; ++s)
    dot_slice_of(block, part_of(steps, s, slices) * lanes,
                 smaller(block.depth, part_of(steps, s + 1, slices) * lanes), packed);
}

// ---- Values of A times rows of B ----------------------------------------------------------

constexpr Index panel_slice = 384;
constexpr Index most_strip = 256;  // columns that are packed at a time

using TileSize = RegisterTile<14>;

struct Addend {  // row r, column j at data[r * step + j]; null is zero
  const float* data;
  Index step;
};

// c[r][j] = sum over k of a[r][k] * b[k][j] + addend, a whole tile.
template <int Rows, int Vectors>
void tile(const Operand& a, const float* b, Index b_step, Index depth, Addend addend, bool relu,
          float* c, Index c_step) {
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) __builtin_prefetch(c + r * c_step + v * lanes, 1);
  Vector acc[Rows][Vectors] = {};

  // Three rows from one pointer: processors address p, p + step and p + 2 step for nothing.
  constexpr int pointers = (Rows + 2) / 3;
  const Index step = a.row_step;
  const float* p[pointers];
#pragma GCC unroll 8
  for (int i = 0; i < pointers; ++i) p[i] = a.data + i * 3 * step;
  for (Index k = 0; k < depth; ++k, b += b_step) {
    Vector w[Vectors];
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) w[v] = load(b + v * lanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector value = broadcast(p[r / 3][r % 3 * step]);
#pragma GCC unroll 2
      for (int v = 0; v < Vectors; ++v) acc[r][v] += value * w[v];
    }
#pragma GCC unroll 8
    for (int i = 0; i < pointers; ++i) p[i] += a.col_step;
  }

#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v) {
      if (addend.data) acc[r][v] += load(addend.data + r * addend.step + v * lanes);
      if (relu) acc[r][v] = acc[r][v] < 0 ? Vector{} : acc[r][v];  // NaN stays
      store(c + r * c_step + v * lanes, acc[r][v]);
    }
}

using Tile = void (*)(const Operand&, const float*, Index, Index, Addend, bool, float*, Index);

// Columns of a panel: two vectors, one where that suffices.
Index width_at(Index col, Index cols) { return cols - col > lanes ? 2 * lanes : lanes; }

// Panel by panel packed[k][j] = b[k][j], zero beyond `cols`; row by row, as they lie in memory.
void pack(const Operand& b, Index depth, Index cols, float* packed) {
  for (Index k = 0; k < depth; ++k) {
    const float* row = b.data + k * b.row_step;
    for (Index col = 0; col < cols;) {
      const Index width = width_at(col, cols);
      float* out = packed + col * depth + k * width;
      if (b.col_step == 1 && col + width <= cols) {
        for (Index j = 0; j < width; j += lanes) store(out + j, load(row + col + j));
      } else {
        const Index count = smaller(width, cols - col);
        for (Index j = 0; j < count; ++j) out[j] = row[(col + j) * b.col_step];
        for (Index j = count; j < width; ++j) out[j] = 0;
      }
      col += width;
    }
  }
}

// A tile that reaches beyond C, by way of one that does not.
void edge_tile(Tile multiply, const Operand& a, const float* b, Index width, Index depth,
               Addend addend, bool relu, float* c, Index c_step, Index rows, Index cols) {
  float whole[16 * 2 * lanes] = {};
  if (addend.data)
    for (Index r = 0; r < rows; ++r)
      for (Index j = 0; j < cols; ++j) whole[r * width + j] = addend.data[r * addend.step + j];
  multiply(a, b, width, depth, {whole, width}, relu, whole, width);
  for (Index r = 0; r < rows; ++r)
    for (Index j = 0; j < cols; ++j) c[r * c_step + j] = whole[r * width + j];
}

// Rows (or columns) of A that lie a multiple of 4 KB apart fall into the same few lines of the
// nearest cache and push each other out: such a block is copied, if it is used often enough.
bool collides(const Block& block) {
  constexpr Index collision = 4096 / sizeof(float);
  return (block.a.row_step % collision == 0 || block.a.col_step % collision == 0) &&
         block.rows > 1 && block.depth > 1 && block.cols >= 8 * lanes;
}

// packed[k][r] = a[r][k].
void interleave(const Operand& a, Index rows, Index depth, float* packed) {
  if (a.row_step == 1) {
    for (Index k = 0; k < depth; ++k)
      for (Index r = 0; r < rows; ++r) packed[k * rows + r] = a.data[k * a.col_step + r];
  } else {
    for (Index r = 0; r < rows; ++r)
      for (Index k = 0; k < depth; ++k)
        packed[k * rows + r] = a.data[r * a.row_step + k * a.col_step];
  }
}

// Part of the depth and of the columns of a block; b is where they lie, packed or not.
struct Strip {
  Index first, depth;
  Index left, cols;
  Operand b;
  bool packed;
};

// Rows [row, row + rows) of a strip of C; a is where they lie, or their copy.
void row_of_tiles(const Block& block, const Strip& strip, const Operand& a, Index row, Index rows) {
  const bool relu = block.relu && strip.first + strip.depth == block.depth;
  for (Index col = 0; col < strip.cols;) {
    const Index width = width_at(col, strip.cols), cols = smaller(width, strip.cols - col);
    const Tile multiply = TileSize::of(
        rows, width / lanes, []<int Rows, int Vectors>() { return tile<Rows, Vectors>; });
    const float* b = strip.b.data + (strip.packed ? col * strip.depth : col);
    const Index b_step = strip.packed ? width : strip.b.row_step;
    float* out = block.c + row * block.c_step + strip.left + col;
    const Addend addend = strip.first > 0 || block.onto ? Addend{out, block.c_step}
                          : block.bias ? Addend{block.bias + strip.left + col, 0}
                                       : Addend{nullptr, 0};
    if (cols == width)
      multiply(a, b, b_step, strip.depth, addend, relu, out, block.c_step);
    else
      edge_tile(multiply, a, b, width, strip.depth, addend, relu, out, block.c_step, rows, cols);
    col += width;
  }
}

void panel_block(const Block& block) {
  const Index slices = larger<Index>(1, ceil_div(block.depth, panel_slice));
  const Index deepest = ceil_div(block.depth, slices);
  const Index most_rows = TileSize::most_rows(width_at(0, block.cols) / lanes);
  const Index tiles = ceil_div(block.rows, most_rows);
  const bool copy_a = collides(block);
  Scratch b_packed(deepest * ceil_div(smaller(block.cols, most_strip), lanes) * lanes);
  Scratch a_packed(copy_a ? deepest * ceil_div(block.rows, tiles) : 0);
  for (Index s = 0; s < slices; ++s) {  // once at least: without depth, C is the bias
    const Index first = part_of(block.depth, s, slices);
    for (Index left = 0; left < block.cols; left += most_strip) {
      Strip strip = {
          .first = first,
          .depth = part_of(block.depth, s + 1, slices) - first,
          .left = left,
          .cols = smaller(most_strip, block.cols - left),
          .b = {block.b.data + first * block.b.row_step + left * block.b.col_step,
                block.b.row_step, block.b.col_step},
          .packed = tiles > 1 || block.b.col_step != 1 || block.cols % lanes > 0,
      };
      if (strip.packed) {
        pack(strip.b, strip.depth, strip.cols, b_packed);
        strip.b.data = b_packed;
      }
      for (Index t = 0; t < tiles; ++t) {
        const Index row = part_of(block.rows, t, tiles);
        const Index rows = part_of(block.rows, t + 1, tiles) - row;
        Operand a = {block.a.data + row * block.a.row_step + first * block.a.col_step,
                     block.a.row_step, block.a.col_step};
        if (copy_a) {
          interleave(a, rows, strip.depth, a_packed);
          a = {a_packed, 1, rows};
        }
        row_of_tiles(block, strip, a, row, rows);
      }
    }
  }
}

// ---- Both --------------------------------------------------------------------------------

// What a task is worth, in multiplications; a value that is read counts as several.
constexpr Index work_of_a_task = Index{1} << 19;
constexpr Index most_tasks = 16;

// How many blocks C is cut into, downwards and across.
struct Grid {
  Index down, across;
};

// Blocks as square as they get, those read least, but rather cut where nothing is packed twice
// for it. `row` and `col` are the units of a tile.
Grid cut_into_blocks(Index rows, Index cols, Index depth, Index row, Index col, bool along) {
  const Index work = rows * cols * depth + 8 * (rows + cols) * depth;
  const Index tasks = smaller(most_tasks, ceil_div(work, work_of_a_task));
  Grid grid = {1, 1};
  while (grid.down * grid.across < tasks) {
    const Index height = rows / grid.down, width = cols / grid.across;
    const bool can_down = height >= 2 * row, can_across = width >= 2 * col;
    if (!can_down && !can_across) break;
    if (can_down && (!can_across || (along ? 2 * height > width : height > 2 * width)))
      grid.down *= 2;
    else
      grid.across *= 2;
  }
  return grid;
}

}  // namespace

void matrix_product(const Operand& a, const Operand& b, const float* bias, bool relu, float* c,
                    Index rows, Index cols, Index depth, int threads) {
  if (rows == 0 || cols == 0) return;
  const bool along = a.col_step == 1 && b.row_step == 1 && depth >= lanes;
  const Index row_unit = along ? most_dot_rows : TileSize::most_rows(2);
  const Index col_unit = along ? group : 2 * lanes;
  const Grid grid = cut_into_blocks(rows, cols, depth, row_unit, col_unit, along);
  const Index col_units = ceil_div(cols, col_unit);
  parallel_for(threads, static_cast<std::size_t>(grid.down * grid.across), [&](std::size_t task) {
    const Index i = static_cast<Index>(task) % grid.down, j = static_cast<Index>(task) / grid.down;
    const Index row = part_of(rows, i, grid.down);
    const Index col = part_of(col_units, j, grid.across) * col_unit;
    const Block block = {
        .a = {a.data + row * a.row_step, a.row_step, a.col_step},
        .b = {b.data + col * b.col_step, b.row_step, b.col_step},
        .bias = bias ? bias + col : nullptr,
        .c = c + row * cols + col,
        .c_step = cols,
        .rows = part_of(rows, i + 1, grid.down) - row,
        .cols = smaller(cols, part_of(col_units, j + 1, grid.across) * col_unit) - col,
        .depth = depth,
        .relu = relu,
    };
    if (along)
      dot_block(block);
    else
      panel_block(block);
  });
}

void add_matrix_product(const Operand& a, const Operand& b, float* c, Index rows, Index cols,
                        Index depth) {
  panel_block({.a = a,
               .b = b,
               .bias = nullptr,
               .c = c,
               .c_step = cols,
               .rows = rows,
               .cols = cols,
               .depth = depth,
               .relu = false,
               .onto = true});
}

}  // namespace chainrule::CHAINRULE_ISA
