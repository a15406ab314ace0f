// Contract: reference/conv.py, conv2d_weight_grad.
//
//   dw = G^T [ sum over squares of (A g A^T) * (B^T x B) ] G
//
// A chunk of squares is transformed, then each plane's product of x with g over the chunk is
// added to that plane's sum: chunk after chunk in order, each sum by one task, so the bits do
// not depend on the number of threads.
#include "winograd.hpp"
#include "winograd_tiles.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int most_inputs(int vectors) { return smaller((registers - 1 - vectors) / vectors, 16); }

// One plane: x (tiles, x_width), g (tiles, g_width), sum (channels, g_width).
struct Plane {
  const float* x;
  const float* g;
  float* sum;
  Index x_width, g_width, tiles;
};

// sum[i][:] += x[tile][i] * g[tile][:] over the tiles; `fresh` sums start from zero.
template <int Inputs, int Vectors>
void add_products(const Plane& plane, bool fresh) {
  Vector acc[Inputs][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Inputs; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
      acc[i][v] = fresh ? Vector{} : load(plane.sum + i * plane.g_width + v * lanes);
  const float* x = plane.x;
  const float* g = plane.g;
  for (Index tile = 0; tile < plane.tiles; ++tile, x += plane.x_width, g += plane.g_width) {
    Vector slope[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) slope[v] = load(g + v * lanes);
#pragma GCC unroll 16
    for (int i = 0; i < Inputs; ++i) {
      const Vector value = broadcast(x[i]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[i][v] += value * slope[v];
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < Inputs; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(plane.sum + i * plane.g_width + v * lanes, acc[i][v]);
}

using AddProducts = void (*)(const Plane&, bool);

template <int Vectors, int Inputs = most_inputs(Vectors)>
struct Sums {
  static AddProducts of(Index inputs) {
    if (inputs == Inputs) return add_products<Inputs, Vectors>;
    if constexpr (Inputs > 1) return Sums<Vectors, Inputs - 1>::of(inputs);
    return nullptr;
  }
};

// One plane and one block of outputs, which x, g and sum of `plane` point to.
void add_plane(Plane plane, Index channels, Index vectors, bool fresh) {
  const Index pieces = ceil_div<Index>(channels, vectors == 2 ? most_inputs(2) : most_inputs(1));
  const Plane whole = plane;
  for (Index piece = 0; piece < pieces; ++piece) {
    const Index first = channels * piece / pieces;
    const Index inputs = channels * (piece + 1) / pieces - first;
    plane.x = whole.x + first;
    plane.sum = whole.sum + first * whole.g_width;
    const AddProducts add = vectors == 2 ? Sums<2>::of(inputs) : Sums<1>::of(inputs);
    add(plane, fresh);
  }
}

// The sums (plane, channel, output) back into filters dw (O, C, 3, 3).
template <int M>
void write_filters(const Convolution& c, const float* sums, Index width, float* dw, int threads) {
  constexpr int T = M + 2;
  const Index plane = c.channels * width;
  parallel_for(threads, c.channels, [&](std::size_t task) {
    const Index channel = static_cast<Index>(task);
    for (Index start = 0; start < c.outputs; start += lanes) {
      alignas(64) float taps[9][lanes];
      const float* sum = sums + channel * width + start;
      nest<Transform<M>::filter_slope, T, 3>(
          [&](int i, int j) { return load(sum + (i * T + j) * plane); },
          [&](int i, int j, Vector value) { store(taps[i * 3 + j], value); });
      for (Index o = 0; o < smaller(lanes, c.outputs - start); ++o)
        for (int tap = 0; tap < 9; ++tap)
          dw[((start + o) * c.channels + channel) * 9 + tap] = taps[tap][o];
    }
  });
}

template <int M>
void weight_grad(const Convolution& c, const float* g, const float* x, float* dw, int threads) {
  constexpr int T = M + 2;
  const Index tile_rows = ceil_div<Index>(c.out_height, M);
  const Index tile_cols = ceil_div<Index>(c.out_width, M);
  const Grid in{c.images, c.height, c.width, c.channels, tile_rows, tile_cols, M,
                c.padding_height, c.padding_width};
  const Grid out{c.images, c.out_height, c.out_width, c.outputs, tile_rows, tile_cols, M, 0, 0};
  const Index x_width = whole_vectors(c.channels), g_width = whole_vectors(c.outputs);
  const Index tiles = in.tiles();

  constexpr Index chunk_floats = (2 << 20) / sizeof(float), grain = 16;
  const Index chunk = smaller(
      larger<Index>(chunk_floats / (T * T * (x_width + g_width)) / grain, 4) * grain,
      larger<Index>(tiles, 1));
  const Index x_plane = plane_size(chunk, x_width), g_plane = plane_size(chunk, g_width);
  const Index sum_plane = c.channels * g_width;
  const Scratch xs(T * T * x_plane), gs(T * T * g_plane), sums(T * T * sum_plane);
  const Scratch zeros(larger(c.channels, c.outputs) + 1);
  std::memset(zeros, 0, static_cast<std::size_t>(larger(c.channels, c.outputs)) * 4);
  if (tiles == 0) std::memset(sums, 0, static_cast<std::size_t>(T * T * sum_plane) * 4);

  const Index blocks = ceil_div(c.outputs, 2 * lanes);
  for (Index start = 0; start < tiles; start += chunk) {
    const Index count = smaller(chunk, tiles - start);
    parallel_ranges(threads, count, grain, [&](Index first, Index last) {
      transform_tiles<Transform<M>::data, T, T>(in, x, zeros, start + first, start + last,
                      {xs, x_plane, x_width}, first);
      transform_tiles<Transform<M>::slope, M, T>(out, g, zeros, start + first, start + last,
                      {gs, g_plane, g_width}, first);
    });
    parallel_for(threads, T * T * blocks, [&](std::size_t task) {
      const Index xi = static_cast<Index>(task) / blocks;
      const Index output = static_cast<Index>(task) % blocks * 2 * lanes;
      add_plane({xs + xi * x_plane, gs + xi * g_plane + output,
                 sums + xi * sum_plane + output, x_width, g_width, count},
                c.channels, g_width - output > lanes ? 2 : 1, start == 0);
    });
  }
  write_filters<M>(c, sums, g_width, dw, threads);
}

}  // namespace

void winograd_weight_grad(int tile, const Convolution& c, const float* g, const float* x, float* dw,
                          int threads) {
  tile == 2 ? weight_grad<2>(c, g, x, dw, threads) : weight_grad<4>(c, g, x, dw, threads);
}

}  // namespace chainrule::CHAINRULE_ISA
