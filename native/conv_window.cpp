#include "conv_window.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

// Pixels of a tile when a block is V vectors wide: all accumulators, V weights and one input.
constexpr int most_pixels(int vectors) { return smaller((registers - 1 - vectors) / vectors, 16); }

// A contiguous run of taps and channels that every pixel of a tile takes, or all but one.
enum class Skip { none, first, last };

struct Run {
  const float* in;
  const float* weights;
  Index length;
  Skip skip;
};

// acc[pixel] += in[pixel][r] * weights[r] for r in the run and pixels in [First, Last).
template <int Pixels, int Vectors, int First, int Last>
[[gnu::always_inline]] inline void add_run(Vector (&acc)[Pixels][Vectors], const Run& run,
                                           Index pixel_step) {
  // Four base pointers and the index registers step and 3*step reach 16 pixels; the compiler
  // would otherwise keep a pointer for each pixel and spill.
  const float* in[4];
  for (int i = 0; i < 4; ++i) in[i] = run.in + 4 * i * pixel_step;
  const float* weights = run.weights;
  for (Index r = 0; r < run.length; ++r, weights += Vectors * lanes) {
    Vector w[Vectors];
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) w[v] = load(weights + v * lanes);
#pragma GCC unroll 16
    for (int p = First; p < Last; ++p) {
      const Vector value = broadcast(in[p / 4][(p % 4) * pixel_step]);
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[p][v] += value * w[v];
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) ++in[i];
  }
}

// Where a tile starts from and where it goes: the pointers are those of its first pixel and
// channel; init, scale, shift and add may be null.
struct Ends {
  const float* init;
  const float* scale;
  const float* shift;
  const float* add;
  bool relu;
  float* out;
  Index out_step, channels;
};

template <int Pixels, int Vectors>
[[gnu::always_inline]] inline void finish(Vector (&acc)[Pixels][Vectors], const Ends& ends) {
  if (ends.scale) {
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) {
      const Vector scale = load(ends.scale + v * lanes), shift = load(ends.shift + v * lanes);
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) acc[p][v] = acc[p][v] * scale + shift;
    }
  }
  if (ends.add) {
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) {
      const float* add = ends.add + p * ends.out_step;
      float part[Vectors * lanes];
      if (ends.channels < Vectors * lanes) {
        std::memcpy(part, add, static_cast<std::size_t>(ends.channels) * sizeof(float));
        add = part;
      }
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) acc[p][v] += load(add + v * lanes);
    }
  }
  if (ends.relu) {
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v)  // a NaN compares false and stays
        acc[p][v] = acc[p][v] < Vector{} ? Vector{} : acc[p][v];
  }
}

template <int Pixels, int Vectors>
void tile(const Run* runs, int count, Index in_step, const Ends& ends) {
  Vector acc[Pixels][Vectors];
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) acc[p][v] = ends.init ? load(ends.init + v * lanes) : Vector{};

  for (int i = 0; i < count; ++i) {
    if (runs[i].skip == Skip::none)
      add_run<Pixels, Vectors, 0, Pixels>(acc, runs[i], in_step);
    else if (runs[i].skip == Skip::first)
      add_run<Pixels, Vectors, 1, Pixels>(acc, runs[i], in_step);
    else
      add_run<Pixels, Vectors, 0, Pixels - 1>(acc, runs[i], in_step);
  }
  finish(acc, ends);

#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) {
    float* out = ends.out + p * ends.out_step;
    if (ends.channels >= Vectors * lanes) {
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) store(out + v * lanes, acc[p][v]);
    } else {
      Vector part[Vectors];  // a copy: acc itself must have no address, or it leaves registers
#pragma GCC unroll 4
      for (int v = 0; v < Vectors; ++v) part[v] = acc[p][v];
      std::memcpy(out, part, static_cast<std::size_t>(ends.channels) * sizeof(float));
    }
  }
}

using Tile = void (*)(const Run*, int, Index, const Ends&);

template <int Vectors, int Pixels = most_pixels(Vectors)>
struct Tiles {
  static Tile of(Index pixels) {
    if (pixels == Pixels) return tile<Pixels, Vectors>;
    if constexpr (Pixels > 1) return Tiles<Vectors, Pixels - 1>::of(pixels);
    return nullptr;
  }
};

// Everything a task needs to know; the same for all tasks.
struct Job {
  const Window& window;
  const InImages& in;
  const OutImages& out;
  const float* weights;
  const float* init;
  const Epilogue& end;
  Index width;  // of a full block of output channels

  Index taps() const { return window.rows.taps * window.cols.taps; }
  Index line_pixels() const {
    return 16 * window.cols.stride + window.cols.taps * window.cols.step;
  }
};

// Which of a tile's pixels a tap column can serve.
enum class Reach { all, all_but_first, all_but_last, none, some };

Reach reach(const Axis& axis, Index first, Index pixels, Index tap, Index size) {
  const Index leftmost = first * axis.stride + axis.first + tap * axis.step;
  const Index rightmost = leftmost + (pixels - 1) * axis.stride;
  if (leftmost >= 0 && rightmost < size) return Reach::all;
  if (rightmost < 0 || leftmost >= size) return Reach::none;
  if (rightmost < size && leftmost + axis.stride >= 0) return Reach::all_but_first;
  if (leftmost >= 0 && rightmost - axis.stride < size) return Reach::all_but_last;
  return Reach::some;
}

// Copies what a tile sees of one image row, with zeros where it looks outside.
void copy_line(const Job& job, const float* row, Index first, Index pixels, float* line) {
  const Axis& axis = job.window.cols;
  const Index channels = job.in.channels;
  const Index left = first * axis.stride + axis.first;
  const Index count = (pixels - 1) * axis.stride + (axis.taps - 1) * axis.step + 1;
  const Index begin = smaller(larger<Index>(-left, 0), count);
  const Index end = larger(smaller(job.in.cols - left, count), begin);
  const std::size_t pixel = static_cast<std::size_t>(channels) * sizeof(float);
  std::memset(line, 0, static_cast<std::size_t>(begin) * pixel);
  std::memcpy(line + begin * channels, row + (left + begin) * channels,
              static_cast<std::size_t>(end - begin) * pixel);
  std::memset(line + end * channels, 0, static_cast<std::size_t>(count - end) * pixel);
}

// The runs of a tile, for the block of weights that starts at `weights`. Returns their number.
int plan_tile(const Job& job, const float* image, const float* weights, Index width, Index row,
              Index first, Index pixels, float* lines, Run* runs) {
  const Axis& rows = job.window.rows;
  const Axis& cols = job.window.cols;
  const Index channels = job.in.channels;
  bool copied = false;
  for (Index b = 0; b < cols.taps; ++b)
    copied |= reach(cols, first, pixels, b, job.in.cols) == Reach::some;

  int count = 0;
  for (Index a = 0; a < rows.taps; ++a) {
    const Index in_row = row * rows.stride + rows.first + a * rows.step;
    if (in_row < 0 || in_row >= job.in.rows) continue;
    const float* line = image + in_row * job.in.cols * channels;
    Index left = first * cols.stride + cols.first;
    if (copied) {
      float* copy = lines + a * job.line_pixels() * channels;
      copy_line(job, line, first, pixels, copy);
      line = copy;
      left = 0;
    }
    bool joined = false;  // does the next tap continue the last run in memory?
    for (Index b = 0; b < cols.taps; ++b) {
      const Reach seen = copied ? Reach::all : reach(cols, first, pixels, b, job.in.cols);
      if (seen == Reach::all && joined) {
        runs[count - 1].length += channels;
        continue;
      }
      joined = seen == Reach::all && cols.step == 1;
      if (seen == Reach::none) continue;
      runs[count++] = {line + (left + b * cols.step) * channels,
                       weights + (a * cols.taps + b) * channels * width, channels,
                       seen == Reach::all             ? Skip::none
                       : seen == Reach::all_but_first ? Skip::first
                                                      : Skip::last};
    }
  }
  return count;
}

// A 1x1 window meets every input once, in as many streams as a tile has pixels: more than the
// processor follows by itself. (Prefetching beyond an array's end is harmless.)
void prefetch(const float* data, Index floats) {
  constexpr Index line = 64 / sizeof(float);
  for (Index i = 0; i < floats; i += line) __builtin_prefetch(data + i, 0, 2);
}

const float* at(const float* values, Index index) { return values ? values + index : nullptr; }

// Output rows [top, bottom) and columns [left, right) of one image, one block of channels.
void slide_block(const Job& job, Index image, Index block, Index top, Index bottom, Index left,
                 Index right, float* lines, Run* runs) {
  const Index start = block * job.width;
  const Index channels = smaller(job.width, job.out.channels - start);
  const int vectors = channels > lanes ? 2 : 1;
  const Index width = vectors * lanes;
  const float* weights = job.weights + start * job.taps() * job.in.channels;
  const float* in = job.in.data + image * job.in.rows * job.in.cols * job.in.channels;
  const Index in_step = job.window.cols.stride * job.in.channels;

  // Split a row evenly: a narrow last tile would leave most of the registers empty.
  const Index most = vectors == 2 ? most_pixels(2) : most_pixels(1);
  const Index tiles = ceil_div(right - left, most);
  for (Index row = top; row < bottom; ++row) {
    const Index out_row = image * job.out.image_step + row * job.out.row_step + start;
    const float* in_row = in + row * job.window.rows.stride * job.in.cols * job.in.channels;
    for (Index t = 0; t < tiles; ++t) {
      const Index first = left + (right - left) * t / tiles;
      const Index pixels = left + (right - left) * (t + 1) / tiles - first;
      const int count =
          plan_tile(job, in, weights, width, row, first, pixels, lines, runs);
      const Tile run_tile = vectors == 2 ? Tiles<2>::of(pixels) : Tiles<1>::of(pixels);
      if (job.taps() == 1 && block == 0)
        prefetch(in_row + (first + pixels) * in_step, pixels * in_step);
      const Index place = out_row + first * job.out.pixel_step;
      run_tile(runs, count, in_step,
               {at(job.init, start), at(job.end.scale, start), at(job.end.shift, start),
                at(job.end.add, place), job.end.relu, job.out.data + place, job.out.pixel_step,
                channels});
    }
  }
}

// How the work is cut into tasks; depends on sizes only.
struct Cut {
  Index images, rows, cols;
};

Cut cut(const Job& job) {
  constexpr Index task_macs = Index{1} << 21;
  constexpr Index cached_bytes = Index{1} << 18;
  const Index pixel_macs = larger<Index>(job.taps() * job.in.channels * job.out.channels, 1);
  const Index cols = smaller(job.out.cols, larger<Index>(task_macs / pixel_macs / 16 * 16, 16));
  const Index rows =
      smaller(job.out.rows, larger<Index>(task_macs / (pixel_macs * job.out.cols), 1));
  Index images = 1;
  const Index weight_bytes = job.taps() * job.in.channels * job.out.channels * 4;
  const Index image_bytes = job.in.rows * job.in.cols * job.in.channels * 4;
  if (rows == job.out.rows && weight_bytes > cached_bytes)
    // Weights that do not stay in cache are streamed once for several images.
    images = larger<Index>(smaller(cached_bytes / image_bytes, job.in.images / 32), 1);
  return {images, rows, job.out.rows == 1 ? cols : job.out.cols};
}

}  // namespace

void slide(const Window& window, const InImages& in, const float* weights, const float* init,
           const Epilogue& end, const OutImages& out, int threads) {
  if (in.images == 0 || out.rows <= 0 || out.cols <= 0) return;
  const Job job{window, in, out, weights, init, end, block_width(out.channels)};
  const Cut piece = cut(job);
  const Index blocks = ceil_div(out.channels, job.width);
  const Index row_pieces = ceil_div(out.rows, piece.rows);
  const Index col_pieces = ceil_div(out.cols, piece.cols);
  const Index image_pieces = ceil_div(in.images, piece.images);
  const Index lines_size = window.rows.taps * job.line_pixels() * in.channels;
  const Index runs_size = ceil_div<Index>(job.taps() * sizeof(Run), sizeof(float));

  parallel_for(threads, image_pieces * row_pieces * col_pieces, [&](std::size_t task) {
    const Index index = static_cast<Index>(task);
    const Index col = index % col_pieces * piece.cols;
    const Index row = index / col_pieces % row_pieces * piece.rows;
    const Index image = index / col_pieces / row_pieces * piece.images;
    const Scratch runs(runs_size), lines(lines_size);
    for (Index block = 0; block < blocks; ++block)
      for (Index n = image; n < smaller(image + piece.images, in.images); ++n)
        slide_block(job, n, block, row, smaller(row + piece.rows, out.rows), col,
                    smaller(col + piece.cols, out.cols), lines,
                    reinterpret_cast<Run*>(static_cast<float*>(runs)));
  });
}

}  // namespace chainrule::CHAINRULE_ISA
