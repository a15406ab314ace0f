// How the work is cut. A task is some output rows of an image, or some images, and all blocks of
// output channels, or only one block where the weights of all would not stay in the cache. Its
// rows are cut into tiles that fill the registers. What a tile reads in one row of taps is a few
// contiguous runs of memory, the same for every row, planned once in a task. A tile at the
// border of the image leaves out the pixel that looks outside; where more than one pixel would,
// or where channels are few, the task copies its rows with zeros beside them instead.
#include "conv_window.hpp"

#include "conv_pack.hpp"
#include "moments.hpp"
#include "norm.hpp"
#include "register_tile.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using TileSize = RegisterTile<16>;  // a row for each pixel

// Neighbouring taps of a row and all channels, which every pixel of a tile takes, or all but one;
// or all but two, where a block is one vector wide and a tile thus has many pixels.
enum class Skip { none, first, last, first_two, last_two, both_ends };

struct Run {
  Index in;       // where it begins, in floats
  Index weights;  // the same, in lines of a block's lanes
  Index length;
  Skip skip;
};

// What a tile reads: `rows` rows of taps, each with the same runs. The pointers are those of the
// first row, and of the tile's first pixel.
struct Source {
  const Run* runs;
  Index count;
  const float* in;
  Index in_row, in_pixel;  // steps
  const float* weights;
  Index weights_row;
  Index rows;
  bool once;  // a 1x1 window: every input is met once
};

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

constexpr Index cache_line = 64 / sizeof(float);

// acc[pixel] += in[pixel][r] * weights[r] for r in the run and pixels in [First, Last).
// Ahead: fetch the next tile's input meanwhile, a line at each step. (A 1x1 window has as many
// streams as a tile has pixels: more than the processor follows by itself. Prefetching beyond
// an array's end is harmless.)
template <int Pixels, int Vectors, int First, int Last, bool Ahead = false>
[[gnu::always_inline]] inline void add_run(Vector (&acc)[Pixels][Vectors], const float* first_in,
                                           const float* weights, Index length, Index pixel_step) {
  // Four base pointers and the index registers step and 3*step reach 16 pixels; the compiler
  // would otherwise keep a pointer for each pixel and spill.
  const float* in[4];
  for (int i = 0; i < 4; ++i) in[i] = first_in + 4 * i * pixel_step;
  for (Index r = 0; r < length; ++r, weights += Vectors * lanes) {
    if constexpr (Ahead) {
      const Index pixel = r % cache_line;
      __builtin_prefetch(first_in + (Pixels + pixel) * pixel_step + (r - pixel), 0, 2);
    }
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
[[gnu::always_inline]] inline void write(const Vector (&acc)[Pixels][Vectors], const Ends& ends) {
  constexpr Index whole = Vectors * lanes;
  // Pixels without a gap between them: what is written past a pixel's channels, the next ones
  // overwrite.
  const Index room = ends.out_step == ends.channels ? whole - ends.channels : Pixels * whole;
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p) {
    float* out = ends.out + p * ends.out_step;
    if (ends.channels >= whole || (Pixels - 1 - p) * ends.channels >= room) {
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

template <int Pixels, int Vectors>
void tile(const Source& from, const Ends& ends) {
  // The stores at the end would wait for these lines.
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
    for (Index i = 0; i < Vectors * lanes; i += cache_line)
      __builtin_prefetch(ends.out + p * ends.out_step + i, 1);

  Vector acc[Pixels][Vectors];
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < Vectors; ++v) acc[p][v] = ends.init ? load(ends.init + v * lanes) : Vector{};

  for (Index row = 0; row < from.rows; ++row) {
    for (const Run* run = from.runs; run < from.runs + from.count; ++run) {
      const float* in = from.in + row * from.in_row + run->in;
      const float* weights =
          from.weights + (row * from.weights_row + run->weights) * Vectors * lanes;
      if (run->skip == Skip::none && from.once)
        add_run<Pixels, Vectors, 0, Pixels, true>(acc, in, weights, run->length, from.in_pixel);
      else if (run->skip == Skip::none)
        add_run<Pixels, Vectors, 0, Pixels>(acc, in, weights, run->length, from.in_pixel);
      else if (run->skip == Skip::first)
        add_run<Pixels, Vectors, 1, Pixels>(acc, in, weights, run->length, from.in_pixel);
      else if (run->skip == Skip::last)
        add_run<Pixels, Vectors, 0, Pixels - 1>(acc, in, weights, run->length, from.in_pixel);
      else if constexpr (Vectors == 1 && Pixels > 2) {
        if (run->skip == Skip::first_two)
          add_run<Pixels, Vectors, 2, Pixels>(acc, in, weights, run->length, from.in_pixel);
        else if (run->skip == Skip::last_two)
          add_run<Pixels, Vectors, 0, Pixels - 2>(acc, in, weights, run->length, from.in_pixel);
        else
          add_run<Pixels, Vectors, 1, Pixels - 1>(acc, in, weights, run->length, from.in_pixel);
      }
    }
  }
  finish(acc, ends);
  write(acc, ends);
}

// Everything a task needs to know; the same for all tasks.
struct Job {
  const Window& window;
  const InImages& in;
  const OutImages& out;
  const PackedWeights& weights;
  const float* init;
  const Epilogue& end;
  Index width;  // of a full block of output channels

  Index taps() const { return window.rows.taps * window.cols.taps; }
  Index blocks() const { return ceil_div(out.channels, width); }
  Index most() const { return TileSize::most_rows(width / lanes); }
};

// The share of the output that a task computes, as half-open ranges.
struct Piece {
  Index first_image, last_image, top, bottom, left, right, first_block, last_block;
  const float* weights;  // of its first block

  Index cols() const { return right - left; }
};

// An image as a task reads it: as it is, or its rows copied with zeros beside them. `data` is
// what output column 0 looks at first in the image's row 0.
struct View {
  const float* data;
  Index cols;
};

// How many of a tile's pixels, at its left and at its right, a tap column cannot serve.
struct Outside {
  Index left, right;
};

Outside outside(Index leftmost, Index stride, Index pixels, Index size) {
  const Index rightmost = leftmost + (pixels - 1) * stride;
  return {leftmost < 0 ? smaller(ceil_div(-leftmost, stride), pixels) : 0,
          rightmost >= size ? smaller(ceil_div(rightmost - size + 1, stride), pixels) : 0};
}

Skip skip_of(const Outside& pixels) {
  if (pixels.left == 1 && pixels.right == 1) return Skip::both_ends;
  if (pixels.left) return pixels.left == 1 ? Skip::first : Skip::first_two;
  if (pixels.right) return pixels.right == 1 ? Skip::last : Skip::last_two;
  return Skip::none;
}

// The tiles of a piece's columns and their runs: the same for every row.
class Columns {
 public:
  Columns(const Job& job, const Piece& piece)
      : job_(job), left_(piece.left), cols_(piece.cols()),
        tiles_(ceil_div(cols_, job.most())),
        memory_(ceil_div<Index>((tiles_ * taps() + 1) * sizeof(Run) + tiles_ * sizeof(Index),
                                sizeof(float))),
        runs_(reinterpret_cast<Run*>(static_cast<float*>(memory_))),
        counts_(reinterpret_cast<Index*>(runs_ + tiles_ * taps())) {
    const Axis& axis = job.window.cols;
    const Index leftmost = piece.left * axis.stride + axis.first;
    const Index rightmost =
        (piece.right - 1) * axis.stride + axis.first + (axis.taps - 1) * axis.step;
    inside_ = taps() == 0 || (leftmost >= 0 && rightmost < job.in.cols);
    constexpr Index few_channels = 8;
    alike_ = inside_ || job.in.channels < few_channels;
    for (Index t = 0; t < tiles_ && !alike_; ++t) alike_ = !plan(t);
    if (!alike_) return;
    counts_[0] = 0;
    for (Index b = 0; b < taps(); ++b) add(runs_, counts_[0], b, Skip::none);
  }

  // Whether a task has to copy its rows with zeros beside them.
  bool padded() const { return alike_ && !inside_; }

  Index tiles() const { return tiles_; }
  // Split evenly: a narrow last tile would leave most of the registers empty.
  Index first(Index tile) const { return left_ + cols_ * tile / tiles_; }
  const Run* runs(Index tile) const { return alike_ ? runs_ : runs_ + tile * taps(); }
  Index count(Index tile) const { return counts_[alike_ ? 0 : tile]; }

 private:
  Index taps() const { return job_.window.cols.taps; }

  // False if more pixels would have to be left out than a tile can.
  bool plan(Index tile) {
    const Axis& axis = job_.window.cols;
    const Index most = job_.width == lanes ? 2 : 1, pixels = first(tile + 1) - first(tile);
    counts_[tile] = 0;
    for (Index b = 0; b < taps(); ++b) {
      const Index leftmost = first(tile) * axis.stride + axis.first + b * axis.step;
      const Outside out = outside(leftmost, axis.stride, pixels, job_.in.cols);
      if (out.left + out.right >= pixels) continue;
      if (out.left + out.right > most) return false;
      add(runs_ + tile * taps(), counts_[tile], b, skip_of(out));
    }
    return true;
  }

  // Appends a tap column to the runs, or joins it to the last one that it continues in memory.
  void add(Run* runs, Index& count, Index b, Skip skip) const {
    const Index channels = job_.in.channels;
    const Run run{b * job_.window.cols.step * channels,
                  b * job_.weights.col_step * channels, channels, skip};
    Run* last = runs + count - 1;
    if (count && run.skip == Skip::none && last->skip == Skip::none &&
        last->in + last->length == run.in &&
        last->weights + last->length == run.weights)
      last->length += channels;
    else
      runs[count++] = run;
  }

  const Job& job_;
  Index left_, cols_, tiles_;
  bool inside_, alike_;
  Scratch memory_;
  Run* runs_;
  Index* counts_;
};

// A task's rows of one image, copied with zeros beside them.
class PaddedRows {
 public:
  PaddedRows(const Job& job, const Piece& piece, bool needed)
      : job_(job), left_(piece.left * job.window.cols.stride + job.window.cols.first),
        cols_((piece.cols() - 1) * job.window.cols.stride +
              (job.window.cols.taps - 1) * job.window.cols.step + 1),
        top_(larger<Index>(piece.top * job.window.rows.stride + job.window.rows.first, 0)),
        bottom_(smaller((piece.bottom - 1) * job.window.rows.stride + job.window.rows.first +
                            (job.window.rows.taps - 1) * job.window.rows.step + 1,
                        job.in.rows)),
        rows_(needed ? larger<Index>(bottom_ - top_, 0) * cols_ * job.in.channels : 0) {}

  View copy(const float* image) {
    const Index channels = job_.in.channels;
    const Index begin = smaller(larger<Index>(-left_, 0), cols_);
    const Index end = larger(smaller(job_.in.cols - left_, cols_), begin);
    const std::size_t pixel = static_cast<std::size_t>(channels) * sizeof(float);
    float* to = rows_;
    for (Index row = top_; row < bottom_; ++row, to += cols_ * channels) {
      std::memset(to, 0, static_cast<std::size_t>(begin) * pixel);
      std::memcpy(to + begin * channels,
                  image + (row * job_.in.cols + left_ + begin) * channels,
                  static_cast<std::size_t>(end - begin) * pixel);
      std::memset(to + end * channels, 0, static_cast<std::size_t>(cols_ - end) * pixel);
    }
    const Index left_pixel = left_ - job_.window.cols.first;
    return {rows_ - (top_ * cols_ + left_pixel) * channels, cols_};
  }

 private:
  const Job& job_;
  Index left_, cols_, top_, bottom_;
  Scratch rows_;
};

const float* at(const float* values, Index index) { return values ? values + index : nullptr; }

// One block of channels of one image.
void slide_block(const Job& job, const Piece& piece, const Columns& columns, const View& view,
                 Index image, Index block) {
  const Axis& rows = job.window.rows;
  const Axis& cols = job.window.cols;
  const Index start = block * job.width;
  const Index channels = smaller(job.width, job.out.channels - start);
  const Index vectors = channels > lanes ? 2 : 1;
  const Index tap = job.in.channels * vectors * lanes;  // floats of a tap's weights
  const float* weights =
      piece.weights + (block - piece.first_block) * job.width * job.weights.taps * job.in.channels;
  Source from{};
  from.in_row = rows.step * view.cols * job.in.channels;
  from.in_pixel = cols.stride * job.in.channels;
  from.weights_row = job.weights.row_step * job.in.channels;
  from.once = job.taps() == 1;

  for (Index row = piece.top; row < piece.bottom; ++row) {
    const Index top = row * rows.stride + rows.first;
    Index a = 0, last = rows.taps;  // the rows of taps that are inside the image
    while (a < last && top + a * rows.step < 0) ++a;
    while (a < last && top + (last - 1) * rows.step >= job.in.rows) --last;
    from.weights = weights + (job.weights.first + a * job.weights.row_step) * tap;
    from.rows = last - a;
    const float* in = view.data + (top + a * rows.step) * view.cols * job.in.channels;
    const Index out_row = image * job.out.image_step + row * job.out.row_step + start;
    for (Index t = 0; t < columns.tiles(); ++t) {
      const Index first = columns.first(t), pixels = columns.first(t + 1) - first;
      from.runs = columns.runs(t);
      from.count = columns.count(t);
      from.in = in + first * from.in_pixel;
      const Index place = out_row + first * job.out.pixel_step;
      const Ends ends{at(job.init, start), at(job.end.scale, start), at(job.end.shift, start),
                      at(job.end.add, place), job.end.relu, job.out.data + place,
                      job.out.pixel_step, channels};
      const auto run = TileSize::of(
          pixels, vectors, []<int Pixels, int Vectors>() { return tile<Pixels, Vectors>; });
      run(from, ends);
    }
  }
}

void slide_piece(const Job& job, const Piece& piece) {
  const Columns columns(job, piece);
  const Index image_size = job.in.rows * job.in.cols * job.in.channels;
  PaddedRows padded(job, piece, columns.padded());
  for (Index n = piece.first_image; n < piece.last_image; ++n) {
    const float* image = job.in.data + n * image_size;
    const View view = columns.padded()
                          ? padded.copy(image)
                          : View{image + job.window.cols.first * job.in.channels, job.in.cols};
    for (Index block = piece.first_block; block < piece.last_block; ++block)
      slide_block(job, piece, columns, view, n, block);
  }
}

// How the work is cut into pieces; depends on sizes only.
struct Cut {
  Index images, rows, cols, blocks;
};

Cut cut(const Job& job) {
  constexpr Index least_macs = Index{1} << 18, most_macs = Index{1} << 21;
  constexpr Index cached_floats = Index{1} << 16;
  constexpr Index enough_pixels = 256;  // to make up for fetching weights from afar
  constexpr Index few_pieces = 8, enough_pieces = 32;
  const Index block_weights = job.taps() * job.in.channels * job.width;
  const Index blocks = block_weights * job.blocks() > cached_floats ? 1 : job.blocks();
  const Index image_pixels = job.out.rows * job.out.cols;
  const Index pixel_macs = larger<Index>(block_weights * job.blocks(), 1);
  const Index macs = smaller(
      larger(job.in.images * image_pixels * pixel_macs / few_pieces, least_macs), most_macs);
  Index pixels = macs / larger<Index>(block_weights * blocks, 1);
  if (blocks < job.blocks()) pixels = larger(pixels, enough_pixels);
  if (pixels >= image_pixels) {
    const Index all = job.in.images * (job.blocks() / blocks);
    return {larger<Index>(smaller(pixels / image_pixels, all / enough_pieces), 1), job.out.rows,
            job.out.cols, blocks};
  }
  if (job.out.rows == 1)
    return {1, 1, larger<Index>(pixels / job.most(), 1) * job.most(), blocks};
  const Index pieces = ceil_div(job.out.rows, larger<Index>(pixels / job.out.cols, 1));
  return {1, ceil_div(job.out.rows, pieces), job.out.cols, blocks};
}

}  // namespace

void slide(const Window& window, const InImages& in, const PackedWeights& weights,
           const float* init, const Epilogue& end, const OutImages& out, int threads) {
  if (in.images == 0 || out.rows <= 0 || out.cols <= 0) return;
  const Job job{window, in, out, weights, init, end, block_width(out.channels)};
  const Cut size = cut(job);
  const Index block_pieces = ceil_div(job.blocks(), size.blocks);
  const Index col_pieces = ceil_div(out.cols, size.cols);
  const Index row_pieces = ceil_div(out.rows, size.rows);
  const Index image_pieces = ceil_div(in.images, size.images);
  const Index tasks = block_pieces * col_pieces * row_pieces * image_pieces;
  const bool gathered = end.mean && block_pieces == 1;
  const Index channels = out.channels / out.group;
  Moments written(gathered ? tasks : 0, channels);
  // Weights that serve one piece only are packed by its task, into the cache of its processor.
  const Index block_weights = job.width * weights.taps * in.channels;
  const bool pack_late = !weights.data && size.blocks == 1 && tasks == block_pieces;
  const Scratch packed(weights.data || pack_late ? 0 : job.blocks() * block_weights);
  if (!weights.data && !pack_late) pack(*weights.filters, packed, threads);
  const float* data = weights.data ? weights.data : static_cast<float*>(packed);
  // A thread does tasks that follow each other: all that need its weights, or its images,
  // whichever are more, so that these stay in its processor's cache from call to call.
  const Index read = in.images * smaller(in.rows * in.cols, out.rows * out.cols * job.taps());
  const bool blocks_first = job.blocks() * job.width * job.taps() > read;  // channels are alike
  parallel_for(threads, static_cast<std::size_t>(tasks), [&](std::size_t task) {
    Index index = static_cast<Index>(task);
    const Index places = tasks / block_pieces;
    const Index block = (blocks_first ? index / places : index % block_pieces) * size.blocks;
    index = blocks_first ? index % places : index / block_pieces;
    const Index left = index % col_pieces * size.cols;
    const Index top = (index /= col_pieces) % row_pieces * size.rows;
    const Index image = index / row_pieces * size.images;
    const Scratch packed_block(pack_late ? block_weights : 0);
    if (pack_late) pack_block(*weights.filters, block, packed_block);
    const Piece piece{image, smaller(image + size.images, in.images),
                      top, smaller(top + size.rows, out.rows),
                      left, smaller(left + size.cols, out.cols),
                      block, smaller(block + size.blocks, job.blocks()),
                      pack_late ? packed_block : data + block * block_weights};
    slide_piece(job, piece);
    if (gathered)  // what a piece with all blocks has written is contiguous
      written.add(static_cast<Index>(task),
                  out.data + image * out.image_step + top * out.row_step + left * out.pixel_step,
                  (piece.last_image - image) * (piece.bottom - top) * piece.cols() * out.group);
  });
  if (gathered)
    written.finish(end.mean, end.var);
  else if (end.mean)
    moments({in.images * out.rows * out.cols * out.group, channels}, out.data, end.mean, end.var,
            threads);
}

}  // namespace chainrule::CHAINRULE_ISA
