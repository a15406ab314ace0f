// Input rows copied once into lines that look the same to every tap, and what grouped and
// depthwise convolutions do with a tile of results.
#pragma once
#include "conv_window.hpp"

namespace chainrule::CHAINRULE_ISA {

// Which input channel a lane reads: lanes come in groups of `group`, each group reads `planes`
// input channels of its own.
struct Grouping {
  Index group, planes;

  Index channel(Index lane, Index plane) const { return lane / group * planes + plane; }
  // Does each lane read the channel of its own number?
  bool is_plain() const { return group == 1 && planes == 1; }
  // Do all lanes of a vector read channels of one vector, moved by a known permutation?
  bool spreads() const { return group == planes && spreads(group); }
  static bool spreads(Index group) {
    return (group == 2 || group == 4 || group == 8) && group <= lanes;
  }
};

inline Index whole_vectors(Index channels) { return ceil_div(channels, lanes) * lanes; }

// In every lane the value of one place in the lane's group: lane / Group * Group + Place.
template <int Group, int Place>
inline Vector spread(Vector v) {
#define CHAINRULE_AT(lane) (lane) / Group * Group + Place
#define CHAINRULE_AT4(lane) \
  CHAINRULE_AT(lane), CHAINRULE_AT(lane + 1), CHAINRULE_AT(lane + 2), CHAINRULE_AT(lane + 3)
#if CHAINRULE_VECTOR_BYTES == 64
#define CHAINRULE_ALL CHAINRULE_AT4(0), CHAINRULE_AT4(4), CHAINRULE_AT4(8), CHAINRULE_AT4(12)
#elif CHAINRULE_VECTOR_BYTES == 32
#define CHAINRULE_ALL CHAINRULE_AT4(0), CHAINRULE_AT4(4)
#else
#define CHAINRULE_ALL CHAINRULE_AT4(0)
#endif
#ifdef __clang__
  return __builtin_shufflevector(v, v, CHAINRULE_ALL);
#else  // which has the other form since version 12 only
  typedef int Places __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
  return __builtin_shuffle(v, Places{CHAINRULE_ALL});
#endif
#undef CHAINRULE_ALL
#undef CHAINRULE_AT4
#undef CHAINRULE_AT
}

// to[plane * plane_step] = the plane's lanes, for planes [Plane, Group).
template <int Group, int Plane = 0>
[[gnu::always_inline]] inline void store_planes(Vector v, float* to, Index plane_step) {
  store(to + Plane * plane_step, spread<Group, Plane>(v));
  if constexpr (Plane + 1 < Group) store_planes<Group, Plane + 1>(v, to, plane_step);
}

// The first `count` floats, the rest zeros.
inline Vector load_part(const float* from, Index count) {
  float part[lanes] = {};
  std::memcpy(part, from, static_cast<std::size_t>(count) * sizeof(float));
  return load(part);
}

// Lines of the input rows that a window looks at, for lanes [start, start + count) of one image.
// The rows of one window have different slots; a new row takes the slot of one that is done.
class Lines {
 public:
  Lines(const Window& window, const InImages& in, Grouping grouping, Index out_cols, Index width)
      : window_(window), in_(in), grouping_(grouping), width_(width),
        pixels_((out_cols - 1) * window.cols.stride + (window.cols.taps - 1) * window.cols.step +
                1),
        slots_(larger<Index>((window.rows.taps - 1) * window.rows.step + 1, 1)),
        data_(floats(window, grouping, out_cols, width)) {}

  static Index floats(const Window& window, Grouping grouping, Index out_cols, Index width) {
    const Index pixels =
        (out_cols - 1) * window.cols.stride + (window.cols.taps - 1) * window.cols.step + 1;
    const Index slots = larger<Index>((window.rows.taps - 1) * window.rows.step + 1, 1);
    return slots * grouping.planes * larger<Index>(pixels, 0) * width;
  }

  // Begins with output row `row` of an image.
  void start(Index image, Index row, Index first_lane, Index lane_count) {
    image_ = in_.data + image * in_.rows * in_.cols * in_.channels;
    first_lane_ = first_lane;
    lane_count_ = lane_count;
    next_ = row * window_.rows.stride + window_.rows.first;
  }

  // Brings the rows that output row `row` looks at. Rows are asked for in ascending order.
  void advance(Index row) {
    const Axis& rows = window_.rows;
    const Index first = row * rows.stride + rows.first;
    const Index last = first + (rows.taps - 1) * rows.step;
    for (next_ = larger(next_, first); next_ <= last; ++next_)
      if (next_ >= 0 && next_ < in_.rows) copy_row(next_);
  }

  // The line of an input row, or null where that lies outside the image.
  const float* line(Index row, Index plane) const {
    return row < 0 || row >= in_.rows ? nullptr : at(row, plane);
  }

 private:
  float* at(Index row, Index plane) const {
    return data_ + (row % slots_ * grouping_.planes + plane) * pixels_ * width_;
  }

  void copy_row(Index row) {
    const Index left = window_.cols.first;
    const Index begin = smaller(larger<Index>(-left, 0), pixels_);
    const Index end = larger(smaller(in_.cols - left, pixels_), begin);
    const float* from = image_ + (row * in_.cols + left + begin) * in_.channels;
    float* to = at(row, 0);
    for (Index plane = 0; plane < grouping_.planes; ++plane, to += pixels_ * width_) {
      std::memset(to, 0, static_cast<std::size_t>(begin * width_) * 4);
      std::memset(to + end * width_, 0, static_cast<std::size_t>((pixels_ - end) * width_) * 4);
    }
    to = at(row, 0) + begin * width_;
    if (grouping_.is_plain()) return copy_pixels(from + first_lane_, end - begin, to);
    if (!grouping_.spreads()) return pick_pixels(from, end - begin, to);
    if (grouping_.group == 2) spread_pixels<2>(from + first_lane_, end - begin, to);
    if (grouping_.group == 4) spread_pixels<4>(from + first_lane_, end - begin, to);
    if (grouping_.group == 8) spread_pixels<8>(from + first_lane_, end - begin, to);
  }

  void copy_pixels(const float* from, Index pixels, float* to) const {
    if (lane_count_ == in_.channels && lane_count_ == width_) {
      std::memcpy(to, from, static_cast<std::size_t>(pixels * width_) * 4);
      return;
    }
    const Index whole = lane_count_ / lanes * lanes;
    for (Index i = 0; i < pixels; ++i, from += in_.channels, to += width_) {
      for (Index lane = 0; lane < whole; lane += lanes) store(to + lane, load(from + lane));
      for (Index lane = whole; lane < lane_count_; ++lane) to[lane] = from[lane];
    }
  }

  template <int Group>
  void spread_pixels(const float* from, Index pixels, float* to) const {
    if constexpr (Group <= lanes) {
      const Index plane_step = pixels_ * width_, whole = lane_count_ / lanes * lanes;
      for (Index i = 0; i < pixels; ++i, from += in_.channels, to += width_) {
        for (Index lane = 0; lane < whole; lane += lanes)
          store_planes<Group>(load(from + lane), to + lane, plane_step);
        if (whole < lane_count_)
          store_planes<Group>(load_part(from + whole, lane_count_ - whole), to + whole, plane_step);
      }
    }
  }

  void pick_pixels(const float* from, Index pixels, float* to) const {
    for (Index plane = 0; plane < grouping_.planes; ++plane, to += pixels_ * width_)
      for (Index lane = 0; lane < lane_count_; ++lane) {
        const float* channel = from + grouping_.channel(first_lane_ + lane, plane);
        for (Index i = 0; i < pixels; ++i) to[i * width_ + lane] = channel[i * in_.channels];
      }
  }

  const Window& window_;
  const InImages& in_;
  const Grouping grouping_;
  const Index width_, pixels_, slots_;
  const Scratch data_;
  const float* image_ = nullptr;
  Index first_lane_ = 0, lane_count_ = 0, next_ = 0;
};

// One row of taps that lies in the image: its line, and its weights.
struct TapRow {
  const float* line;
  const float* weights;
};

// Where a tile starts from and where it goes: the pointers are those of its first pixel and
// channel; init, scale, shift and add may be null.
struct Ends {
  const float* init;
  Epilogue end;
  float* out;
  Index out_step, channels;

  // On to the next vector of channels.
  void next() {
    const auto step = [](const float* values) { return values ? values + lanes : nullptr; };
    init = step(init);
    end = {step(end.scale), step(end.shift), step(end.add), end.relu};
    out += lanes;
    channels -= lanes;
  }
};

inline const float* at(const float* values, Index index) {
  return values ? values + index : nullptr;
}

template <int Pixels, int Vectors>
[[gnu::always_inline]] inline void begin(Vector (&acc)[Pixels][Vectors], const Ends& ends) {
#pragma GCC unroll 16
  for (int p = 0; p < Pixels; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < Vectors; ++v)
      acc[p][v] = ends.init ? load(ends.init + v * lanes) : Vector{};
}

template <int Pixels, int Vectors>
[[gnu::always_inline]] inline void finish(Vector (&acc)[Pixels][Vectors], const Ends& ends) {
#pragma GCC unroll 2
  for (int v = 0; v < Vectors; ++v) {
    const Index left = ends.channels - v * lanes;
    if (left <= 0) return;
    if (ends.end.scale) {
      const Vector scale = load(ends.end.scale + v * lanes);
      const Vector shift = load(ends.end.shift + v * lanes);
#pragma GCC unroll 16
      for (int p = 0; p < Pixels; ++p) acc[p][v] = acc[p][v] * scale + shift;
    }
#pragma GCC unroll 16
    for (int p = 0; p < Pixels; ++p) {
      Vector value = acc[p][v];
      const Index place = p * ends.out_step + v * lanes;
      if (ends.end.add)
        value += left >= lanes ? load(ends.end.add + place) : load_part(ends.end.add + place, left);
      if (ends.end.relu) value = value < Vector{} ? Vector{} : value;  // a NaN stays
      if (left >= lanes)
        store(ends.out + place, value);
      else
        std::memcpy(ends.out + place, &value, static_cast<std::size_t>(left) * sizeof(float));
    }
  }
}

}  // namespace chainrule::CHAINRULE_ISA
