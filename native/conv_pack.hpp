// Weights in the order in which the sliding window reads them.
#pragma once
#include "conv_window.hpp"

namespace chainrule::CHAINRULE_ISA {

// Weights as a window uses them. A filter's `rows` x `cols` taps lie side by side.
struct Filters {
  const float* data;
  Index outs, ins, rows, cols;
  Index out_step, in_step;  // in floats
  bool turned;              // by 180 degrees
};

// Packs [block][tap][in][lane], the last block half as wide where half is enough.
void pack(const Filters&, float* packed, int threads);

// The same of one block alone.
void pack_block(const Filters&, Index block, float* packed);

// Few output channels leave lanes empty: `group` neighbouring pixels become one of group * outs
// channels. A group looks at (group - 1) * stride more columns of taps than its first pixel;
// each pixel has zeros where it does not look.
Index group_cols(const Filters&, Index group, Index stride);
void pack_group(const Filters&, Index group, Index stride, float* packed);

}  // namespace chainrule::CHAINRULE_ISA
