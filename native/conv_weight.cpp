// Contract: reference/conv.py, conv2d_weight_grad.
//
//   dw[o, c, a, b] = sum over images and outputs (i, j) of
//                    x[n, i*stride + row(a), j*stride + col(b), c] * g[n, i, j, o]
//
// A tile of input channels times vectors of output channels stays in registers while it runs
// over a block of pixels whose g fits the first cache. The batch is cut into parts by sizes
// alone; each part has its own sum, and the parts are added in order: the same bits for any
// number of threads.
#include "conv.hpp"
#include "conv_depthwise.hpp"
#include "conv_weight.hpp"
#include "register_tile.hpp"
#include "winograd.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using TileSize = RegisterTile<>;  // a row for each input channel

// Pixels of a block: positions in x and g that belong together.
struct Pixels {
  const float* x;
  const float* g;
  Index images, rows, cols;
  Index x_image, x_row, x_col;  // steps in floats
  Index g_image, g_row, g_col;
  Index x_tap_row;  // step to the next row of taps, where a tile holds several
};

// Where a tile's sums are: rows `step` floats apart, to be written afresh or added to.
struct Sums {
  float* data;
  Index step;
  bool fresh;
};

// sum[i][:] (+)= x[pixel][i] * g[pixel][:] over the pixels, for `Inputs` neighbouring values of
// each of `Taps` rows of x.
template <int Taps, int Inputs, int Vectors>
void add_products(const Pixels& p, const Sums& sums) {
  Vector acc[Taps * Inputs][Vectors];
#pragma GCC unroll 32
  for (int i = 0; i < Taps * Inputs; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v)
      acc[i][v] = sums.fresh ? Vector{} : load(sums.data + i * sums.step + v * lanes);

  for (Index n = 0; n < p.images; ++n) {
    for (Index row = 0; row < p.rows; ++row) {
      const float* x = p.x + n * p.x_image + row * p.x_row;
      const float* g = p.g + n * p.g_image + row * p.g_row;
      for (Index col = 0; col < p.cols; ++col, x += p.x_col, g += p.g_col) {
        Vector slope[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) slope[v] = load(g + v * lanes);
#pragma GCC unroll 8
        for (int tap = 0; tap < Taps; ++tap)
#pragma GCC unroll 32
          for (int i = 0; i < Inputs; ++i) {
            const Vector value = broadcast(x[tap * p.x_tap_row + i]);
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) acc[tap * Inputs + i][v] += value * slope[v];
          }
      }
    }
  }

#pragma GCC unroll 32
  for (int i = 0; i < Taps * Inputs; ++i)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) store(sums.data + i * sums.step + v * lanes, acc[i][v]);
}

using AddProducts = void (*)(const Pixels&, const Sums&);

// The tile that holds every tap of a small filter at once, so that g is read once; null if
// there is none. First layers: 3x3 of one and of three channels, 5x5 of one.
AddProducts whole_filter(Index rows, Index inputs) {
  if (rows == 3 && inputs == 3) return add_products<3, 3, 1>;
  if constexpr (TileSize::most_rows(1) >= 27) {
    if (rows == 3 && inputs == 9) return add_products<3, 9, 1>;
    if (rows == 5 && inputs == 5) return add_products<5, 5, 1>;
  }
  return nullptr;
}

// A run of input values, `channels` long, against one block of output channels.
void add_run(Pixels p, Index channels, int vectors, Sums sums) {
  const Index tiles = ceil_div<Index>(channels, TileSize::most_rows(vectors));
  const float* x = p.x;
  float* data = sums.data;
  for (Index t = 0; t < tiles; ++t) {
    const Index first = channels * t / tiles;
    const Index inputs = channels * (t + 1) / tiles - first;
    p.x = x + first;
    sums.data = data + first * sums.step;
    const AddProducts add = TileSize::of(inputs, vectors, []<int Inputs, int Vectors>() {
      return add_products<1, Inputs, Vectors>;
    });
    add(p, sums);
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
  bool fresh;  // the first of its part

  Index rows() const { return bottom - top; }
};

// Images of which a convolution takes a slice of the channels: steps to the next pixel.
struct Slices {
  const float* g;
  const float* x;
  Index g_pixel, x_pixel;
};

class Job {
 public:
  Job(const Convolution& c, const Slices& slices)
      : c(c), s_(slices), blocks(ceil_div(c.outputs, 2 * lanes)),
        pads_x_(c.channels < 8 && slices.x_pixel == c.channels && c.dilation_width == 1 &&
                c.kernel_width > 1),
        whole_(pads_x_ ? whole_filter(c.kernel_height, c.kernel_width * c.channels) : nullptr),
        width_(c.width + 2 * c.padding_width) {}

  Index taps() const { return c.kernel_height * c.kernel_width; }

  // Vectors of output channels in a block.
  int vectors(Index block) const { return c.outputs - block * 2 * lanes > lanes ? 2 : 1; }

  // Floats of the sum that one part has for one block: [kh][kw][c][vectors * lanes].
  Index sum_size() const { return taps() * c.channels * 2 * lanes; }

  // Sums of what images [first, last) give to blocks [begin, end) of output channels.
  void add_part(Index first, Index last, Index begin, Index end, float* sum) const {
    if (first == last) {
      std::memset(sum, 0, static_cast<std::size_t>((end - begin) * sum_size()) * 4);
      return;
    }
    const Index pixels = block_pixels();
    const Index rows = smaller(ceil_div(pixels, c.out_width), c.out_height);
    const Index images =
        rows < c.out_height ? 1 : ceil_div(pixels, c.out_height * c.out_width);
    const Scratch x_copy(pads_x_ ? images * in_rows(rows) * width_ * c.channels : 0);
    const Scratch g_copy(images * rows * c.out_width * (end - begin) * 2 * lanes);
    for (Index image = first; image < last; image += images)
      for (Index top = 0; top < c.out_height; top += rows) {
        const Block block{image, smaller(images, last - image), top,
                          smaller(top + rows, c.out_height), image == first && top == 0};
        if (!reads_g()) copy_g(block, begin, end, g_copy);
        if (pads_x_) copy_x(block, x_copy);
        for (Index b = begin; b < end; ++b) {
          const Index step = block.images * block.rows() * c.out_width * 2 * lanes;
          add_block(block, vectors(b), x_copy, g_copy + (b - begin) * step,
                    sum + (b - begin) * sum_size());
        }
      }
  }

  const Convolution& c;

 private:
  // Output pixels of a block: enough to be worth loading and storing the accumulators, few
  // enough for g's block to stay in the first cache and x's in the second.
  Index block_pixels() const {
    const Index inputs = c.channels * c.stride_height * c.stride_width;
    return larger<Index>(smaller<Index>((48 << 10) / inputs, 192), 96);
  }

  // Input rows that a number of output rows look at.
  Index in_rows(Index rows) const {
    return (rows - 1) * c.stride_height + (c.kernel_height - 1) * c.dilation_height + 1;
  }

  // Is g one block of whole vectors, to be read where it is? One block of a wider g is copied:
  // its lines would be far apart and evict each other.
  bool reads_g() const {
    return s_.g_pixel == c.outputs && (c.outputs == lanes || c.outputs == 2 * lanes);
  }

  void add_block(const Block& block, int vectors, const float* x_copy, const float* g_copy,
                 float* sum) const {
    const Pixels pixels = pixels_of_g(block, vectors * lanes, g_copy);
    if (whole_) {
      add_whole_filter(pixels, block, x_copy, vectors, sum);
      return;
    }
    for (Index kh = 0; kh < c.kernel_height; ++kh) {
      const Index offset = kh * c.dilation_height - c.padding_height;
      const Range rows = inside(offset, c.stride_height, c.height, c.out_height);
      const Index top = larger(rows.first, block.top);
      const Index row_size = c.kernel_width * c.channels * vectors * lanes;
      const Sums sums{sum + kh * row_size, vectors * lanes, block.fresh};
      Pixels p = pixels;
      p.g += (top - block.top) * p.g_row;
      p.rows = smaller(rows.last, block.bottom) - top;
      if (p.rows <= 0) {
        if (block.fresh) std::memset(sums.data, 0, static_cast<std::size_t>(row_size) * 4);
        continue;
      }
      const Index x_row = top * c.stride_height + offset;
      if (pads_x_)
        add_padded_row(p, block, x_row, x_copy, vectors, sums);
      else
        add_row(p, block, x_row, vectors, sums);
    }
  }

  Pixels pixels_of_g(const Block& block, Index width, const float* copy) const {
    Pixels p{};
    p.images = block.images;
    p.g_col = width;
    p.g_row = c.out_width * p.g_col;
    if (reads_g()) {
      p.g_image = c.out_height * p.g_row;
      p.g = s_.g + block.image * p.g_image + block.top * p.g_row;
    } else {
      p.g_image = block.rows() * p.g_row;
      p.g = copy;
    }
    return p;
  }

  // One row of taps, tap by tap, each with the pixels for which it lies inside the image.
  void add_row(Pixels p, const Block& block, Index x_row, int vectors, Sums sums) const {
    const float* g = p.g;
    p.x_col = c.stride_width * s_.x_pixel;
    p.x_row = c.stride_height * c.width * s_.x_pixel;
    p.x_image = c.height * c.width * s_.x_pixel;
    const float* x = s_.x + block.image * p.x_image + x_row * c.width * s_.x_pixel;
    const Index tap_size = c.channels * sums.step;
    for (Index kw = 0; kw < c.kernel_width; ++kw, sums.data += tap_size) {
      const Index shift = kw * c.dilation_width - c.padding_width;
      const Range cols = inside(shift, c.stride_width, c.width, c.out_width);
      p.cols = cols.last - cols.first;
      if (p.cols <= 0) {
        if (sums.fresh) std::memset(sums.data, 0, static_cast<std::size_t>(tap_size) * 4);
        continue;
      }
      p.x = x + (cols.first * c.stride_width + shift) * s_.x_pixel;
      p.g = g + cols.first * p.g_col;
      add_run(p, c.channels, vectors, sums);
    }
  }

  // Points p at the copy of x, at the row of it that belongs to input row x_row.
  void look_at_copy(Pixels& p, const Block& block, Index x_row, const float* copy) const {
    const Index line = width_ * c.channels;
    const Index first_row = block.top * c.stride_height - c.padding_height;
    p.x = copy + (x_row - first_row) * line;
    p.x_col = c.stride_width * c.channels;
    p.x_row = c.stride_height * line;
    p.x_image = in_rows(block.rows()) * line;
    p.x_tap_row = c.dilation_height * line;
    p.cols = c.out_width;
  }

  // One row of taps at once, from the copy of x with zeros beside it.
  void add_padded_row(Pixels p, const Block& block, Index x_row, const float* copy, int vectors,
                      const Sums& sums) const {
    look_at_copy(p, block, x_row, copy);
    add_run(p, c.kernel_width * c.channels, vectors, sums);
  }

  void add_whole_filter(Pixels p, const Block& block, const float* copy, int vectors,
                        float* sum) const {
    look_at_copy(p, block, block.top * c.stride_height - c.padding_height, copy);
    p.rows = block.rows();
    for (int v = 0; v < vectors; ++v, p.g += lanes)
      whole_(p, {sum + v * lanes, vectors * lanes, block.fresh});
  }

  // Brings blocks of g together, each [pixel][vectors * lanes]. Lanes beyond the last channel
  // hold whatever comes next in memory: their sums are never looked at.
  void copy_g(const Block& block, Index begin, Index end, float* to) const {
    const Index pixels = block.rows() * c.out_width;
    const Index block_size = block.images * pixels * 2 * lanes;
    const Index all_pixels = c.images * c.out_height * c.out_width;
    const float* g_end = s_.g + (all_pixels - 1) * s_.g_pixel + c.outputs;
    for (Index n = 0; n < block.images; ++n, to += pixels * 2 * lanes) {
      const float* from =
          s_.g + (((block.image + n) * c.out_height + block.top) * c.out_width) * s_.g_pixel;
      for (Index i = 0; i < pixels; ++i, from += s_.g_pixel)
        for (Index b = begin; b < end; ++b) {
          const Index width = vectors(b) * lanes;
          float* panel = to + (b - begin) * block_size - n * pixels * (2 * lanes - width);
          for (Index v = 0; v < width; v += lanes) {
            const float* part = from + b * 2 * lanes + v;
            if (g_end - part >= lanes)
              store(panel + i * width + v, load(part));
            else
              copy_tail(part, c.outputs - b * 2 * lanes - v, panel + i * width + v);
          }
        }
    }
  }

  static void copy_tail(const float* from, Index count, float* to) {
    std::memset(to, 0, sizeof(Vector));
    for (Index i = 0; i < smaller(count, lanes); ++i) to[i] = from[i];
  }

  // Few input channels: a run over all tap columns fills the registers, which needs columns of
  // zeros beside the image; a tile of all rows of taps needs rows of zeros, too.
  void copy_x(const Block& block, float* to) const {
    const Index first_row = block.top * c.stride_height - c.padding_height;
    const Index line = c.width * c.channels, side = c.padding_width * c.channels;
    for (Index n = 0; n < block.images; ++n)
      for (Index r = 0; r < in_rows(block.rows()); ++r, to += width_ * c.channels) {
        const Index row = first_row + r;
        if (row < 0 || row >= c.height) {
          std::memset(to, 0, static_cast<std::size_t>(width_ * c.channels) * 4);
          continue;
        }
        const float* from = s_.x + ((block.image + n) * c.height + row) * line;
        std::memset(to, 0, static_cast<std::size_t>(side) * 4);
        std::memcpy(to + side, from, static_cast<std::size_t>(line) * 4);
        std::memset(to + side + line, 0, static_cast<std::size_t>(side) * 4);
      }
  }

  const Slices s_;

 public:
  const Index blocks;

 private:
  const bool pads_x_;
  const AddProducts whole_;
  const Index width_;
};

// How the work is cut into tasks: the batch into parts, the blocks of output channels into
// groups. Depends on sizes only.
struct Cut {
  Index parts, groups;
};

Cut cut(const Job& job) {
  constexpr Index tasks = 32;          // enough to keep many threads busy
  constexpr Index part_pixels = 512;   // enough work for a part's sum to be cheap
  constexpr Index most_sums = 2 << 20;  // floats of all parts together
  const Convolution& c = job.c;
  const Index pixels = c.images * c.out_height * c.out_width;
  const Index wanted = smaller(smaller(c.images, tasks), pixels / part_pixels);
  const Index size = larger<Index>(job.sum_size() * job.blocks, 1);
  const Index parts = larger<Index>(smaller(wanted, most_sums / size), 1);
  return {parts, smaller(job.blocks, ceil_div(tasks / 2, parts))};
}

// dw = the parts' sums, added in order, for one vector of output channels and the input
// channels [first, last).
void add_parts(const Job& job, Index parts, const float* sums, Index start, Index first,
               Index last, float* buffer, float* dw) {
  const Convolution& c = job.c;
  const Index taps = job.taps(), block = start / (2 * lanes);
  const Index width = job.vectors(block) * lanes;
  const Index part_step = job.blocks * job.sum_size();
  sums += block * job.sum_size() + start % (2 * lanes);
  for (Index tap = 0; tap < taps; ++tap)
    for (Index channel = first; channel < last; ++channel) {
      const float* from = sums + (tap * c.channels + channel) * width;
      Vector total = load(from);
      for (Index part = 1; part < parts; ++part) total += load(from + part * part_step);
      store(buffer + ((channel - first) * taps + tap) * lanes, total);
    }
  for (Index o = 0; o < smaller(lanes, c.outputs - start); ++o) {
    float* to = dw + ((start + o) * c.channels + first) * taps;
    for (Index i = 0; i < (last - first) * taps; ++i) to[i] = buffer[i * lanes + o];
  }
}

void weight_grad(const Convolution& c, const Slices& images, float* dw, int threads) {
  const Job job(c, images);
  const Cut piece = cut(job);
  const Index size = job.blocks * job.sum_size();
  const Scratch sums(piece.parts * size);
  parallel_for(threads, piece.parts * piece.groups, [&](std::size_t task) {
    const Index part = static_cast<Index>(task) / piece.groups;
    const Index group = static_cast<Index>(task) % piece.groups;
    const Index begin = job.blocks * group / piece.groups;
    const Index end = job.blocks * (group + 1) / piece.groups;
    job.add_part(c.images * part / piece.parts, c.images * (part + 1) / piece.parts, begin, end,
                 sums + part * size + begin * job.sum_size());
  });

  constexpr Index buffered = 4096;  // floats
  const Index step = larger<Index>(buffered / (lanes * job.taps()), 1);
  const Index slices = ceil_div(c.channels, step);
  parallel_for(threads, ceil_div(c.outputs, lanes) * slices, [&](std::size_t task) {
    const Index start = static_cast<Index>(task) / slices * lanes;
    const Index first = static_cast<Index>(task) % slices * step;
    const Scratch buffer(step * job.taps() * lanes);
    add_parts(job, piece.parts, sums, start, first, smaller(first + step, c.channels), buffer,
              dw);
  });
}

// Narrow groups are taken together, so that their output channels fill a vector; of what they
// give, only the blocks on the diagonal are part of dw.
void grouped_weight_grad(const Convolution& c, const float* g, const float* x, float* dw,
                         int threads) {
  const Index outs = c.outputs / c.groups, ins = c.channels / c.groups;
  const Index taps = c.kernel_height * c.kernel_width;
  const Index most = larger<Index>(lanes / larger<Index>(outs, 1), 1);
  const Scratch together(most * outs * most * ins * taps);
  for (Index first = 0; first < c.groups; first += most) {
    const Index groups = smaller(most, c.groups - first);
    Convolution joined = c;
    joined.outputs = groups * outs;
    joined.channels = groups * ins;
    joined.groups = 1;
    weight_grad(joined, {g + first * outs, x + first * ins, c.outputs, c.channels}, together,
                threads);
    const std::size_t filter = static_cast<std::size_t>(ins * taps) * sizeof(float);
    for (Index o = 0; o < groups * outs; ++o)
      std::memcpy(dw + (first * outs + o) * ins * taps,
                  together + (o * groups + o / outs) * ins * taps, filter);
  }
}

}  // namespace

void conv2d_weight_grad(const Convolution& c, const float* g, const float* x, float* dw,
                        int threads) {
  if (c.groups > 1) {
    if (is_depthwise(c)) return depthwise_weight_grad(c, g, x, dw, threads);
    return grouped_weight_grad(c, g, x, dw, threads);
  }
  if (const int tile = winograd_weight_grad_tile(c))
    return winograd_weight_grad(tile, c, g, x, dw, threads);
  if (is_narrow(c)) return narrow_weight_grad(c, g, x, dw, threads);
  weight_grad(c, {g, x, c.outputs, c.channels}, dw, threads);
}

}  // namespace chainrule::CHAINRULE_ISA
