// Contract: reference/conv.py, conv2d and conv2d_input_grad; for groups of several channels.
//
// Output channels are lanes, in blocks of one or two vectors. A block reads the input channels
// of all groups that it has a part in; where groups are narrower than a block, weights are zero
// between an output channel and the inputs of another group: lanes that would be empty anyway.
// A tile of neighbouring pixels is held in registers, as in conv_window.cpp.
#include "conv_grouped.hpp"

#include "conv_lines.hpp"
#include "conv_phase.hpp"
#include "register_tile.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using TileSize = RegisterTile<16>;  // a row for each pixel

// Steps in floats.
struct Tile {
  const TapRow* rows;
  Index row_count, taps, ins;
  Index line_offset, tap_step, pixel_step;
  Ends ends;
};

template <int Pixels, int Vectors>
void run_tile(const Tile& t) {
  Vector acc[Pixels][Vectors];
  begin(acc, t.ends);
  for (Index row = 0; row < t.row_count; ++row) {
    const float* line = t.rows[row].line + t.line_offset;
    const float* weights = t.rows[row].weights;
    for (Index tap = 0; tap < t.taps; ++tap, line += t.tap_step) {
      const float* in[4];
      for (int i = 0; i < 4; ++i) in[i] = line + 4 * i * t.pixel_step;
      for (Index i = 0; i < t.ins; ++i, weights += Vectors * lanes) {
        Vector weight[Vectors];
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) weight[v] = load(weights + v * lanes);
#pragma GCC unroll 16
        for (int p = 0; p < Pixels; ++p) {
          const Vector value = broadcast(in[p / 4][(p % 4) * t.pixel_step]);
#pragma GCC unroll 2
          for (int v = 0; v < Vectors; ++v) acc[p][v] += value * weight[v];
        }
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) ++in[k];
      }
    }
  }
  finish(acc, t.ends);
}

// The channels of both sides, and how output channels make blocks.
struct Blocks {
  Index outs, group_outs, group_ins, vectors;

  Index width() const { return vectors * lanes; }
  Index count() const { return ceil_div(outs, width()); }
  Index first_in(Index block) const { return block * width() / group_outs * group_ins; }
  Index last_in(Index block) const {
    return ((smaller((block + 1) * width(), outs) - 1) / group_outs + 1) * group_ins;
  }
  // Input channels that a block may read, at most.
  Index most_ins() const {
    return smaller(ceil_div(width(), group_outs) + 1, outs / group_outs) * group_ins;
  }
};

Blocks blocks_of(Index outs, Index ins, Index groups) {
  return {outs, outs / groups, ins / groups, outs / groups > lanes ? 2 : 1};
}

// How the work is cut into tasks: strips of output rows, chunks of blocks whose weights and
// lines stay in the second cache. Depends on sizes only.
struct Cut {
  Index strip, strips, chunk, chunks;
};

struct Job {
  const Window& window;
  const InImages& in;
  const Blocks& blocks;
  const float* weights;  // [block][a][b][most_ins][width]
  const float* init;
  const Epilogue& end;
  const OutImages& out;

  Index row_weights() const { return window.cols.taps * blocks.most_ins() * blocks.width(); }
  Index block_weights() const { return window.rows.taps * row_weights(); }
};

Cut cut(const Job& job) {
  constexpr Index cached = 1 << 16;  // floats
  constexpr Index tasks = 32, least_rows = 4;
  const Index lines = Lines::floats(job.window, {1, 1}, job.out.cols, job.blocks.most_ins());
  const Index count = job.blocks.count();
  const Index chunk =
      smaller(larger<Index>(cached / (job.block_weights() + lines + 1), 1), count);
  const Index chunks = ceil_div(count, chunk);
  const Index wanted = ceil_div(tasks, job.in.images * chunks);
  const Index strip =
      larger(ceil_div(job.out.rows, wanted), smaller(least_rows, job.out.rows));
  return {strip, ceil_div(job.out.rows, strip), chunk, chunks};
}

// One output row of one block; lines hold `width` channels, of which the block's begin at `in`.
void slide_row(const Job& job, const Lines& lines_, Index row, Index block, Index in, Index width,
               Index place, TapRow* rows) {
  const Axis& axis = job.window.rows;
  const Axis& cols = job.window.cols;
  const Index start = block * job.blocks.width();
  const Index ins = job.blocks.last_in(block) - job.blocks.first_in(block);
  Tile t{};
  t.rows = rows;
  t.taps = cols.taps;
  t.ins = ins;
  t.tap_step = cols.step * width;
  t.pixel_step = cols.stride * width;
  const float* weights = job.weights + block * job.block_weights();
  for (Index a = 0; a < axis.taps; ++a) {
    const float* line = lines_.line(row * axis.stride + axis.first + a * axis.step, 0);
    if (line) rows[t.row_count++] = {line + in, weights + a * cols.taps * ins * job.blocks.width()};
  }
  const Index vectors = job.blocks.vectors;
  const Index tiles = ceil_div<Index>(job.out.cols, TileSize::most_rows(vectors));
  for (Index i = 0; i < tiles; ++i) {
    const Index first = job.out.cols * i / tiles;
    const Index pixels = job.out.cols * (i + 1) / tiles - first;
    const Index to = place + first * job.out.pixel_step + start;
    t.line_offset = first * t.pixel_step;
    t.ends = {at(job.init, start),
              {at(job.end.scale, start), at(job.end.shift, start), at(job.end.add, to),
               job.end.relu},
              job.out.data + to, job.out.pixel_step, job.out.channels - start};
    const auto run = TileSize::of(
        pixels, vectors, []<int Pixels, int Vectors>() { return run_tile<Pixels, Vectors>; });
    run(t);
  }
}

void slide_grouped(const Job& job, int threads) {
  const OutImages& out = job.out;
  if (job.in.images == 0 || out.rows <= 0 || out.cols <= 0 || out.channels == 0) return;
  const Cut piece = cut(job);
  const Index strips = job.in.images * piece.strips;
  parallel_for(threads, strips * piece.chunks, [&](std::size_t task) {
    const Index index = static_cast<Index>(task);
    const Index image = index % strips / piece.strips;
    const Index top = index % strips % piece.strips * piece.strip;
    const Index first = index / strips * piece.chunk;
    const Index last = smaller(first + piece.chunk, job.blocks.count());
    const Index first_in = job.blocks.first_in(first);
    const Index width = job.blocks.last_in(last - 1) - first_in;
    const Scratch memory(ceil_div<Index>(job.window.rows.taps * sizeof(TapRow), sizeof(float)));
    Lines input(job.window, job.in, {1, 1}, out.cols, width);
    input.start(image, top, first_in, width);
    for (Index row = top; row < smaller(top + piece.strip, out.rows); ++row) {
      input.advance(row);
      for (Index block = first; block < last; ++block)
        slide_row(job, input, row, block, job.blocks.first_in(block) - first_in, width,
                  image * out.image_step + row * out.row_step,
                  reinterpret_cast<TapRow*>(static_cast<float*>(memory)));
    }
  });
}

// weight(group, out, in, a, b), channels counted from the group's first -> [block][a][b][in][lane].
template <class Weight>
void pack(const Blocks& blocks, Index rows, Index cols, Weight weight, float* packed,
          int threads) {
  const Index width = blocks.width();
  const Index size = rows * cols * blocks.most_ins() * width;
  parallel_for(threads, blocks.count(), [&](std::size_t task) {
    const Index block = static_cast<Index>(task), start = block * width;
    const Index first_in = blocks.first_in(block), ins = blocks.last_in(block) - first_in;
    float* block_weights = packed + block * size;
    std::memset(block_weights, 0, static_cast<std::size_t>(size) * sizeof(float));
    for (Index o = start; o < smaller(start + width, blocks.outs); ++o) {
      const Index group = o / blocks.group_outs, out = o % blocks.group_outs;
      float* to = block_weights + (group * blocks.group_ins - first_in) * width + o - start;
      for (Index in = 0; in < blocks.group_ins; ++in, to += width)
        for (Index a = 0; a < rows; ++a)
          for (Index b = 0; b < cols; ++b)
            to[(a * cols + b) * ins * width] = weight(group, out, in, a, b);
    }
  });
}

}  // namespace

void grouped_conv2d(const Convolution& c, const float* x, const float* weight, const float* bias,
                    const Epilogue& epilogue, float* y, int threads) {
  const Blocks blocks = blocks_of(c.outputs, c.channels, c.groups);
  const Index taps = c.kernel_height * c.kernel_width;
  const Scratch packed(blocks.count() * taps * blocks.most_ins() * blocks.width());
  pack(blocks, c.kernel_height, c.kernel_width,
       [&](Index group, Index o, Index in, Index a, Index b) {
         return weight[((group * blocks.group_outs + o) * blocks.group_ins + in) * taps +
                       a * c.kernel_width + b];
       },
       packed, threads);
  const Vectors vectors(bias, epilogue, c.outputs, 1);
  const Window window{{c.kernel_height, -c.padding_height, c.dilation_height, c.stride_height},
                      {c.kernel_width, -c.padding_width, c.dilation_width, c.stride_width}};
  const InImages in{x, c.images, c.height, c.width, c.channels};
  const OutImages out = gapless_images(y, c.out_height, c.out_width, c.outputs);
  slide_grouped({window, in, blocks, packed, vectors.init(), vectors.end(), out}, threads);
}

void grouped_input_grad(const Convolution& c, const float* g, const float* weight, float* dx,
                        int threads) {
  const Blocks blocks = blocks_of(c.channels, c.outputs, c.groups);
  const Index taps = c.kernel_height * c.kernel_width;
  const Scratch packed(blocks.count() * taps * blocks.most_ins() * blocks.width());
  const InImages in{g, c.images, c.out_height, c.out_width, c.outputs};
  for (Index i = 0; i < smaller(c.stride_height, c.height); ++i)
    for (Index j = 0; j < smaller(c.stride_width, c.width); ++j) {
      const Phase rows = phase_of_rows(c, i), cols = phase_of_cols(c, j);
      pack(blocks, rows.axis.taps, cols.axis.taps,
           [&](Index group, Index channel, Index o, Index a, Index b) {
             const Index kh = c.kernel_height - 1 - (rows.first_tap + a * rows.tap_step);
             const Index kw = c.kernel_width - 1 - (cols.first_tap + b * cols.tap_step);
             return weight[((group * blocks.group_ins + o) * blocks.group_outs + channel) * taps +
                           kh * c.kernel_width + kw];
           },
           packed, threads);
      const OutImages out = phase_of_images(c, dx, i, j);
      slide_grouped({{rows.axis, cols.axis}, in, blocks, packed, nullptr, {}, out}, threads);
    }
}

}  // namespace chainrule::CHAINRULE_ISA
