// Contract: reference/conv.py, conv2d and its gradients; for groups of one or few channels.
//
// Lanes are channels of the result. Input rows are copied once into lines that look the same
// to every tap: whole vectors of lanes, zeros beside the image, and in each lane the channel
// that the lane's group reads. A group of several input channels has as many lines, "planes":
//
//   out[i, j, lane] = init[lane] + sum over taps (a, b) and planes k of
//                     line[row(a)][k][j*stride + b*step][lane] * weights[a, k, b, lane]
#include "conv_depthwise.hpp"

#include "conv_lines.hpp"
#include "conv_phase.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

constexpr int tile_pixels = registers == 32 ? 14 : 8;
constexpr int tile_taps = 8;

// Neighbouring pixels and all lanes of a chunk. Steps in floats; the ends are those of the first
// lane.
struct Tile {
  const TapRow* rows;
  Index row_count, taps, tap_step, pixel_step, weight_step, line_offset, lanes_count;
  Ends ends;
};

// One row of taps. Where neighbouring pixels share taps, each input is loaded once for all of
// them: Taps says how many there are, 0 that it is not so.
template <int Pixels, int Taps>
[[gnu::always_inline]] inline void add_taps(Vector (&acc)[Pixels][1], const Tile& t,
                                            const float* in, const float* weights) {
  if constexpr (Taps > 0) {
    Vector weight[Taps];
#pragma GCC unroll 8
    for (int b = 0; b < Taps; ++b) weight[b] = in_register(load(weights + b * t.weight_step));
#pragma GCC unroll 32
    for (int i = 0; i < Pixels + Taps - 1; ++i) {
      const Vector value = in_register(load(in + i * t.pixel_step));
#pragma GCC unroll 8
      for (int b = 0; b < Taps; ++b)
        if (i - b >= 0 && i - b < Pixels) acc[i - b][0] += value * weight[b];
    }
  } else {
    for (Index tap = 0; tap < t.taps; ++tap, in += t.tap_step, weights += t.weight_step) {
      const Vector weight = load(weights);
      const float* base[4];
      for (int i = 0; i < 4; ++i) base[i] = in + 4 * i * t.pixel_step;
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p)
        acc[p][0] += load(base[p / 4] + (p % 4) * t.pixel_step) * weight;
    }
  }
}

template <int Pixels, int Taps>
void run_tile(const Tile& t) {
  Ends ends = t.ends;
  for (Index lane = 0; lane < t.lanes_count; lane += lanes) {
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p)  // the next tile's, which no prefetcher foresees
      __builtin_prefetch(ends.out + (Pixels + p) * ends.out_step, 1);
    Vector acc[Pixels][1];
    begin(acc, ends);
    for (Index row = 0; row < t.row_count; ++row)
      add_taps<Pixels, Taps>(acc, t, t.rows[row].line + t.line_offset + lane,
                             t.rows[row].weights + lane);
    finish(acc, ends);
    ends.next();
  }
}

using RunTile = void (*)(const Tile&);

template <int Taps, int Pixels = tile_pixels>
RunTile tile_of(Index pixels) {
  if (pixels == Pixels) return run_tile<Pixels, Taps>;
  if constexpr (Pixels > 1) return tile_of<Taps, Pixels - 1>(pixels);
  return nullptr;
}

RunTile tile_of(Index pixels, const Axis& cols) {
  const bool shared = cols.stride == 1 && cols.step == 1;
  if (shared && cols.taps == 3) return tile_of<3>(pixels);
  if (shared && cols.taps == 5) return tile_of<5>(pixels);
  if (shared && cols.taps == 7 && registers == 32) return tile_of<7>(pixels);
  return tile_of<0>(pixels);
}

// A cut of images into tasks: strips of output rows, chunks of lanes. Depends on sizes only.
struct Cut {
  Index strip, strips, chunk, chunks;
};

Cut cut(const Window& window, Grouping grouping, Index images, Index rows, Index cols,
        Index width) {
  constexpr Index cached = 1 << 16;  // floats of lines that stay in the second cache
  constexpr Index tasks = 32, least_rows = 8;
  const Index vector_floats = larger<Index>(Lines::floats(window, grouping, cols, lanes), 1);
  const Index chunks =
      smaller(ceil_div(width / lanes, larger<Index>(cached / vector_floats, 1)), width / lanes);
  const Index chunk = ceil_div(width / lanes, larger<Index>(chunks, 1)) * lanes;
  const Index wanted = ceil_div(tasks, larger<Index>(images * chunks, 1));
  const Index strip = larger(smaller(ceil_div(rows, wanted), rows), smaller(least_rows, rows));
  return {strip, ceil_div(rows, strip), chunk, ceil_div(width, chunk)};
}

// Packed [a][plane][b][width], `cols` taps in a row. A window's tap (a, b) is the packed tap
// (first_row + a*row_step, first_col + b*col_step).
struct PackedTaps {
  const float* data;
  Index first_row, row_step, first_col, col_step, cols;

  const float* row(Index a, Index plane, Index planes, Index width) const {
    const Index packed_row = (first_row + a * row_step) * planes + plane;
    return data + (packed_row * cols + first_col) * width;
  }
};

// One window over all images.
struct Job {
  const Window& window;
  const InImages& in;
  const Grouping grouping;
  PackedTaps weights;
  const float* init;
  const Epilogue& end;
  const OutImages& out;
  Index width;  // lanes: channels of out rounded up to whole vectors
};

// The rows of taps of output row `row` that lie in the image. Returns their number.
Index tap_rows(const Job& job, const Lines& lines_, Index row, Index start, TapRow* rows) {
  const Axis& axis = job.window.rows;
  Index count = 0;
  for (Index a = 0; a < axis.taps; ++a)
    for (Index plane = 0; plane < job.grouping.planes; ++plane) {
      const float* line = lines_.line(row * axis.stride + axis.first + a * axis.step, plane);
      if (line)
        rows[count++] = {line, job.weights.row(a, plane, job.grouping.planes, job.width) + start};
    }
  return count;
}

// One output row, `count` lanes from `start`; lines hold `chunk` lanes.
void slide_row(const Job& job, const TapRow* rows, Index row_count, Index start, Index count,
               Index chunk, Index place) {
  const Axis& cols = job.window.cols;
  const Index tiles = ceil_div<Index>(job.out.cols, tile_pixels);
  Tile t{};
  t.rows = rows;
  t.row_count = row_count;
  t.taps = cols.taps;
  t.lanes_count = count;
  t.tap_step = cols.step * chunk;
  t.pixel_step = cols.stride * chunk;
  t.weight_step = job.weights.col_step * job.width;
  for (Index i = 0; i < tiles; ++i) {
    const Index first = job.out.cols * i / tiles;
    const RunTile run = tile_of(job.out.cols * (i + 1) / tiles - first, cols);
    t.line_offset = first * t.pixel_step;
    const Index to = place + first * job.out.pixel_step + start;
    t.ends = {at(job.init, start),
              {at(job.end.scale, start), at(job.end.shift, start), at(job.end.add, to),
               job.end.relu},
              job.out.data + to, job.out.pixel_step, job.out.channels - start};
    run(t);
  }
}

// The task's strip and chunk of one window.
void slide_strip(const Job& job, const Cut& piece, Index task) {
  const OutImages& out = job.out;
  const Index image = task / piece.chunks / piece.strips;
  const Index top = task / piece.chunks % piece.strips * piece.strip;
  const Index start = task % piece.chunks * piece.chunk;
  const Index count = smaller(piece.chunk, out.channels - start);
  const Scratch memory(ceil_div<Index>(
      job.window.rows.taps * job.grouping.planes * sizeof(TapRow), sizeof(float)));
  TapRow* rows = reinterpret_cast<TapRow*>(static_cast<float*>(memory));
  Lines input(job.window, job.in, job.grouping, out.cols, piece.chunk);
  input.start(image, top, start, count);
  for (Index row = top; row < smaller(top + piece.strip, out.rows); ++row) {
    input.advance(row);
    slide_row(job, rows, tap_rows(job, input, row, start, rows), start, count, piece.chunk,
              image * out.image_step + row * out.row_step);
  }
}

// weight(lane, plane, a, b) -> [a][plane][b][width]; lanes beyond the last one are zero.
template <class Weight>
void pack(Index rows, Index planes, Index cols, Index channels, Index width, Weight weight,
          float* to) {
  for (Index a = 0; a < rows; ++a)
    for (Index plane = 0; plane < planes; ++plane)
      for (Index b = 0; b < cols; ++b, to += width) {
        for (Index lane = 0; lane < channels; ++lane) to[lane] = weight(lane, plane, a, b);
        for (Index lane = channels; lane < width; ++lane) to[lane] = 0;
      }
}

// What a row of g gives to a row of taps: sum[b] += g[j] * line[j*stride + b*step] over the
// row's pixels, for Rows rows of taps.
struct Products {
  const float* lines[3];
  const float* g;
  Index cols, g_step, pixel_step, tap_step;
  float* sums[3];
  Index sum_step;
};

template <int Rows, int Taps>
void add_products(const Products& p) {
  Vector acc[Rows][Taps];
#pragma GCC unroll 3
  for (int a = 0; a < Rows; ++a)
#pragma GCC unroll 8
    for (int b = 0; b < Taps; ++b) acc[a][b] = load(p.sums[a] + b * p.sum_step);

  for (Index j = 0; j < p.cols; ++j) {
    const Vector slope = in_register(load(p.g + j * p.g_step));
#pragma GCC unroll 3
    for (int a = 0; a < Rows; ++a) {
      const float* x = p.lines[a] + j * p.pixel_step;
#pragma GCC unroll 8
      for (int b = 0; b < Taps; ++b) acc[a][b] += slope * load(x + b * p.tap_step);
    }
  }

#pragma GCC unroll 3
  for (int a = 0; a < Rows; ++a)
#pragma GCC unroll 8
    for (int b = 0; b < Taps; ++b) store(p.sums[a] + b * p.sum_step, acc[a][b]);
}

using AddProducts = void (*)(const Products&);

template <int Taps = tile_taps>
AddProducts products_of(Index taps) {
  if (taps == Taps) return add_products<1, Taps>;
  if constexpr (Taps > 1) return products_of<Taps - 1>(taps);
  return nullptr;
}

class WeightJob {
 public:
  WeightJob(const Convolution& c, const float* g, const float* x)
      : c(c), width(whole_vectors(c.outputs)),
        window_{{c.kernel_height, -c.padding_height, c.dilation_height, c.stride_height},
                {c.kernel_width, -c.padding_width, c.dilation_width, c.stride_width}},
        in_{x, c.images, c.height, c.width, c.channels},
        grouping_{c.outputs / c.groups, c.channels / c.groups}, g_(g),
        piece(cut(window_, grouping_, c.images, c.out_height, c.out_width, width)) {}

  // Floats of a part's sum, [a][plane][b][width].
  Index sum_size() const { return c.kernel_height * grouping_.planes * c.kernel_width * width; }

  // Adds what strips [first, last) of all images give to lanes [start, start + count).
  void add_part(Index first, Index last, Index start, Index count, float* sum) const {
    Lines input(window_, in_, grouping_, c.out_width, piece.chunk);
    const Scratch g_line(c.out_width * piece.chunk);
    for (Index strip = first; strip < last; ++strip) {
      const Index image = strip / piece.strips, top = strip % piece.strips * piece.strip;
      input.start(image, top, start, count);
      for (Index row = top; row < smaller(top + piece.strip, c.out_height); ++row) {
        input.advance(row);
        copy_g(image, row, start, count, g_line);
        add_row(input, row, start, count, g_line, sum);
      }
    }
  }

  const Convolution& c;
  const Index width;

 private:
  void copy_g(Index image, Index row, Index start, Index count, float* to) const {
    const float* from = g_ + ((image * c.out_height + row) * c.out_width) * c.outputs + start;
    const Index whole = count / lanes * lanes, filled = whole_vectors(count);
    for (Index i = 0; i < c.out_width; ++i, from += c.outputs, to += piece.chunk) {
      for (Index lane = 0; lane < whole; lane += lanes) store(to + lane, load(from + lane));
      for (Index lane = whole; lane < count; ++lane) to[lane] = from[lane];
      for (Index lane = count; lane < filled; ++lane) to[lane] = 0;
    }
  }

  void add_row(const Lines& input, Index row, Index start, Index count, const float* g,
               float* sum) const {
    const Axis& rows = window_.rows;
    const Index top = row * rows.stride + rows.first;
    const bool inside = top >= 0 && top + (rows.taps - 1) * rows.step < c.height;
    if (inside && rows.taps == 3 && c.kernel_width == 3) {
      for (Index plane = 0; plane < grouping_.planes; ++plane)
        add_taps(input, top, 0, 3, plane, start, count, g, sum);
      return;
    }
    for (Index a = 0; a < rows.taps; ++a)
      if (input.line(top + a * rows.step, 0))
        for (Index plane = 0; plane < grouping_.planes; ++plane)
          add_taps(input, top, a, 1, plane, start, count, g, sum);
  }

  // Rows [a, a + row_count) of taps, each of them in the image; all three of a 3x3 window or one.
  void add_taps(const Lines& input, Index top, Index a, Index row_count, Index plane, Index start,
                Index count, const float* g, float* sum) const {
    Products p{};
    p.cols = c.out_width;
    p.g_step = piece.chunk;
    p.pixel_step = c.stride_width * piece.chunk;
    p.tap_step = c.dilation_width * piece.chunk;
    p.sum_step = width;
    for (Index lane = 0; lane < count; lane += lanes) {
      p.g = g + lane;
      for (Index b = 0; b < c.kernel_width; b += tile_taps) {
        for (Index i = 0; i < row_count; ++i) {
          const Index row = a + i;
          p.lines[i] =
              input.line(top + row * window_.rows.step, plane) + b * p.tap_step + lane;
          p.sums[i] = sum + ((row * grouping_.planes + plane) * c.kernel_width + b) * width +
                      start + lane;
        }
        const Index taps = smaller<Index>(c.kernel_width - b, tile_taps);
        (row_count == 3 ? add_products<3, 3> : products_of(taps))(p);
      }
    }
  }

  const Window window_;
  const InImages in_;
  const Grouping grouping_;
  const float* g_;

 public:
  const Cut piece;
};

}  // namespace

bool is_depthwise(const Convolution& c) {
  if (c.channels == c.groups) return c.outputs <= 4 * c.groups;
  const Index group = c.channels / c.groups;
  // With strides, fewer taps look at each of a group's lines than it takes to write them.
  return c.channels == c.outputs && Grouping::spreads(group) &&
         group * c.stride_height * c.stride_width <= 16;
}

void depthwise_conv2d(const Convolution& c, const float* x, const float* weight,
                      const float* bias, const Epilogue& epilogue, float* y, int threads) {
  const Index taps = c.kernel_height * c.kernel_width, width = whole_vectors(c.outputs);
  const Grouping grouping{c.outputs / c.groups, c.channels / c.groups};
  const Scratch packed(taps * grouping.planes * width);
  pack(c.kernel_height, grouping.planes, c.kernel_width, c.outputs, width,
       [&](Index o, Index plane, Index a, Index b) {
         return weight[(o * grouping.planes + plane) * taps + a * c.kernel_width + b];
       },
       packed);
  const Vectors vectors(bias, epilogue, c.outputs, 1);
  const Window window{{c.kernel_height, -c.padding_height, c.dilation_height, c.stride_height},
                      {c.kernel_width, -c.padding_width, c.dilation_width, c.stride_width}};
  const InImages in{x, c.images, c.height, c.width, c.channels};
  const OutImages out = gapless_images(y, c.out_height, c.out_width, c.outputs);
  const PackedTaps weights{packed, 0, 1, 0, 1, c.kernel_width};
  const Job job{window, in, grouping, weights, vectors.init(), vectors.end(), out, width};
  const Cut piece = cut(window, grouping, c.images, c.out_height, c.out_width, width);
  parallel_for(threads, c.images * piece.strips * piece.chunks,
               [&](std::size_t task) { slide_strip(job, piece, static_cast<Index>(task)); });
}

void depthwise_input_grad(const Convolution& c, const float* g, const float* weight, float* dx,
                          int threads) {
  const Index taps = c.kernel_height * c.kernel_width, width = whole_vectors(c.channels);
  const Grouping grouping{c.channels / c.groups, c.outputs / c.groups};
  const InImages in{g, c.images, c.out_height, c.out_width, c.outputs};
  const Scratch packed(taps * grouping.planes * width);
  pack(c.kernel_height, grouping.planes, c.kernel_width, c.channels, width,
       [&](Index channel, Index plane, Index a, Index b) {
         const Index o = grouping.channel(channel, plane);
         return weight[(o * grouping.group + channel % grouping.group) * taps +
                       (c.kernel_height - 1 - a) * c.kernel_width + c.kernel_width - 1 - b];
       },
       packed);
  const Cut piece = cut({phase_of_rows(c, 0).axis, phase_of_cols(c, 0).axis}, grouping, c.images,
                        ceil_div(c.height, c.stride_height), ceil_div(c.width, c.stride_width),
                        width);
  parallel_for(threads, c.images * piece.strips * piece.chunks, [&](std::size_t task) {
    for (Index i = 0; i < smaller(c.stride_height, c.height); ++i)
      for (Index j = 0; j < smaller(c.stride_width, c.width); ++j) {
        const Phase rows = phase_of_rows(c, i), cols = phase_of_cols(c, j);
        const Window window{rows.axis, cols.axis};
        const OutImages out = phase_of_images(c, dx, i, j);
        const Job job{window, in, grouping,
                      {packed, rows.first_tap, rows.tap_step, cols.first_tap, cols.tap_step,
                       c.kernel_width},
                      nullptr, {}, out, width};
        slide_strip(job, piece, static_cast<Index>(task));
      }
  });
}

void depthwise_weight_grad(const Convolution& c, const float* g, const float* x, float* dw,
                           int threads) {
  const WeightJob job(c, g, x);
  const Cut& piece = job.piece;
  const Index strips = c.images * piece.strips, size = job.sum_size();
  const Index parts = larger<Index>(smaller<Index>(strips, 32), 1);
  const Scratch sums(parts * size);
  parallel_for(threads, parts * piece.chunks, [&](std::size_t task) {
    const Index part = static_cast<Index>(task) / piece.chunks;
    const Index start = static_cast<Index>(task) % piece.chunks * piece.chunk;
    const Index count = smaller(piece.chunk, c.outputs - start);
    float* sum = sums + part * size;
    for (Index i = 0; i < size / job.width; ++i)
      std::memset(sum + i * job.width + start, 0,
                  static_cast<std::size_t>(whole_vectors(count)) * 4);
    job.add_part(strips * part / parts, strips * (part + 1) / parts, start, count, sum);
  });

  const Index planes = c.channels / c.groups;
  for (Index a = 0; a < c.kernel_height; ++a)
    for (Index plane = 0; plane < planes; ++plane)
      for (Index b = 0; b < c.kernel_width; ++b) {
        float* sum = sums + ((a * planes + plane) * c.kernel_width + b) * job.width;
        for (Index part = 1; part < parts; ++part)
          for (Index o = 0; o < c.outputs; ++o) sum[o] += sum[part * size + o];
        for (Index o = 0; o < c.outputs; ++o)
          dw[((o * planes + plane) * c.kernel_height + a) * c.kernel_width + b] = sum[o];
      }
}

}  // namespace chainrule::CHAINRULE_ISA
