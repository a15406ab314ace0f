// (x - mean) * scale + shift: what every normalisation is in the end, channel by channel.
#pragma once
#include "channels.hpp"

namespace chainrule::CHAINRULE_ISA {

inline double inverse_std(float var, float eps) {
  return 1 / __builtin_sqrt(static_cast<double>(var) + eps);
}

// Vectors of one value a channel, repeated along a pattern.
class Repeated {
 public:
  Repeated(Index channels, Index vectors)
      : channels_(channels), width_(pattern_width(channels)), memory_(vectors * width_) {}

  // Vector v holds value(c) for channel c.
  template <class Value>
  void fill(Index v, Value value) {
    float* to = memory_ + v * width_;
    for (Index c = 0; c < channels_; ++c) to[c] = value(c);
    for (Index i = channels_; i < width_; ++i) to[i] = to[i - channels_];
  }
  const float* operator[](Index v) const { return memory_ + v * width_; }

 private:
  Index channels_, width_;
  Scratch memory_;
};

// (x - mean) * scale + shift, in one place: backward must find the very bits of forward to know
// where a ReLU let them pass.
struct Affine {
  const float *mean, *scale, *shift;

  template <class T, class Column>
  T operator()(T x, Column c) const {
    return (x - value_of<T>(mean, c)) * value_of<T>(scale, c) + value_of<T>(shift, c);
  }
};

}  // namespace chainrule::CHAINRULE_ISA
