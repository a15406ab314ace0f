// Contract: reference/frames.py. A task is one frame of the result, written from its beginning to
// its end: a pixel's channels (of one group) are copied from, or added up over, the frames that
// the taps see. A vector may be stored beyond them where the frame goes on.
#include "frames.hpp"

namespace chainrule::CHAINRULE_ISA {

void gather_frames(const Frames& f, const float* x, float* y, int threads) {
  const Index each = f.channels / f.groups, frame = f.pixels * f.channels;
  const float* x_end = x + f.images * f.depth * frame;
  parallel_for(threads, static_cast<std::size_t>(f.images * f.places), [&](std::size_t task) {
    const Index image = static_cast<Index>(task) / f.places;
    const Index first = static_cast<Index>(task) % f.places * f.stride - f.padding;
    const float* from = x + image * f.depth * frame;
    float* to = y + static_cast<Index>(task) * f.taps * frame;
    const float* end = to + f.taps * frame;
    for (Index pixel = 0; pixel < f.pixels; ++pixel) {
      for (Index group = 0; group < f.groups; ++group) {
        const float* channels = from + pixel * f.channels + group * each;
        for (Index tap = 0; tap < f.taps; ++tap, to += each) {
          const Index seen = first + tap * f.dilation;
          const bool inside = 0 <= seen && seen < f.depth;
          for (Index c = 0; c < each; c += lanes)
            store_some(to + c, each - c, end,
                       inside ? load_some(channels + seen * frame + c, each - c, x_end)
                              : Vector{});
        }
      }
    }
  });
}

namespace {

// Where the gathered frames begin that show one frame; at most so many at a time.
struct Shown {
  static constexpr Index most = 8;
  Index count = 0;
  const float* at[most];
};

// The next ones from `tap` on, which is moved past them.
Shown next_shown(const Frames& f, const float* g, Index frame, Index& tap) {
  const Index each = f.channels / f.groups;
  Shown shown;
  for (; tap < f.taps && shown.count < Shown::most; ++tap) {
    const Index start = frame + f.padding - tap * f.dilation;
    if (start < 0 || start % f.stride != 0 || start / f.stride >= f.places) continue;
    shown.at[shown.count++] = g + start / f.stride * f.pixels * f.taps * f.channels + tap * each;
  }
  return shown;
}

}  // namespace

void add_frames(const Frames& f, const float* g, float* dx, int threads) {
  const Index each = f.channels / f.groups, frame = f.pixels * f.channels;
  const float* g_end = g + f.images * f.places * f.taps * frame;
  parallel_for(threads, static_cast<std::size_t>(f.images * f.depth), [&](std::size_t task) {
    const Index image = static_cast<Index>(task) / f.depth;
    const float* gathered = g + image * f.places * f.taps * frame;
    float* first = dx + static_cast<Index>(task) * frame;
    const float* end = first + frame;
    Index tap = 0;
    bool again = false;
    do {
      const Shown shown = next_shown(f, gathered, static_cast<Index>(task) % f.depth, tap);
      float* to = first;
      for (Index part = 0; part < f.pixels * f.groups; ++part, to += each) {
        for (Index c = 0; c < each; c += lanes) {
          Vector sum = again ? load_some(to + c, each - c, end) : Vector{};
          for (Index i = 0; i < shown.count; ++i)
            sum += load_some(shown.at[i] + part * f.taps * each + c, each - c, g_end);
          // What follows may only be overwritten before it is a sum.
          store_some(to + c, each - c, again ? to + each : end, sum);
        }
      }
      again = true;
    } while (tap < f.taps);
  });
}

}  // namespace chainrule::CHAINRULE_ISA
