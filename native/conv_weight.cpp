// Contract: reference/conv.py, conv2d_weight_grad.
//
//   dw[o, c, a, b] = sum over images and outputs (i, j) of
//                    x[n, i*stride + row(a), j*stride + col(b), c] * g[n, i, j, o]
//
// A tile of input channels times vectors of output channels stays in registers while it runs
// over a block of pixels that fits the first cache. The batch is cut into parts by its size
// alone; each part has its own sum, and the parts are added in order: the same bits for any
// number of threads.
#include "conv.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int most_inputs(int vectors) { return smaller((registers - 1 - vectors) / vectors, 16); }

// Pixels of a block: positions in x and g that belong together.
struct Pixels {
  const float* x;
  const float* g;
  Index images, rows, cols;
  Index x_image, x_row, x_col;  // steps in floats
  Index g_image, g_row, g_col;
};

// sum[i][:] += x[pixel][i] * g[pixel][:] over the pixels; sum rows are sum_step floats apart.
template <int Inputs, int Vectors>
void add_products(const Pixels& p, float* sum, Index sum_step) {
  Vector acc[Inputs][Vectors];
#pragma GCC unroll 16
  for (int i = 0; i < Inputs; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) acc[i][v] = load(sum + i * sum_step + v * lanes);

  for (Index n = 0; n < p.images; ++n) {
    for (Index row = 0; row < p.rows; ++row) {
      const float* x = p.x + n * p.x_image + row * p.x_row;
      const float* g = p.g + n * p.g_image + row * p.g_row;
      for (Index col = 0; col < p.cols; ++col, x += p.x_col, g += p.g_col) {
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
    }
  }

#pragma GCC unroll 16
  for (int i = 0; i < Inputs; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(sum + i * sum_step + v * lanes, acc[i][v]);
}

using AddProducts = void (*)(const Pixels&, float*, Index);

template <int Vectors, int Inputs = most_inputs(Vectors)>
struct Tiles {
  static AddProducts of(Index inputs) {
    if (inputs == Inputs) return add_products<Inputs, Vectors>;
    if constexpr (Inputs > 1) return Tiles<Vectors, Inputs - 1>::of(inputs);
    return nullptr;
  }
};

// A run of input values, `channels` long, against one block of output channels.
void add_run(Pixels p, Index channels, int vectors, float* sum, Index sum_step) {
  const Index tiles = ceil_div<Index>(channels, vectors == 2 ? most_inputs(2) : most_inputs(1));
  const float* x = p.x;
  for (Index t = 0; t < tiles; ++t) {
    const Index first = channels * t / tiles;
    const Index inputs = channels * (t + 1) / tiles - first;
    p.x = x + first;
    const AddProducts add = vectors == 2 ? Tiles<2>::of(inputs) : Tiles<1>::of(inputs);
    add(p, sum + first * sum_step, sum_step);
  }
}

// Outputs o with 0 <= o*stride + offset < size, within [0, count).
struct Range {
  Index first, last;
};

Range inside(Index offset, Index stride, Index size, Index count) {
  const Index first = offset >= 0 ? 0 : ceil_div(-offset, stride);
  const Index last = size > offset ? smaller((size - 1 - offset) / stride + 1, count) : 0;
  return {first, larger(last, first)};
}

// Images and output rows that are worked on together.
struct Block {
  Index image, images, top, bottom;
};

class Job {
 public:
  Job(const Convolution& c, const float* g, const float* x)
      : c(c), g_(g), x_(x), lanes_out(ceil_div(c.outputs, lanes) * lanes),
        pads_x_(c.channels < 8 && c.dilation_width == 1 && c.kernel_width > 1),
        width_(c.width + 2 * c.padding_width) {}

  // Floats of one part's sum: [kh][kw][c][lanes_out].
  Index sum_size() const {
    return c.kernel_height * c.kernel_width * c.channels * lanes_out;
  }

  // Adds what images [first, last) give to one block of output channels.
  void add_part(Index first, Index last, Index start, float* sum) const {
    const Index pixels = block_pixels();
    const Index rows = smaller(ceil_div(pixels, c.out_width), c.out_height);
    const Index images =
        rows < c.out_height ? 1 : ceil_div(pixels, c.out_height * c.out_width);
    const Scratch x_copy(pads_x_ ? images * in_rows(rows) * width_ * c.channels : 0);
    const Scratch g_copy(images * rows * c.out_width * 2 * lanes);
    for (Index image = first; image < last; image += images)
      for (Index top = 0; top < c.out_height; top += rows) {
        const Block block{image, smaller(images, last - image), top,
                          smaller(top + rows, c.out_height)};
        add_block(block, start, x_copy, g_copy, sum);
      }
  }

  const Convolution& c;

 private:
  // Output pixels of a block: enough to be worth loading and storing the accumulators, few
  // enough for g's block to stay in the first cache and x's in the second.
  Index block_pixels() const {
    const Index inputs = c.channels * c.stride_height * c.stride_width;
    return larger<Index>(smaller<Index>((48 << 10) / inputs, 192), 64);
  }

  // Input rows that a number of output rows look at.
  Index in_rows(Index rows) const {
    return (rows - 1) * c.stride_height + (c.kernel_height - 1) * c.dilation_height + 1;
  }

  void add_block(const Block& block, Index start, float* x_copy, float* g_copy, float* sum) const {
    const Index channels_out = smaller(2 * lanes, c.outputs - start);
    const int vectors = channels_out > lanes ? 2 : 1;
    const Pixels pixels = block_of_g(block, start, channels_out, vectors * lanes, g_copy);
    if (pads_x_) copy_x(block, x_copy);
    for (Index kh = 0; kh < c.kernel_height; ++kh) {
      const Index offset = kh * c.dilation_height - c.padding_height;
      const Range rows = inside(offset, c.stride_height, c.height, c.out_height);
      const Index top = larger(rows.first, block.top);
      Pixels p = pixels;
      p.g += (top - block.top) * p.g_row;
      p.rows = smaller(rows.last, block.bottom) - top;
      if (p.rows <= 0) continue;
      const Index x_row = top * c.stride_height + offset;
      float* row_sum = sum + kh * c.kernel_width * c.channels * lanes_out + start;
      if (pads_x_)
        add_padded_row(p, block, x_row, x_copy, vectors, row_sum);
      else
        add_row(p, block, x_row, vectors, row_sum);
    }
  }

  // One block of a wider g is copied: its lines would be far apart and evict each other.
  Pixels block_of_g(const Block& block, Index start, Index channels, Index width,
                    float* copy) const {
    Pixels p{};
    p.images = block.images;
    if (c.outputs == width) {
      p.g_col = c.outputs;
      p.g_row = c.out_width * p.g_col;
      p.g_image = c.out_height * p.g_row;
      p.g = g_ + block.image * p.g_image + block.top * p.g_row;
    } else {
      copy_g(block, start, channels, width, copy);
      p.g_col = width;
      p.g_row = c.out_width * p.g_col;
      p.g_image = (block.bottom - block.top) * p.g_row;
      p.g = copy;
    }
    return p;
  }

  // One row of taps, tap by tap, each with the pixels for which it lies inside the image.
  void add_row(Pixels p, const Block& block, Index x_row, int vectors, float* sum) const {
    const float* g = p.g;
    p.x_col = c.stride_width * c.channels;
    p.x_row = c.stride_height * c.width * c.channels;
    p.x_image = c.height * c.width * c.channels;
    const float* x = x_ + block.image * p.x_image + x_row * c.width * c.channels;
    for (Index kw = 0; kw < c.kernel_width; ++kw) {
      const Index shift = kw * c.dilation_width - c.padding_width;
      const Range cols = inside(shift, c.stride_width, c.width, c.out_width);
      p.cols = cols.last - cols.first;
      if (p.cols <= 0) continue;
      p.x = x + (cols.first * c.stride_width + shift) * c.channels;
      p.g = g + cols.first * p.g_col;
      add_run(p, c.channels, vectors, sum + kw * c.channels * lanes_out, lanes_out);
    }
  }

  // One row of taps at once, from the copy of x with zeros beside it.
  void add_padded_row(Pixels p, const Block& block, Index x_row, const float* copy, int vectors,
                      float* sum) const {
    const Index line = width_ * c.channels;
    const Index first_row = block.top * c.stride_height - c.padding_height;
    p.x = copy + (x_row - first_row) * line;
    p.x_col = c.stride_width * c.channels;
    p.x_row = c.stride_height * line;
    p.x_image = in_rows(block.bottom - block.top) * line;
    p.cols = c.out_width;
    add_run(p, c.kernel_width * c.channels, vectors, sum, lanes_out);
  }

  // Output channels rounded up to whole vectors, so that every load stays inside.
  void copy_g(const Block& block, Index start, Index channels, Index width, float* to) const {
    const Index pixels = (block.bottom - block.top) * c.out_width;
    for (Index n = 0; n < block.images; ++n) {
      const float* from =
          g_ + (((block.image + n) * c.out_height + block.top) * c.out_width) * c.outputs + start;
      for (Index i = 0; i < pixels; ++i, from += c.outputs, to += width) {
        std::memcpy(to, from, static_cast<std::size_t>(channels) * 4);
        std::memset(to + channels, 0, static_cast<std::size_t>(width - channels) * 4);
      }
    }
  }

  // Few input channels: a run over all tap columns fills the registers, which needs columns of
  // zeros beside the image. Rows outside the image are never read.
  void copy_x(const Block& block, float* to) const {
    const Index first_row = block.top * c.stride_height - c.padding_height;
    const std::size_t side = static_cast<std::size_t>(c.padding_width * c.channels) * 4;
    const Index line = c.width * c.channels;
    for (Index n = 0; n < block.images; ++n)
      for (Index r = 0; r < in_rows(block.bottom - block.top); ++r, to += width_ * c.channels) {
        const Index row = first_row + r;
        if (row < 0 || row >= c.height) continue;
        const float* from = x_ + ((block.image + n) * c.height + row) * line;
        std::memset(to, 0, side);
        std::memcpy(to + c.padding_width * c.channels, from, static_cast<std::size_t>(line) * 4);
        std::memset(to + c.padding_width * c.channels + line, 0, side);
      }
  }

  const float* g_;
  const float* x_;

 public:
  const Index lanes_out;

 private:
  const bool pads_x_;
  const Index width_;
};

}  // namespace

void conv2d_weight_grad(const Convolution& c, const float* g, const float* x, float* dw,
                        int threads) {
  const Job job(c, g, x);
  const Index blocks = ceil_div(c.outputs, 2 * lanes);
  constexpr Index tasks = 32;  // enough to keep many threads busy, few enough to add up
  const Index parts = larger<Index>(smaller(ceil_div(tasks, blocks), c.images), 1);
  const Index size = job.sum_size();
  const Scratch sums(parts * size);

  parallel_for(threads, parts * blocks, [&](std::size_t task) {
    const Index part = static_cast<Index>(task) / blocks;
    const Index block = static_cast<Index>(task) % blocks;
    float* sum = sums + part * size;
    const Index start = block * 2 * lanes;
    const Index width = smaller(2 * lanes, job.lanes_out - start);
    for (Index i = 0; i < size / job.lanes_out; ++i)
      std::memset(sum + i * job.lanes_out + start, 0, static_cast<std::size_t>(width) * 4);
    job.add_part(c.images * part / parts, c.images * (part + 1) / parts, start, sum);
  });

  const Index taps = c.kernel_height * c.kernel_width;
  parallel_for(threads, taps, [&](std::size_t index) {
    const Index tap = static_cast<Index>(index);
    for (Index channel = 0; channel < c.channels; ++channel) {
      float* sum = sums + (tap * c.channels + channel) * job.lanes_out;
      for (Index part = 1; part < parts; ++part)
        for (Index o = 0; o < c.outputs; ++o) sum[o] += sum[part * size + o];
      for (Index o = 0; o < c.outputs; ++o) dw[(o * c.channels + channel) * taps + tap] = sum[o];
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
