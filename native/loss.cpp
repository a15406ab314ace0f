// Contract: reference/loss.py, along the last axis in memory: rows of `classes` numbers.
#include "loss.hpp"

#include "simd_math.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

using Target = std::int64_t;

// Numbers that one task handles; an exponential costs about as much as ten passes over memory.
constexpr Index grain = Index{1} << 13;

// A row in pieces of `lanes` numbers. Rows are written in order, so that what a store leaves
// behind a row's last number is overwritten with the next row; `rest` is how many numbers
// follow the row's start in what the task may touch.
struct Row {
  Index number, size, rest;

  template <class Body>
  void for_pieces(Body body) const {
    for (Index start = 0; start < size; start += lanes) body(start);
  }

  // The piece at `start` of a row, and `filler` after its end.
  Vector piece(const float* row, Index start, float filler) const {
    const Vector v = load_some(row + start, size - start, row + rest);
    return size - start >= lanes ? v : inside(start) ? v : broadcast(filler);
  }

  void set_piece(float* row, Index start, Vector v) const {
    store_some(row + start, smaller(size - start, lanes), row + rest, v);
  }

  // Which lanes of the piece lie in the row, and which is at a place of it.
  IntVector inside(Index start) const {
    return lane_numbers() < IntVector{} + static_cast<std::int32_t>(size - start);
  }
  static IntVector is_place(Index start, Target place) {
    return lane_numbers() == IntVector{} + static_cast<std::int32_t>(place - start);
  }
};

template <class Body>
void for_rows(Index rows, Index classes, int threads, Body body) {
  const Index rows_of_task = larger(grain / larger(classes, Index{1}), Index{1});
  parallel_ranges(threads, rows, rows_of_task, [&](Index first, Index last) {
    for (Index row = first; row < last; ++row)
      body(Row{row, classes, (last - row) * classes});
  });
}

float maximum(const Row& row, const float* x) {
  Vector largest = broadcast(-__builtin_inff());
  row.for_pieces([&](Index start) {
    const Vector v = row.piece(x, start, -__builtin_inff());
    largest = v > largest ? v : largest;
  });
  return max_of(largest);
}

float sum_of_exp(const Row& row, const float* x, float maximum) {
  Vector sum = {};
  row.for_pieces([&](Index start) {
    sum += exp(row.piece(x, start, -__builtin_inff()) - broadcast(maximum));
  });
  return sum_of(sum);
}

// y = log softmax(x) of one row.
void log_softmax_row(const Row& row, const float* x, float* y) {
  const float largest = maximum(row, x);
  const Vector log_sum = broadcast(__builtin_logf(sum_of_exp(row, x, largest)));
  row.for_pieces([&](Index start) {
    row.set_piece(y, start, row.piece(x, start, 0) - broadcast(largest) - log_sum);
  });
}

// max(0, s - s_t + margin), and 0 at t and after the row's end. Written so that a NaN stays.
Vector hinge(const Row& row, const float* scores, Index start, Target target, float margin) {
  const float own = scores[target];
  const Vector gap =
      row.piece(scores, start, -__builtin_inff()) - broadcast(own) + broadcast(margin);
  const Vector positive = gap < Vector{} ? Vector{} : gap;
  return ~Row::is_place(start, target) & row.inside(start) ? positive : Vector{};
}

// The largest of a row's hinges, NaN where one of them is.
float largest_hinge(const Row& row, const float* scores, Target target, float margin) {
  Vector largest = {}, nan = {};
  row.for_pieces([&](Index start) {
    const Vector h = hinge(row, scores, start, target, margin);
    nan += h != h ? h : Vector{};  // comparisons lose it
    largest = h > largest ? h : largest;
  });
  return max_of(largest) + sum_of(nan);
}

// max(0, margin - y s) with y = 1 at t, else -1, and 0 after the row's end. A NaN stays.
Vector own_hinge(const Row& row, const float* scores, Index start, Target target, float margin) {
  const Vector s = row.piece(scores, start, 0);
  const Vector gap = broadcast(margin) + (Row::is_place(start, target) ? -s : s);
  const Vector positive = gap < Vector{} ? Vector{} : gap;
  return row.inside(start) ? positive : Vector{};
}

Vector hinge_slope(Vector hinge, bool squared) {
  const Vector step = hinge > Vector{} ? broadcast(1.0f) : Vector{};
  return squared ? hinge + hinge : step;
}

}  // namespace

void softmax(const float* x, float* y, Index rows, Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    const float* from = x + row.number * classes;
    float* to = y + row.number * classes;
    const float largest = maximum(row, from);
    Vector sum = {};
    row.for_pieces([&](Index start) {
      const Vector e = exp(row.piece(from, start, -__builtin_inff()) - broadcast(largest));
      sum += e;
      row.set_piece(to, start, e);
    });
    const Vector total = broadcast(sum_of(sum));
    row.for_pieces([&](Index start) {
      row.set_piece(to, start, row.piece(to, start, 0) / total);
    });
  });
}

void softmax_backward(const float* g, const float* y, float* dx, Index rows, Index classes,
                      int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    const Index begin = row.number * classes;
    Vector sum = {};
    row.for_pieces([&](Index start) {
      sum += row.piece(g + begin, start, 0) * row.piece(y + begin, start, 0);
    });
    const Vector mean = broadcast(sum_of(sum));
    row.for_pieces([&](Index start) {
      const Vector slope = row.piece(g + begin, start, 0) - mean;
      row.set_piece(dx + begin, start, row.piece(y + begin, start, 0) * slope);
    });
  });
}

void log_softmax(const float* x, float* y, Index rows, Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    log_softmax_row(row, x + row.number * classes, y + row.number * classes);
  });
}

void log_softmax_backward(const float* g, const float* y, float* dx, Index rows, Index classes,
                          int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    const Index begin = row.number * classes;
    Vector sum = {};
    row.for_pieces([&](Index start) { sum += row.piece(g + begin, start, 0); });
    const Vector total = broadcast(sum_of(sum));
    row.for_pieces([&](Index start) {
      const Vector p = exp(row.piece(y + begin, start, 0));
      row.set_piece(dx + begin, start, row.piece(g + begin, start, 0) - p * total);
    });
  });
}

void cross_entropy(const float* logits, const Target* target, float* loss, float* log_probs,
                   Index rows, Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    float* log_p = log_probs + row.number * classes;
    log_softmax_row(row, logits + row.number * classes, log_p);
    loss[row.number] = -log_p[target[row.number]];
  });
}

void cross_entropy_backward(const float* g, const float* log_probs, const Target* target,
                            float* dlogits, Index rows, Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    const Index begin = row.number * classes;
    const Vector slope = broadcast(g[row.number]);
    row.for_pieces([&](Index start) {
      const Vector p = exp(row.piece(log_probs + begin, start, 0));
      const IntVector is_target = Row::is_place(start, target[row.number]);
      row.set_piece(dlogits + begin, start,
                    (is_target ? p - broadcast(1.0f) : p) * slope);
    });
  });
}

void multi_margin_loss(const float* scores, const Target* target, bool squared, float margin,
                       float* loss, Index rows, Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    Vector sum = {};
    row.for_pieces([&](Index start) {
      const Vector h =
          hinge(row, scores + row.number * classes, start, target[row.number], margin);
      sum += squared ? h * h : h;
    });
    loss[row.number] = sum_of(sum);
  });
}

void multi_margin_loss_backward(const float* g, const float* scores, const Target* target,
                                bool squared, float margin, float* dscores, Index rows,
                                Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    const Index begin = row.number * classes;
    const Target own = target[row.number];
    const Vector slope = broadcast(g[row.number]);
    Vector sum = {};
    row.for_pieces([&](Index start) {
      const Vector slopes = hinge_slope(hinge(row, scores + begin, start, own, margin), squared);
      sum += slopes;
      row.set_piece(dscores + begin, start, slopes * slope);
    });
    dscores[begin + own] = -sum_of(sum) * g[row.number];
  });
}

void crammer_singer_loss(const float* scores, const Target* target, bool squared, float margin,
                         float* loss, Index rows, Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    const float worst =
        largest_hinge(row, scores + row.number * classes, target[row.number], margin);
    loss[row.number] = squared ? worst * worst : worst;
  });
}

void crammer_singer_loss_backward(const float* g, const float* scores, const Target* target,
                                  bool squared, float margin, float* dscores, Index rows,
                                  Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    const Index begin = row.number * classes;
    const Target own = target[row.number];
    const float worst = largest_hinge(row, scores + begin, own, margin);
    const auto share = [&](Index start) {
      const Vector h = hinge(row, scores + begin, start, own, margin);
      return h > Vector{} ? (h == broadcast(worst) ? broadcast(1.0f) : Vector{}) : Vector{};
    };
    Vector rivals = {};
    row.for_pieces([&](Index start) { rivals += share(start); });
    const float count = sum_of(rivals), slope = (squared ? 2 * worst : 1) * g[row.number];
    const Vector each = broadcast(count > 0 ? slope / count : 0);
    row.for_pieces([&](Index start) { row.set_piece(dscores + begin, start, share(start) * each); });
    dscores[begin + own] = count > 0 ? -slope : 0;
  });
}

void one_vs_all_loss(const float* scores, const Target* target, bool squared, float margin,
                     float* loss, Index rows, Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    Vector sum = {};
    row.for_pieces([&](Index start) {
      const Vector h =
          own_hinge(row, scores + row.number * classes, start, target[row.number], margin);
      sum += squared ? h * h : h;
    });
    loss[row.number] = sum_of(sum);
  });
}

void one_vs_all_loss_backward(const float* g, const float* scores, const Target* target,
                              bool squared, float margin, float* dscores, Index rows,
                              Index classes, int threads) {
  for_rows(rows, classes, threads, [=](const Row& row) {
    const Index begin = row.number * classes;
    const Target own = target[row.number];
    const Vector up = broadcast(g[row.number]), down = broadcast(-g[row.number]);
    row.for_pieces([&](Index start) {
      const Vector slope =
          hinge_slope(own_hinge(row, scores + begin, start, own, margin), squared);
      row.set_piece(dscores + begin, start, slope * (Row::is_place(start, own) ? down : up));
    });
  });
}

double huber_sum(const float* x, const float* t, Index n, float delta, int threads) {
  const Scratch memory(2 * ceil_div(n, pass_grain));
  double* sums = reinterpret_cast<double*>(static_cast<float*>(memory));
  const Vector limit = broadcast(delta), half = broadcast(0.5f);
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    double total = 0;
    for (Index i = first; i < last;) {
      const Index stop = smaller(last, i + 64 * lanes);  // short chains of additions round less
      Vector sum = {};
      for (; i < stop; i += lanes) {
        const Index count = smaller(lanes, last - i);
        const Vector d = load_some(x + i, count, x + last) - load_some(t + i, count, t + last);
        const Vector size = d < Vector{} ? -d : d;
        sum += size <= limit ? size * size * half : limit * (size - limit * half);
      }
      total += static_cast<double>(sum_of(sum));
    }
    sums[first / pass_grain] = total;
  });
  double total = 0;
  for (Index task = 0; task < ceil_div(n, pass_grain); ++task) total += sums[task];
  return total;
}

void huber_sum_backward(const float* x, const float* t, float* dx, Index n, float delta,
                        float scale, int threads) {
  parallel_ranges(threads, n, pass_grain, [=](Index first, Index last) {
    for (Index i = first; i < last; i += lanes) {
      const Index count = smaller(lanes, last - i);
      const Vector d = load_some(x + i, count, x + last) - load_some(t + i, count, t + last);
      const Vector clipped = at_least(at_most(d, delta), -delta);
      store_some(dx + i, count, dx + last, clipped * broadcast(scale));
    }
  });
}

}  // namespace chainrule::CHAINRULE_ISA
