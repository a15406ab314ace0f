// Contract: reference/conv.py, conv2d and conv2d_input_grad.
//
// A task takes a block of squares that fits the second cache: transforms their inputs, then for
// each block of output channels multiplies plane by plane with the transformed filters, and
// transforms the products into outputs. Where the filters are larger than the images, it takes
// all squares and one block of output channels instead.
#include "winograd.hpp"

#include "conv_pack.hpp"
#include "moments.hpp"
#include "norm.hpp"
#include "register_tile.hpp"
#include "winograd_tiles.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using TileSize = RegisterTile<16>;

// c (Rows, Vectors * lanes) = a (Rows, depth) b (depth, Vectors * lanes)
template <int Rows, int Vectors>
void product(const float* a, Index a_step, Index depth, const float* b, float* c) {
  Vector acc[Rows][Vectors] = {};
  // Four pointers and the index registers step and 3*step reach 16 rows.
  const float* row[4];
  for (int i = 0; i < 4; ++i) row[i] = a + 4 * i * a_step;
  for (Index k = 0; k < depth; ++k, b += Vectors * lanes) {
    Vector right[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) right[v] = load(b + v * lanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector left = broadcast(row[r / 4][(r % 4) * a_step]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[r][v] += left * right[v];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) ++row[i];
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(c + (r * Vectors + v) * lanes, acc[r][v]);
}

// The square of outputs that a tile of the grid has, and one block of its channels.
struct Square {
  Index first;  // its first output's place in memory
  Index rows, cols;
  Index channel, vectors;
};

// out[n, i, j, o] = init[o] + sum of in[n, i - top + a, j - left + b, c] * weight(o, c, a, b),
// then the steps of `end`.
struct Job {
  Grid in;
  const float* images;
  Index out_rows, out_cols, outputs;
  const float* init;  // null for zeros; whole vectors, as are the scale and shift of `end`
  Epilogue end;
  float* out;

  Index blocks() const { return ceil_div(outputs, 2 * lanes); }
  Index block_vectors(Index block) const {
    return outputs - block * 2 * lanes > lanes ? 2 : 1;
  }
  // The row of all images' rows at which a row of squares begins.
  Index image_row(Index tile_row, Index size) const {
    return tile_row / in.tile_rows * out_rows + tile_row % in.tile_rows * size;
  }
  bool finishes() const { return end.scale || end.add || end.relu; }
  Square square(Index tile, Index size, Index block) const {
    const Grid::Place at = in.place(tile);
    const Index row = at.row + in.top, col = at.col + in.left, channel = block * 2 * lanes;
    return {((at.image * out_rows + row) * out_cols + col) * outputs + channel,
            smaller(size, out_rows - row), smaller(size, out_cols - col), channel,
            block_vectors(block)};
  }
};

// Transformed filters: [block of outputs][plane][channel][lane]; planes as in `Planes`.
Index filter_plane(Index channels, Index vectors) { return plane_size(channels, vectors * lanes); }

constexpr Index filter_grain = 16;  // channels that are transformed at a time

// Some channels of a block, from `first` on.
template <int M>
void transform_filters(const Job& job, const Filters& filters, Index block, Index first,
                       float* to) {
  constexpr int T = M + 2;
  const Index vectors = job.block_vectors(block), width = vectors * lanes;
  Filters piece = filters;
  piece.data += first * filters.in_step;
  piece.ins = smaller(filter_grain, filters.ins - first);
  alignas(64) float packed[9 * filter_grain * 2 * lanes];  // [tap][channel][lane]
  pack_block(piece, block, packed);
  const Index plane = filter_plane(filters.ins, vectors);
  float* planes = to + first * width;
  for (Index at = 0; at < piece.ins * width; at += lanes)
    nest<Transform<M>::filter, 3, T>(
        [&](int i, int j) { return load(packed + (3 * i + j) * piece.ins * width + at); },
        [&](int i, int j, Vector value) { store(planes + (i * T + j) * plane + at, value); });
}

// The products of one square, transformed into its outputs.
template <int M>
void write_outputs(const Job& job, const Square& square, const float* products, Index plane) {
  constexpr int T = M + 2;
  for (Index v = 0; v < square.vectors; ++v) {
    const Index channel = square.channel + v * lanes;
    const Vector init = job.init ? load(job.init + channel) : Vector{};
    float* out = job.out + square.first + v * lanes;
    const auto read = [&](int i, int j) { return load(products + (i * T + j) * plane + v * lanes); };
    const auto to = [&](int i, int j) { return out + (i * job.out_cols + j) * job.outputs; };
    if (square.rows == M && square.cols == M && channel + lanes <= job.outputs) {
      nest<Transform<M>::output, T, M>(
          read, [&](int i, int j, Vector value) { store(to(i, j), value + init); });
      continue;
    }
    const std::size_t bytes =
        static_cast<std::size_t>(smaller(job.outputs - channel, lanes)) * sizeof(float);
    nest<Transform<M>::output, T, M>(read, [&](int i, int j, Vector value) {
      if (i >= square.rows || j >= square.cols) return;
      value += init;
      std::memcpy(to(i, j), &value, bytes);
    });
  }
}

// The steps of the epilogue, while the square is in the first cache. (Not before it is written:
// the compiler would be free to round the transform differently then.)
void finish_outputs(const Job& job, const Square& square) {
  for (Index v = 0; v < square.vectors; ++v) {
    const Index channel = square.channel + v * lanes;
    const std::size_t bytes =
        static_cast<std::size_t>(smaller(job.outputs - channel, lanes)) * sizeof(float);
    const Vector scale = job.end.scale ? load(job.end.scale + channel) : Vector{};
    const Vector shift = job.end.scale ? load(job.end.shift + channel) : Vector{};
    for (Index i = 0; i < square.rows; ++i)
      for (Index j = 0; j < square.cols; ++j) {
        const Index at = square.first + (i * job.out_cols + j) * job.outputs + v * lanes;
        Vector value{}, other{};
        std::memcpy(&value, job.out + at, bytes);
        if (job.end.scale) value = value * scale + shift;
        if (job.end.add) {
          std::memcpy(&other, job.end.add + at, bytes);
          value += other;
        }
        if (job.end.relu) value = value < Vector{} ? Vector{} : value;  // a NaN stays
        std::memcpy(job.out + at, &value, bytes);
      }
  }
}

// Squares that are worked on together: their transforms stay in the second cache.
template <int M>
Index block_tiles(const Job& job) {
  constexpr Index T = M + 2, rows = TileSize::most_rows(2);
  constexpr Index cached_floats = (128 << 10) / sizeof(float);
  const Index tile_floats = T * T * (whole_vectors(job.in.channels) + 2 * lanes);
  return larger<Index>(cached_floats / tile_floats / rows, 1) * rows;
}

// One block of output channels of squares [first, last), whose transformed inputs begin at
// `inputs`.
template <int M>
void multiply_block(const Job& job, const float* filter, Index block, Index first, Index last,
                    const Planes& inputs, const Planes& products) {
  constexpr int T = M + 2;
  const Index channels = job.in.channels, count = last - first;
  const Index vectors = job.block_vectors(block), width = vectors * lanes;
  const Index pieces = ceil_div<Index>(count, TileSize::most_rows(vectors));
  const Lookahead lookahead(job.in, job.out, job.out_rows * job.out_cols * job.outputs);
  for (int xi = 0; xi < T * T; ++xi, filter += filter_plane(channels, vectors))
    for (Index piece = 0; piece < pieces; ++piece) {
      const Index at = count * piece / pieces;
      const Index rows = count * (piece + 1) / pieces - at;
      const auto multiply = TileSize::of(
          rows, vectors, []<int Rows, int Vectors>() { return product<Rows, Vectors>; });
      multiply(inputs.data + xi * inputs.plane + at * inputs.width, inputs.width, channels,
               filter, products.data + xi * products.plane + at * width);
    }
  for (Index tile = first; tile < last; ++tile) {
    if (block == 0) lookahead.fetch<1>(tile);
    const Square square = job.square(tile, M, block);
    write_outputs<M>(job, square, products.data + (tile - first) * width, products.plane);
    if (job.finishes()) finish_outputs(job, square);
  }
}

// Few squares, many channels: the filters are the most of the work. A task takes a block of
// output channels, so that its filters are transformed into its own cache and used once.
template <int M>
void correlate_by_outputs(const Job& job, const Filters& filters, const float* zeros,
                          int threads) {
  constexpr int T = M + 2;
  constexpr Index grain = 4;  // squares
  const Index channels = job.in.channels, tiles = job.in.tiles();
  const Index width = whole_vectors(channels), plane = plane_size(tiles, width);
  const Scratch transformed(T * T * plane);
  const Planes inputs{transformed, plane, width};
  parallel_ranges(threads, tiles, grain, [&](Index first, Index last) {
    transform_tiles<Transform<M>::data, T, T>(job.in, job.images, zeros, first, last, inputs,
                                              first);
  });
  parallel_for(threads, static_cast<std::size_t>(job.blocks()), [&](std::size_t task) {
    const Index block = static_cast<Index>(task), product_plane = plane_size(tiles, 2 * lanes);
    const Scratch filter(T * T * filter_plane(channels, 2)), products(T * T * product_plane);
    for (Index first = 0; first < channels; first += filter_grain)
      transform_filters<M>(job, filters, block, first, filter);
    multiply_block<M>(job, filter, block, 0, tiles, inputs,
                      {products, product_plane, 2 * lanes});
  });
  if (job.end.mean)
    moments({job.in.images * job.out_rows * job.out_cols, job.outputs}, job.out, job.end.mean,
            job.end.var, threads);
}

template <int M>
void correlate(const Job& job, const Filters& filters, int threads) {
  constexpr int T = M + 2;
  const Index channels = job.in.channels, tiles = job.in.tiles();
  if (tiles == 0 || job.outputs == 0) return;
  const Scratch zeros(channels + 1);
  std::memset(zeros, 0, static_cast<std::size_t>(channels) * sizeof(float));
  if (job.blocks() > 1 && tiles <= job.outputs)
    return correlate_by_outputs<M>(job, filters, zeros, threads);

  const Index block_floats = T * T * filter_plane(channels, 2);
  const Scratch transformed(job.blocks() * block_floats);
  const Index filter_pieces = ceil_div(channels, filter_grain);
  parallel_for(threads, job.blocks() * filter_pieces, [&](std::size_t task) {
    const Index block = static_cast<Index>(task) / filter_pieces;
    transform_filters<M>(job, filters, block,
                         static_cast<Index>(task) % filter_pieces * filter_grain,
                         transformed + block * block_floats);
  });

  // A task takes whole rows of squares, cut into blocks; few squares would leave registers empty.
  constexpr Index most_tasks = 64, few_tasks = 16, least_tiles = 8;
  const Index rows = tiles / job.in.tile_cols;
  const Index fitting = ceil_div(block_tiles<M>(job), job.in.tile_cols);
  const Index grain = larger(smaller(fitting, ceil_div(rows, few_tasks)),
                             larger(ceil_div(least_tiles, job.in.tile_cols), rows / most_tasks));
  const Index tasks = ceil_div(rows, grain);
  const Index most = smaller(block_tiles<M>(job), grain * job.in.tile_cols);
  const Index width = whole_vectors(channels);
  Moments written(job.end.mean ? tasks : 0, job.outputs);
  parallel_for(threads, tasks, [&](std::size_t index) {
    const Index task = static_cast<Index>(index);
    const Index first_row = rows * task / tasks, last_row = rows * (task + 1) / tasks;
    const Index first = first_row * job.in.tile_cols, count = last_row * job.in.tile_cols - first;
    const Index plane = plane_size(most, width), product_plane = plane_size(most, 2 * lanes);
    const Scratch inputs(T * T * plane), products(T * T * product_plane);
    const Index pieces = ceil_div(count, most);
    for (Index piece = 0; piece < pieces; ++piece) {
      const Index from = first + count * piece / pieces;
      const Index to = first + count * (piece + 1) / pieces;
      transform_tiles<Transform<M>::data, T, T>(job.in, job.images, zeros, from, to,
                                                {inputs, plane, width}, 0);
      for (Index block = 0; block < job.blocks(); ++block)
        multiply_block<M>(job, transformed + block * block_floats, block, from, to,
                          {inputs, plane, width}, {products, product_plane, 2 * lanes});
    }
    if (!job.end.mean) return;
    const Index top = job.image_row(first_row, M), bottom = job.image_row(last_row, M);
    const Index row_pixels = job.out_cols;
    written.add(task, job.out + top * row_pixels * job.outputs, (bottom - top) * row_pixels);
  });
  if (job.end.mean) written.finish(job.end.mean, job.end.var);
}

Grid grid_of(int tile, Index images, Index rows, Index cols, Index channels, Index out_rows,
             Index out_cols, Index top, Index left) {
  return {images, rows, cols, channels, ceil_div<Index>(out_rows, tile),
          ceil_div<Index>(out_cols, tile), tile, top, left};
}

}  // namespace

void winograd_conv2d(int tile, const Convolution& c, const float* x, const float* weight,
                     const float* init, const Epilogue& end, float* y, int threads) {
  const Job job{grid_of(tile, c.images, c.height, c.width, c.channels, c.out_height, c.out_width,
                        c.padding_height, c.padding_width),
                x, c.out_height, c.out_width, c.outputs, init, end, y};
  const Filters filters{weight, c.outputs, c.channels, 3, 3, c.channels * 9, 9, false};
  tile == 2 ? correlate<2>(job, filters, threads) : correlate<4>(job, filters, threads);
}

// The same with the roles of x and y exchanged and the filters turned by half a turn.
void winograd_input_grad(int tile, const Convolution& c, const float* g, const float* weight,
                         float* dx, int threads) {
  const Job job{grid_of(tile, c.images, c.out_height, c.out_width, c.outputs, c.height, c.width,
                        2 - c.padding_height, 2 - c.padding_width),
                g, c.height, c.width, c.channels, nullptr, {}, dx};
  const Filters filters{weight, c.channels, c.outputs, 3, 3, 9, c.channels * 9, true};
  tile == 2 ? correlate<2>(job, filters, threads) : correlate<4>(job, filters, threads);
}

}  // namespace chainrule::CHAINRULE_ISA
