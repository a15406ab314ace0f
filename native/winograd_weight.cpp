// Contract: reference/conv.py, conv2d_weight_grad.
//
//   dw = G^T [ sum over squares of (A g A^T) * (B^T x B) ] G
//
// The squares are cut into parts, each with its own sum, where sums are small, and parts are
// tasks. Large sums there is one of; then tasks are planes of it. Either way a chunk of squares is
// transformed, each plane's product of x with g over the chunk is added to that plane's sum,
// chunk after chunk, and parts are added in order: bits do not depend on the number of threads.
#include "register_tile.hpp"
#include "winograd.hpp"
#include "winograd_tiles.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using TileSize = RegisterTile<16>;

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

// One plane and one block of outputs, which x, g and sum of `plane` point to.
void add_plane(Plane plane, Index channels, Index vectors, bool fresh) {
  const Index pieces = ceil_div<Index>(channels, TileSize::most_rows(vectors));
  const Plane whole = plane;
  for (Index piece = 0; piece < pieces; ++piece) {
    const Index first = channels * piece / pieces;
    const Index inputs = channels * (piece + 1) / pieces - first;
    plane.x = whole.x + first;
    plane.sum = whole.sum + first * whole.g_width;
    const auto add = TileSize::of(inputs, vectors, []<int Inputs, int Vectors>() {
      return add_products<Inputs, Vectors>;
    });
    add(plane, fresh);
  }
}

template <int M>
class Job {
 public:
  static constexpr int T = M + 2;

  Job(const Convolution& c, const float* g, const float* x)
      : c_(c), g_(g), x_(x), in_(grid(c.height, c.width, c.channels)),
        out_(grid(c.out_height, c.out_width, c.outputs)), x_width_(whole_vectors(c.channels)),
        g_width_(whole_vectors(c.outputs)), sum_plane_(c.channels * g_width_),
        parts_(count_parts()), chunk_(chunk_tiles()), zeros_(larger(x_width_, g_width_) + 1) {
    in_.top = c.padding_height;
    in_.left = c.padding_width;
    std::memset(zeros_, 0, static_cast<std::size_t>(larger(x_width_, g_width_)) * sizeof(float));
  }

  void run(float* dw, int threads) const {
    const Scratch sums(parts_ * sum_floats());
    const int inside = parts_ > 1 ? 1 : threads;
    parallel_for(threads, parts_, [&](std::size_t task) {
      const Index part = static_cast<Index>(task);
      add_part(in_.tiles() * part / parts_, in_.tiles() * (part + 1) / parts_,
               sums + part * sum_floats(), inside);
    });
    write_filters(sums, dw, threads);
  }

 private:
  Grid grid(Index rows, Index cols, Index channels) const {
    return {c_.images, rows, cols, channels, ceil_div<Index>(c_.out_height, M),
            ceil_div<Index>(c_.out_width, M), M, 0, 0};
  }

  Index sum_floats() const { return T * T * sum_plane_; }

  Index count_parts() const {
    constexpr Index all_sums = (2 << 20) / sizeof(float), most = 32, least = 16;
    const Index parts = smaller(all_sums / larger<Index>(sum_floats(), 1), most);
    return parts >= least ? larger<Index>(smaller(parts, in_.tiles() / 32), 1) : 1;
  }

  // Enough squares to be worth loading and storing a sum.
  Index chunk_tiles() const {
    const Index floats = (parts_ > 1 ? 1 << 20 : 2 << 20) / sizeof(float);
    const Index tiles = floats / larger<Index>(T * T * (x_width_ + g_width_), 1);
    return larger<Index>(tiles / grain, 4) * grain;
  }

  // The sum over squares [first, last).
  void add_part(Index first, Index last, float* sum, int threads) const {
    if (first == last) std::memset(sum, 0, static_cast<std::size_t>(sum_floats()) * sizeof(float));
    const Index x_plane = plane_size(chunk_, x_width_), g_plane = plane_size(chunk_, g_width_);
    const Scratch xs(T * T * x_plane), gs(T * T * g_plane);
    const Index blocks = ceil_div(c_.outputs, 2 * lanes);
    for (Index start = first; start < last; start += chunk_) {
      const Index count = smaller(chunk_, last - start);
      parallel_ranges(threads, count, grain, [&](Index a, Index b) {
        transform_tiles<Transform<M>::data, T, T>(in_, x_, zeros_, start + a, start + b,
                                                  {xs, x_plane, x_width_}, a);
        transform_tiles<Transform<M>::slope, M, T>(out_, g_, zeros_, start + a, start + b,
                                                   {gs, g_plane, g_width_}, a);
      });
      parallel_for(threads, T * T * blocks, [&](std::size_t task) {
        const Index xi = static_cast<Index>(task) / blocks;
        const Index output = static_cast<Index>(task) % blocks * 2 * lanes;
        add_plane({xs + xi * x_plane, gs + xi * g_plane + output, sum + xi * sum_plane_ + output,
                   x_width_, g_width_, count},
                  c_.channels, g_width_ - output > lanes ? 2 : 1, start == first);
      });
    }
  }

  // The sums [part][plane][channel][output] back into filters dw (O, C, 3, 3).
  void write_filters(const float* sums, float* dw, int threads) const {
    parallel_for(threads, c_.channels, [&](std::size_t task) {
      const Index channel = static_cast<Index>(task);
      for (Index start = 0; start < c_.outputs; start += lanes) {
        alignas(64) float taps[9][lanes];
        const float* first = sums + channel * g_width_ + start;
        nest<Transform<M>::filter_slope, T, 3>(
            [&](int i, int j) {
              const float* from = first + (i * T + j) * sum_plane_;
              Vector sum = load(from);
              for (Index part = 1; part < parts_; ++part)
                sum += load(from + part * sum_floats());
              return sum;
            },
            [&](int i, int j, Vector value) { store(taps[i * 3 + j], value); });
        for (Index o = 0; o < smaller(lanes, c_.outputs - start); ++o)
          for (int tap = 0; tap < 9; ++tap)
            dw[((start + o) * c_.channels + channel) * 9 + tap] = taps[tap][o];
      }
    });
  }

  static constexpr Index grain = 16;  // squares of a task that transforms

  const Convolution& c_;
  const float* g_;
  const float* x_;
  Grid in_;
  const Grid out_;
  const Index x_width_, g_width_, sum_plane_, parts_, chunk_;
  const Scratch zeros_;
};

}  // namespace

void winograd_weight_grad(int tile, const Convolution& c, const float* g, const float* x, float* dw,
                          int threads) {
  tile == 2 ? Job<2>(c, g, x).run(dw, threads) : Job<4>(c, g, x).run(dw, threads);
}

}  // namespace chainrule::CHAINRULE_ISA
