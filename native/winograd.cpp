// Contract: reference/conv.py, conv2d and conv2d_input_grad.
//
// A task takes a block of squares that fits the second cache: transforms their inputs, then for
// each block of output channels multiplies plane by plane with the transformed filters, and
// transforms the products into outputs.
#include "winograd.hpp"

#include "winograd_tiles.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int most_rows(int vectors) { return smaller((registers - 1 - vectors) / vectors, 16); }

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

using Product = void (*)(const float*, Index, Index, const float*, float*);

template <int Vectors, int Rows = most_rows(Vectors)>
struct Products {
  static Product of(Index rows) {
    if (rows == Rows) return product<Rows, Vectors>;
    if constexpr (Rows > 1) return Products<Vectors, Rows - 1>::of(rows);
    return nullptr;
  }
};

// The last steps of one vector of outputs; init, scale and shift are those of its channels.
template <bool steps>
struct Finish {
  Vector init, scale, shift;
  bool scaled, relu;

  // add: the residual's address, or null; `bytes` of it.
  Vector operator()(Vector value, const float* add, std::size_t bytes) const {
    value += init;
    if constexpr (steps) {
      if (scaled) value = value * scale + shift;
      if (add) {
        Vector other{};
        std::memcpy(&other, add, bytes);
        value += other;
      }
      if (relu) value = value < Vector{} ? Vector{} : value;  // a NaN compares false and stays
    }
    return value;
  }
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
  bool steps() const { return end.scale || end.add || end.relu; }
  template <bool steps>
  Finish<steps> finish(Index channel) const {
    return {init ? load(init + channel) : Vector{}, end.scale ? load(end.scale + channel) : Vector{},
            end.scale ? load(end.shift + channel) : Vector{}, end.scale != nullptr, end.relu};
  }
};

// Transformed filters: [block of outputs][plane][channel][lane].
template <int M, class Weight>
void transform_filters(const Job& job, const Weight& weight, float* to, int threads) {
  constexpr int T = M + 2;
  constexpr Index grain = 16;  // channels of a task
  const Index channels = job.in.channels;
  const Index pieces = ceil_div(channels, grain);
  parallel_for(threads, job.blocks() * pieces, [&](std::size_t task) {
    const Index block = static_cast<Index>(task) / pieces;
    const Index first = static_cast<Index>(task) % pieces * grain;
    const Index vectors = job.block_vectors(block);
    float* planes = to + block * 2 * lanes * T * T * channels;
    for (Index c = first; c < smaller(first + grain, channels); ++c)
      for (Index v = 0; v < vectors; ++v) {
        const Index start = (2 * block + v) * lanes;
        const Index used = smaller(job.outputs - start, lanes);
        alignas(64) float taps[3][3][lanes] = {};
        for (Index o = 0; o < used; ++o)
          for (int a = 0; a < 3; ++a)
            for (int b = 0; b < 3; ++b) taps[a][b][o] = weight(start + o, c, a, b);
        nest<Transform<M>::filter, 3, T>(
            [&](int i, int j) { return load(taps[i][j]); },
            [&](int i, int j, Vector value) {
              store(planes + (((i * T + j) * channels + c) * vectors + v) * lanes, value);
            });
      }
  });
}

// Products of a block of squares, transformed into the outputs [start, ...) of one block.
template <int M, bool steps>
void write_outputs(const Job& job, Index first, Index last, const float* products, Index plane,
                   Index vectors, Index start) {
  constexpr int T = M + 2;
  for (Index tile = first; tile < last; ++tile, products += vectors * lanes) {
    const Grid::Place at = job.in.place(tile);
    const Index row = at.row + job.in.top, col = at.col + job.in.left;
    const Index rows = smaller<Index>(M, job.out_rows - row);
    const Index cols = smaller<Index>(M, job.out_cols - col);
    const Index corner = ((at.image * job.out_rows + row) * job.out_cols + col) * job.outputs;
    for (Index v = 0; v < vectors; ++v) {
      const Index channel = start + v * lanes;
      const Finish<steps> finish = job.finish<steps>(channel);
      const auto read = [&](int i, int j) {
        return load(products + (i * T + j) * plane + v * lanes);
      };
      const auto write = [&](int i, int j, Vector value, std::size_t bytes) {
        const Index at = corner + (i * job.out_cols + j) * job.outputs + channel;
        value = finish(value, job.end.add ? job.end.add + at : nullptr, bytes);
        std::memcpy(job.out + at, &value, bytes);
      };
      if (rows == M && cols == M && channel + lanes <= job.outputs) {
        nest<Transform<M>::output, T, M>(
            read, [&](int i, int j, Vector value) { write(i, j, value, sizeof(Vector)); });
        continue;
      }
      const std::size_t bytes =
          static_cast<std::size_t>(smaller(job.outputs - channel, lanes)) * sizeof(float);
      nest<Transform<M>::output, T, M>(read, [&](int i, int j, Vector value) {
        if (i < rows && j < cols) write(i, j, value, bytes);
      });
    }
  }
}

// Squares of a task: their transforms stay in the second cache, and the filters, which do not,
// serve as many squares as possible.
template <int M>
Index block_tiles(const Job& job) {
  constexpr Index T = M + 2, cached_floats = (512 << 10) / sizeof(float);
  constexpr Index rows = most_rows(2), tasks = 16;
  const Index tile_floats = T * T * (whole_vectors(job.in.channels) + 2 * lanes);
  const Index fitting = larger<Index>(cached_floats / tile_floats / rows, 1) * rows;
  const Index sharing = ceil_div(ceil_div(job.in.tiles(), tasks), rows) * rows;
  return smaller(fitting, sharing);
}

template <int M, class Weight>
void correlate(const Job& job, const Weight& weight, int threads) {
  constexpr int T = M + 2;
  const Index channels = job.in.channels, tiles = job.in.tiles();
  if (tiles == 0 || job.outputs == 0) return;
  const Scratch filters(T * T * channels * whole_vectors(job.outputs));
  transform_filters<M>(job, weight, filters, threads);
  const Scratch zeros(channels + 1);
  std::memset(zeros, 0, static_cast<std::size_t>(channels) * sizeof(float));

  const Index most = block_tiles<M>(job);
  const Index width = whole_vectors(channels);
  parallel_ranges(threads, tiles, most, [&](Index first, Index last) {
    const Index count = last - first;
    const Index plane = plane_size(most, width), product_plane = plane_size(most, 2 * lanes);
    const Scratch inputs(T * T * plane), products(T * T * product_plane);
    transform_tiles<Transform<M>::data, T, T>(job.in, job.images, zeros, first, last,
                    {inputs, plane, width}, 0);
    for (Index block = 0; block < job.blocks(); ++block) {
      const Index vectors = job.block_vectors(block);
      const Index pieces =
          ceil_div<Index>(count, vectors == 2 ? most_rows(2) : most_rows(1));
      const float* filter = filters + block * 2 * lanes * T * T * channels;
      for (int xi = 0; xi < T * T; ++xi, filter += channels * vectors * lanes)
        for (Index piece = 0; piece < pieces; ++piece) {
          const Index at = count * piece / pieces;
          const Index rows = count * (piece + 1) / pieces - at;
          const Product multiply = vectors == 2 ? Products<2>::of(rows) : Products<1>::of(rows);
          multiply(inputs + xi * plane + at * width, width, channels, filter,
                   products + xi * product_plane + at * vectors * lanes);
        }
      (job.steps() ? write_outputs<M, true> : write_outputs<M, false>)(
          job, first, last, products, product_plane, vectors, block * 2 * lanes);
    }
  });
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
  const auto taps = [&](Index o, Index channel, int a, int b) {
    return weight[(o * c.channels + channel) * 9 + a * 3 + b];
  };
  tile == 2 ? correlate<2>(job, taps, threads) : correlate<4>(job, taps, threads);
}

// The same with the roles of x and y exchanged and the filters turned by half a turn.
void winograd_input_grad(int tile, const Convolution& c, const float* g, const float* weight,
                         float* dx, int threads) {
  const Job job{grid_of(tile, c.images, c.out_height, c.out_width, c.outputs, c.height, c.width,
                        2 - c.padding_height, 2 - c.padding_width),
                g, c.height, c.width, c.channels, nullptr, {}, dx};
  const auto taps = [&](Index channel, Index o, int a, int b) {
    return weight[(o * c.channels + channel) * 9 + (2 - a) * 3 + (2 - b)];
  };
  tile == 2 ? correlate<2>(job, taps, threads) : correlate<4>(job, taps, threads);
}

namespace {

bool possible(const Convolution& c) {
  return c.winograd.most_tile != 0 && c.kernel_height == 3 && c.kernel_width == 3 &&
         c.stride_height == 1 && c.stride_width == 1 && c.dilation_height == 1 &&
         c.dilation_width == 1;
}

}  // namespace

int winograd_conv2d_tile(const Convolution& c) {
  if (!possible(c)) return 0;
  return c.winograd.most_tile;
}

int winograd_input_grad_tile(const Convolution& c) { return winograd_conv2d_tile(c); }

int winograd_weight_grad_tile(const Convolution& c) { return winograd_conv2d_tile(c); }

}  // namespace chainrule::CHAINRULE_ISA
