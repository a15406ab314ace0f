// Contract: reference/neighbours.py. The nearest points are found in two steps:
//
// - Screening. Rows are rounded to a few bits, and their distances are bounded from what a matrix
//   product of the rounded rows gives (l2 and cosine), or from sums of absolute differences. What
//   rounding a row did to it is known, so that the bounds are: docs/derivations/
//   nearest_neighbours.md. No matrix of distances is made: what a tile of it holds is compared at
//   once with how far the k-th nearest point can be at most.
// - Looking closely. Of the few points that may be among the nearest, distances are summed in
//   float64, in the order in which NumPy sums a row.
//
// Results do not depend on the order of the work, nor on who does it.
#include "neighbours.hpp"

#include "neighbour_tile.hpp"

namespace chainrule::CHAINRULE_ISA {
namespace {

typedef double Doubles __attribute__((vector_size(64)));
typedef double UnalignedDoubles __attribute__((vector_size(64), aligned(8), may_alias));
constexpr Index eight = 8;

constexpr double infinity = __builtin_inf();
constexpr double tiny_share = 0x1p-44;  // more than rounding to float64 does to any sum here
constexpr double float_unit = 0x1p-24;  // the largest relative error of rounding to float32

Doubles eight_at(const double* x) { return *reinterpret_cast<const UnalignedDoubles*>(x); }

double total(Doubles x) {
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

Index part_of(Index n, Index part, Index parts) { return n * part / parts; }

template <class T>
class Memory {
 public:
  explicit Memory(Index count)
      : data_(static_cast<T*>(take_block(static_cast<std::size_t>(count) * sizeof(T)))) {}
  ~Memory() { return_block(data_); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  operator T*() const { return data_; }

 private:
  T* data_;
};

// ---- Rows ---------------------------------------------------------------------------------

// Calls act(row) with a pointer to its numbers, as what they are.
template <class Do>
auto with_row(const Numbers& x, Index row, Do act) {
  const Index at = row * x.step;
  if (x.type == NumberType::uint8) return act(static_cast<const std::uint8_t*>(x.data) + at);
  if (x.type == NumberType::float32) return act(static_cast<const float*>(x.data) + at);
  return act(static_cast<const double*>(x.data) + at);
}

template <class T>
Doubles widened(const T* x) {
  typedef T Eight __attribute__((vector_size(eight * sizeof(T))));
  Eight v;
  std::memcpy(&v, x, sizeof v);
  return __builtin_convertvector(v, Doubles);
}

// As float64; zeros up to `padded`.
void read(const Numbers& x, Index row, Index padded, double* out) {
  with_row(x, row, [&](const auto* from) {
    for (Index i = 0; i < x.width; ++i) out[i] = static_cast<double>(from[i]);
  });
  for (Index i = x.width; i < padded; ++i) out[i] = 0;
}

// The sum of term(x, y) over `count` numbers, added up in the order in which NumPy sums a row.
template <class T, class Term>
double sum_of_terms(const double* x, const T* y, Index count, const Term& term) {
  constexpr Index leaf = 128;
  if (count > leaf) {
    const Index half = count / 2 - count / 2 % eight;
    const double left = sum_of_terms(x, y, half, term);
    return left + sum_of_terms(x + half, y + half, count - half, term);
  }
  double sum = 0;
  Index i = 0;
  if (count >= eight) {
    Doubles sums = term(eight_at(x), widened(y));
    for (i = eight; i + eight <= count; i += eight) sums += term(eight_at(x + i), widened(y + i));
    sum = total(sums);
  }
  for (; i < count; ++i) sum += term(x[i], static_cast<double>(y[i]));
  return sum;
}

template <class T>
double length_of(const double* any, const T* y, Index count) {
  return __builtin_sqrt(sum_of_terms(any, y, count, [](auto, auto v) { return v * v; }));
}

double length_of(const double* x, Index count) { return length_of(x, x, count); }

// x by a length; zeros stay.
void divide(double* x, Index count, double length) {
  if (length == 0)
    for (Index i = 0; i < count; ++i) x[i] = 0;
  else  // NaN stays, too
    for (Index i = 0; i < count; ++i) x[i] /= length;
}

// Distances of one query, as the contract has them.
struct ExactQuery {
  const double* query;  // of length one for cosine
  bool is_zero;
  const Numbers& points;
  Metric metric;

  double distance(Index point) const {
    return with_row(points, point, [&](const auto* y) {
      const auto sum = [&](const auto& term) {
        return sum_of_terms(query, y, points.width, term);
      };
      if (metric == Metric::l1)
        return sum([](auto a, auto b) { return a < b ? b - a : a - b; });
      if (metric == Metric::l2)
        return __builtin_sqrt(sum([](auto a, auto b) { return (a - b) * (a - b); }));
      const double length = length_of(query, y, points.width);
      if (is_zero || length == 0) return 1.0;
      return 0.5 * sum([&](auto a, auto b) {
        const auto gap = a - b / length;
        return gap * gap;
      });
    });
  }
};

// ---- The nearest so far ---------------------------------------------------------------------

// A point that may be among the nearest, and what its distance is between.
struct Candidate {
  double low, high;
  Index point;
  bool exact;
};

// In place, ascending, by a heap: no worst case, and no memory.
template <class Before>
void sort(Candidate* list, Index count, Before before) {
  const auto sift = [&](Index at, Index end) {
    const Candidate moved = list[at];
    for (Index child; (child = 2 * at + 1) < end; at = child) {
      if (child + 1 < end && before(list[child], list[child + 1])) ++child;
      if (!before(moved, list[child])) break;
      list[at] = list[child];
    }
    list[at] = moved;
  };
  for (Index i = count / 2; i-- > 0;) sift(i, count);
  for (Index end = count - 1; end > 0; --end) {
    const Candidate last = list[end];
    list[end] = list[0];
    list[0] = last;
    sift(0, end);
  }
}

constexpr Index spare_candidates = 64;

// Candidates of one query.
struct Shortlist {
  Candidate* list;
  Index count, k;
  double limit;  // the k-th nearest point is not farther

  Index capacity() const { return 2 * k + spare_candidates; }

  // What the bounds leave.
  void thin_out() {
    if (count < k) return;
    sort(list, count, [](const Candidate& a, const Candidate& b) { return a.high < b.high; });
    limit = smaller(limit, list[k - 1].high);
    Index kept = 0;
    for (Index i = 0; i < count; ++i)
      if (list[i].low <= limit) list[kept++] = list[i];
    count = kept;
  }

  // Looks at all closely and keeps the nearest, in order.
  void look_closely(const ExactQuery& query) {
    for (Index i = 0; i < count; ++i) {
      Candidate& each = list[i];
      if (!each.exact) each.low = each.high = query.distance(each.point);
      each.exact = true;
    }
    sort(list, count, [](const Candidate& a, const Candidate& b) {
      return a.low < b.low || (a.low == b.low && a.point < b.point);
    });
    count = smaller(count, k);
    if (count == k) limit = smaller(limit, list[k - 1].high);
  }
};

// ---- Rounded rows ---------------------------------------------------------------------------

// What is known of a rounded row. For l2 and cosine the row is scale times whole numbers, whose
// length is `square`, and `error` long is what is missing; for l1 only `error` counts, Σ|missing|.
struct Facts {
  double scale, square, error;
};

// Rows are measured from `centre`, which makes them shorter, and with them all errors.
struct Rounding {
  Metric metric;
  const double* centre;  // null: from the origin
  bool whole;            // rows of bytes stay whole numbers
};

// A row as float64, measured from the centre, with zeros up to a multiple of eight.
struct WideRow {
  double* numbers;
  double square = 0, largest = 0;  // Σx², max |x|

  // False if they are not finite.
  bool take(const Numbers& x, Index row, const Rounding& rounding) {
    const bool by_length = rounding.metric == Metric::cosine;
    const double* from = nullptr;
    if (by_length) {
      read(x, row, ceil_div(x.width, eight) * eight, numbers);
      divide(numbers, x.width, length_of(numbers, x.width));
      from = numbers;
    }
    return by_length ? take(from, x.width, nullptr)
                     : with_row(x, row, [&](const auto* numbers_of_row) {
                         return take(numbers_of_row, x.width, rounding.centre);
                       });
  }

 private:
  template <class T>
  bool take(const T* x, Index width, const double* centre) {
    Doubles squares = {}, sizes = {}, zeros = {};
    const auto add = [&](Doubles v, Index i) {
      zeros += v * 0.0;
      if (centre) v -= eight_at(centre + i);
      const Doubles size = v < 0 ? -v : v;
      squares += v * v;
      sizes = sizes < size ? size : sizes;
      std::memcpy(numbers + i, &v, sizeof v);
    };
    Index i = 0;
    for (; i + eight <= width; i += eight) add(widened(x + i), i);
    if (i < width) {
      T rest[eight] = {};
      for (Index j = i; j < width; ++j) rest[j - i] = x[j];
      add(widened(rest), i);
    }
    square = total(squares);
    for (Index lane = 0; lane < eight; ++lane) largest = larger(largest, sizes[lane]);
    return total(zeros) == 0;
  }
};

// Two rows' products must add up to less than 2³¹, in part and in full: by Cauchy and Schwarz,
// they do if rows are at most this long. Rounding makes a row longer by √width / 2.
double longest(Index width) { return 46339 - 0.5 * __builtin_sqrt(static_cast<double>(width)); }

typedef std::int32_t Ints __attribute__((vector_size(32)));
typedef std::int16_t Shorts __attribute__((vector_size(16)));

// A row of whole numbers of 16 bits, whose multiple comes near x. False, here and below, where
// numbers are too large for it.
bool round_row(const WideRow& x, bool whole_numbers, Index width, std::int16_t* out,
               Facts& facts) {
  const double length = __builtin_sqrt(x.square);
  if (!(x.square < 1e300)) return false;
  if (x.square < 1e-280) {  // squares lose their digits: as good as zeros
    std::memset(out, 0, static_cast<std::size_t>(ceil_div(width, eight) * eight) * sizeof *out);
    facts = {1, 0, x.largest * __builtin_sqrt(static_cast<double>(width))};
    return true;
  }
  double scale = larger(x.largest / 32766, length * (1 + 1e-9) / longest(width));
  if (whole_numbers && scale < 1) scale = 1;
  const double by_scale = 1 / scale;
  constexpr double magic = 0x1.8p52;  // what is added to it loses its fraction
  Doubles missing = {}, whole = {};
  for (Index i = 0; i < width; i += eight) {
    const Doubles v = eight_at(x.numbers + i), rounded = (v * by_scale + magic) - magic;
    const Doubles rest = v - rounded * scale;
    missing += rest * rest;
    whole += rounded * rounded;
    const Ints ints = __builtin_convertvector(rounded, Ints);
    const Shorts shorts = __builtin_convertvector(ints, Shorts);
    std::memcpy(out + i, &shorts, sizeof shorts);
  }
  const double error = __builtin_sqrt(total(missing)) * (1 + 1e-6) + tiny_share * length;
  facts = {scale, scale * scale * total(whole), error};
  return true;
}

// A row of floats that come near x.
bool round_row(const WideRow& x, Index width, float* out, Facts& facts) {
  Doubles missing = {}, sizes = {};
  typedef float Eight __attribute__((vector_size(32)));
  for (Index i = 0; i < width; i += eight) {
    const Doubles v = eight_at(x.numbers + i);
    const Eight rounded = __builtin_convertvector(v, Eight);
    const Doubles rest = v - __builtin_convertvector(rounded, Doubles);
    missing += rest < 0 ? -rest : rest;
    sizes += v < 0 ? -v : v;
    std::memcpy(out + i, &rounded, sizeof rounded);
  }
  facts = {1, 0, total(missing) * (1 + 1e-6) + tiny_share * total(sizes)};
  return facts.error < 1e300;
}

// ---- Kinds of screening -----------------------------------------------------------------------

// How cells of a kind are made of rows, and what its tiles' sums say.
//
// write(...) makes a row of numbers; `is_query` where the two sides differ. `squares`: sums are of
// products, else of absolute differences. `exact`: they are so of the rows as they are.

struct ScreenPairs {
  using Kind = Pairs;
  using Number = std::int16_t;
  static constexpr bool squares = true;
  static constexpr bool exact = false;
  static NeighbourTile tile_of(Index rows) {
    const NeighbourTile fused = pair_tile_of(rows);
    return fused ? fused : neighbour_tile_of<Pairs>(rows);
  }
  static bool write(const Numbers& x, Index row, bool, const Rounding& rounding, double* memory,
                    Number* out, Facts& facts, std::int32_t&) {
    const bool whole = rounding.whole && x.type == NumberType::uint8;
    WideRow wide = {memory};
    if (!wide.take(x, row, rounding)) return false;
    if (!round_row(wide, whole, x.width, out, facts)) return false;
    // a row of zeros counts as one more direction, at right angles to all others
    if (rounding.metric == Metric::cosine && facts.square == 0) facts.square = 1;
    return true;
  }
};

// Bytes as they are, measured from 128: xy = Σ x'y' with x' = x - 128 is Σ x y' - 128 Σ y', which
// multiplies unsigned and signed bytes, as processors do.
struct ScreenBytes {
  using Kind = Pairs;  // in a cell's size
  using Number = std::uint8_t;
  static constexpr bool squares = true;
  static constexpr bool exact = true;
  static NeighbourTile tile_of(Index rows) { return byte_tile_of(rows); }
  static bool write(const Numbers& x, Index row, bool is_query, const Rounding&, double*,
                    Number* out, Facts& facts, std::int32_t& start) {
    const auto* in = static_cast<const std::uint8_t*>(x.data) + row * x.step;
    const Index width = x.width;  // bytes that are written could be those of x
    std::int32_t sum = 0;
    std::int64_t square = 0;
    for (Index from = 0; from < width; from += 1 << 16) {
      const Index end = smaller(width, from + (1 << 16));
      std::int32_t part = 0;  // at most 2³⁰
      for (Index i = from; i < end; ++i) {
        const std::int32_t v = in[i] - 128;
        sum += v;
        part += v * v;
      }
      square += part;
    }
    if (is_query)
      std::memcpy(out, in, static_cast<std::size_t>(width));
    else
      for (Index i = 0; i < width; ++i) out[i] = in[i] ^ 128;
    start = -128 * sum;
    facts = {1, static_cast<double>(square), 0};
    return true;
  }
};

struct ScreenFloats {
  using Kind = Floats;
  using Number = float;
  static constexpr bool squares = false;
  static constexpr bool exact = false;
  static NeighbourTile tile_of(Index rows) { return neighbour_tile_of<Floats>(rows); }
  static bool write(const Numbers& x, Index row, bool, const Rounding& rounding, double* memory,
                    Number* out, Facts& facts, std::int32_t&) {
    WideRow wide = {memory};
    return wide.take(x, row, rounding) && round_row(wide, x.width, out, facts);
  }
};

struct ScreenOctets {
  using Kind = Octets;
  using Number = std::uint8_t;
  static constexpr bool squares = false;
  static constexpr bool exact = true;
  static NeighbourTile tile_of(Index rows) { return neighbour_tile_of<Octets>(rows); }
  static bool write(const Numbers& x, Index row, bool, const Rounding&, double*, Number* out,
                    Facts& facts, std::int32_t&) {
    const auto* in = static_cast<const std::uint8_t*>(x.data) + row * x.step;
    std::memcpy(out, in, static_cast<std::size_t>(x.width));
    facts = {1, 0, 0};
    return true;
  }
};

// ---- The search ---------------------------------------------------------------------------------

// Bytes that may be taken for rounded queries, for rounded points, for candidates.
constexpr Index query_bytes = Index{16} << 20, point_bytes = Index{3} << 20,
                list_bytes = Index{64} << 20;
constexpr Index most_points = 4096;  // of a block
constexpr Index rows_packed_at_once = lanes;

// A query while points pass by; in float32 what tells the few to look at from all others.
struct QueryState {
  Shortlist best;
  Facts facts;
  float factor, offset, reach;
};

template <class Screen>
class Search {
  using Kind = typename Screen::Kind;
  using Cell = typename Kind::Cell;
  using Number = typename Screen::Number;
  using Sum = typename Kind::Sum;
  static constexpr Index width = panel_width<Kind>;
  static constexpr Index numbers_of_cell = sizeof(Cell) / sizeof(Number);

 public:
  Search(const Numbers& queries, const Numbers& points, Index k, const Rounding& rounding,
         int threads)
      : queries_(queries),
        points_(points),
        k_(k),
        rounding_(rounding),
        threads_(threads),
        cells_(ceil_div(queries.width, numbers_of_cell)),
        row_step_(steps_of_row(queries.width)),
        share_(share_of_rounding(queries.width)),
        most_queries_(smaller(queries.rows, queries_at_once())),
        panels_(smaller(ceil_div(points.rows, width), panels_at_once())),
        state_(most_queries_),
        candidates_(most_queries_ * (2 * k + spare_candidates)),
        query_cells_(most_queries_ * cells_),
        point_cells_(panels_ * width * cells_),
        point_facts_(panels_ * width),
        starts_(panels_ * width),
        squares_(panels_ * width),
        scales_(panels_ * width),
        errors_(panels_ * width) {}

  bool run(double* distances, std::int64_t* index) {
    if (share_ > 0.01) return false;
    const Index blocks = ceil_div(queries_.rows, most_queries_);
    for (Index b = 0; b < blocks; ++b) {
      first_query_ = part_of(queries_.rows, b, blocks);
      query_count_ = part_of(queries_.rows, b + 1, blocks) - first_query_;
      tiles_ = ceil_div(query_count_, most_tile_rows);
      if (!take_queries()) return false;
      for (first_point_ = 0; first_point_ < points_.rows; first_point_ += panels_ * width) {
        point_count_ = smaller(panels_ * width, points_.rows - first_point_);
        if (!take_points()) return false;
        compare();
      }
      finish(distances + first_query_ * k_, index + first_query_ * k_);
    }
    return true;
  }

 private:
  // From a row to the next where they are rounded: with room for whole cells and vectors, and an
  // odd number of cache lines, so that rows do not meet in the same few places of the cache.
  static Index steps_of_row(Index numbers) {
    constexpr Index line = 64 / static_cast<Index>(sizeof(Number));
    return (ceil_div(numbers, line) | 1) * line;
  }

  static double share_of_rounding(Index numbers) {
    const bool rounds = !Screen::squares && !Screen::exact;
    return rounds ? (static_cast<double>(numbers) + 8) * float_unit * 1.01 : 0;
  }

  Index queries_at_once() const {
    const Index cells = query_bytes / (cells_ * static_cast<Index>(sizeof(Cell)));
    const Index lists = list_bytes / ((2 * k_ + spare_candidates) *
                                      static_cast<Index>(sizeof(Candidate)));
    return larger(smaller(cells, lists), most_tile_rows);
  }

  Index panels_at_once() const {
    const Index panels = point_bytes / (width * cells_ * static_cast<Index>(sizeof(Cell)));
    return larger<Index>(1, smaller(panels, most_points / width));
  }

  // Cells of rows [first, first + count), side by side: cell c of row r at out[c * step + r]; zeros
  // for rows up to `all`. facts and starts of each.
  template <class Keep>
  bool pack(const Numbers& x, bool is_query, Index first, Index count, Index all, Cell* out,
            Index step, Keep keep) const {
    const Memory<double> wide(row_step_);
    const Memory<Number> rows(all * row_step_);
    std::memset(rows, 0, static_cast<std::size_t>(all * row_step_) * sizeof(Number));
    for (Index r = 0; r < count; ++r) {
      Facts facts;
      std::int32_t start = 0;
      Number* row = rows + r * row_step_;
      if (!Screen::write(x, first + r, is_query, rounding_, wide, row, facts, start)) return false;
      keep(r, facts, start);
    }
    if (all == rows_packed_at_once)
      side_by_side(rows, rows_packed_at_once, out, step);  // unrolled
    else
      side_by_side(rows, all, out, step);
    return true;
  }

  [[gnu::always_inline]] void side_by_side(const Number* rows, Index count, Cell* out,
                                           Index step) const {
    for (Index c = 0; c < cells_; ++c, out += step)
      for (Index r = 0; r < count; ++r)
        std::memcpy(out + r, rows + r * row_step_ + c * numbers_of_cell, sizeof(Cell));
  }

  bool take_queries() {
    bool good = true;
    parallel_for(threads_, static_cast<std::size_t>(tiles_), [&](std::size_t task) {
      const Index tile = static_cast<Index>(task);
      const Index first = part_of(query_count_, tile, tiles_);
      const Index rows = part_of(query_count_, tile + 1, tiles_) - first;
      const bool fine = pack(queries_, true, first_query_ + first, rows, rows,
                             query_cells_ + first * cells_, rows,
                             [&](Index r, const Facts& facts, std::int32_t) {
                               begin(first + r, facts);
                             });
      if (!fine) __atomic_store_n(&good, false, __ATOMIC_RELAXED);
    });
    return good;
  }

  bool take_points() {
    bool good = true;
    const Index parts = ceil_div(ceil_div(point_count_, width) * width, rows_packed_at_once);
    parallel_for(threads_, static_cast<std::size_t>(parts), [&](std::size_t task) {
      const Index first = static_cast<Index>(task) * rows_packed_at_once;
      const Index rows =
          larger<Index>(0, smaller(rows_packed_at_once, point_count_ - first));
      Cell* out = point_cells_ + first / width * width * cells_ + first % width;
      const bool fine = pack(points_, false, first_point_ + first, rows, rows_packed_at_once, out,
                             width, [&](Index r, const Facts& facts, std::int32_t start) {
                               set_point(first + r, facts, start);
                             });
      if (!fine) __atomic_store_n(&good, false, __ATOMIC_RELAXED);
      for (Index r = rows; r < rows_packed_at_once; ++r) set_nothing(first + r);
    });
    return good;
  }

  // Float32 rounds up to `slack` of the sum of both squares away: docs/derivations/
  // nearest_neighbours.md.
  static constexpr double slack = 32 * float_unit;

  void begin(Index query, const Facts& facts) {
    QueryState& state = state_[query];
    const Index capacity = 2 * k_ + spare_candidates;
    state.best = {candidates_ + query * capacity, 0, k_, infinity};
    state.facts = facts;
    state.factor = static_cast<float>(2 * facts.scale);
    state.offset = static_cast<float>(facts.square * (1 - slack)) - 1e-36f;
    set_reach(state);
  }

  // Between distances as the contract has them and those of rows as they are rounded: for cosine,
  // the latter are of directions, whose square is twice as much.
  double contracted(double distance) const {
    return rounding_.metric == Metric::cosine ? distance * distance / 2 : distance;
  }
  double screened(double distance) const {
    return rounding_.metric == Metric::cosine ? __builtin_sqrt(2 * distance) : distance;
  }

  void set_reach(QueryState& state) const {
    const double reach = screened(state.best.limit) + state.facts.error;
    state.reach = static_cast<float>(reach * (1 + 8 * float_unit) + 1e-36);
  }

  void set_point(Index place, const Facts& facts, std::int32_t start) {
    point_facts_[place] = facts;
    starts_[place] = start;
    squares_[place] = static_cast<float>(facts.square * (1 - slack));
    scales_[place] = static_cast<float>(facts.scale);
    errors_[place] = static_cast<float>(facts.error * (1 + 8 * float_unit));
  }

  void set_nothing(Index place) {
    point_facts_[place] = {0, 0, 0};
    starts_[place] = 0;
    squares_[place] = __builtin_inff();
    scales_[place] = errors_[place] = 0;
  }

  static constexpr Index tiles_of_task = 2;

  void compare() {
    const Index tasks = ceil_div(tiles_, tiles_of_task);
    const Index panels = ceil_div(point_count_, width);
    parallel_for(threads_, static_cast<std::size_t>(tasks), [&](std::size_t task) {
      const Memory<double> query(queries_.width);
      const Index first = static_cast<Index>(task) * tiles_of_task;
      const Index last = smaller(tiles_, first + tiles_of_task);
      for (Index panel = 0; panel < panels; ++panel)
        for (Index tile = first; tile < last; ++tile) compare(tile, panel, query);
    });
  }

  void compare(Index tile, Index panel, double* query) {
    const Index row = part_of(query_count_, tile, tiles_);
    const Index rows = part_of(query_count_, tile + 1, tiles_) - row;
    alignas(64) Sum sums[most_tile_rows * width];
    const NeighbourTile multiply = Screen::tile_of(rows);
    multiply(query_cells_ + row * cells_, point_cells_ + panel * width * cells_, cells_,
             starts_ + panel * width, sums);
    for (Index r = 0; r < rows; ++r) {
      QueryState& state = state_[row + r];
      std::int32_t near[width];
      if (!mark_near(state, sums + r * width, panel * width, near)) continue;
      const Index end = smaller(width, point_count_ - panel * width);
      for (Index j = 0; j < end; ++j)
        if (near[j]) take(row + r, state, panel * width + j, sums[r * width + j], query);
    }
  }

  // Which of a panel's points may be within reach; whether any.
  bool mark_near(const QueryState& state, const Sum* sums, Index place, std::int32_t* near) const {
    IntVector any = {};
    for (Index j = 0; j < width; j += lanes, place += lanes) {
      typedef Sum Sums __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
      Sums sum;
      std::memcpy(&sum, sums + j, sizeof sum);
      const Vector value = __builtin_convertvector(sum, Vector);
      Vector excess;
      if constexpr (Screen::squares) {
        const Vector reach = broadcast(state.reach) + load(errors_ + place);
        const Vector product = value * broadcast(state.factor) * load(scales_ + place);
        excess = load(squares_ + place) - product - reach * reach + broadcast(state.offset);
      } else {
        const float share = static_cast<float>(1 - share_ - 8 * float_unit);
        excess = value * broadcast(share) - load(errors_ + place) - broadcast(state.reach);
      }
      const IntVector marks = ~(excess > Vector{});  // and of NaN
      std::memcpy(near + j, &marks, sizeof marks);
      any |= marks;
    }
    std::int64_t parts[sizeof any / sizeof(std::int64_t)], all = 0;
    std::memcpy(parts, &any, sizeof any);
    for (const std::int64_t part : parts) all |= part;
    return all != 0;
  }

  void take(Index number, QueryState& state, Index place, Sum sum, double* query) {
    const Facts &x = state.facts, &y = point_facts_[place];
    const double error = x.error + y.error, both = x.square + y.square;
    const double square = both - 2 * x.scale * y.scale * static_cast<double>(sum);
    double low, high;
    if constexpr (Screen::exact) {
      low = high = Screen::squares ? __builtin_sqrt(square) : static_cast<double>(sum);
    } else if constexpr (Screen::squares) {
      const double least = square - tiny_share * both, most = square + tiny_share * both;
      low = (least > 0 ? __builtin_sqrt(least) : 0) - error;
      high = (most > 0 ? __builtin_sqrt(most) : 0) + error;
    } else {
      low = static_cast<double>(sum) * (1 - share_) - error;
      high = static_cast<double>(sum) * (1 + share_) + error;
    }
    if constexpr (!Screen::exact) {
      low = contracted(low > 0 ? low : 0) * (1 - tiny_share);
      high = contracted(high) * (1 + tiny_share);
    }
    if (!(high >= 0 && high < infinity)) low = 0, high = infinity;  // of NaN, too
    if (low > state.best.limit) return;
    Shortlist& best = state.best;
    best.list[best.count++] = {low, high, first_point_ + place, Screen::exact};
    if (best.count < best.capacity()) return;
    best.thin_out();
    if (best.count > best.capacity() - spare_candidates / 2)
      best.look_closely(closely(number, query));
    set_reach(state);
  }

  ExactQuery closely(Index number, double* query) const {
    const Index row = first_query_ + number;
    read(queries_, row, queries_.width, query);
    double length = 1;
    if (rounding_.metric == Metric::cosine) {
      length = length_of(query, queries_.width);
      divide(query, queries_.width, length);
    }
    return {query, length == 0, points_, rounding_.metric};
  }

  void finish(double* distances, std::int64_t* index) {
    parallel_for(threads_, static_cast<std::size_t>(query_count_), [&](std::size_t task) {
      const Index number = static_cast<Index>(task);
      const Memory<double> query(queries_.width);
      Shortlist& best = state_[number].best;
      best.thin_out();
      best.look_closely(closely(number, query));
      for (Index i = 0; i < k_; ++i) {
        distances[number * k_ + i] = best.list[i].low;
        index[number * k_ + i] = best.list[i].point;
      }
    });
  }

  const Numbers &queries_, &points_;
  const Index k_;
  const Rounding rounding_;
  const int threads_;
  const Index cells_, row_step_;
  const double share_;  // how far a sum of floats may be off, by itself
  const Index most_queries_, panels_;
  const Memory<QueryState> state_;
  const Memory<Candidate> candidates_;
  const Memory<Cell> query_cells_, point_cells_;
  const Memory<Facts> point_facts_;
  const Memory<std::int32_t> starts_;
  const Memory<float> squares_, scales_, errors_;
  Index first_query_ = 0, query_count_ = 0, tiles_ = 0, first_point_ = 0, point_count_ = 0;
};

// Where rows are, about: the mean of some. Rounded where all are bytes.
void find_centre(const Numbers& points, bool whole, double* centre) {
  const Index samples = smaller<Index>(points.rows, 64);
  const Memory<double> row(points.width);
  std::memset(centre, 0, static_cast<std::size_t>(ceil_div(points.width, eight) * eight) *
                             sizeof *centre);
  for (Index s = 0; s < samples; ++s) {
    read(points, part_of(points.rows, s, samples), points.width, row);
    for (Index i = 0; i < points.width; ++i) centre[i] += row[i] / static_cast<double>(samples);
  }
  if (whole)
    for (Index i = 0; i < points.width; ++i) centre[i] = __builtin_floor(centre[i]);
}

}  // namespace

bool nearest(const Numbers& queries, const Numbers& points, Index k, Metric metric,
             double* distances, std::int64_t* index, int threads) {
  const bool bytes = queries.type == NumberType::uint8 && points.type == NumberType::uint8;
  const Memory<double> centre(ceil_div(points.width, eight) * eight);
  const bool whole = points.type == NumberType::uint8;
  if (metric != Metric::cosine) find_centre(points, whole, centre);
  const Rounding rounding = {.metric = metric,
                             .centre = metric == Metric::cosine ? nullptr : +centre,
                             .whole = whole && metric != Metric::cosine};
  const auto search = [&]<class Screen>(Screen) {
    return Search<Screen>(queries, points, k, rounding, threads).run(distances, index);
  };
  // sums of as many squares, or gaps, of bytes fit into 32 bits
  if (metric == Metric::l1)
    return bytes && points.width < (1 << 23) ? search(ScreenOctets{}) : search(ScreenFloats{});
  if (metric == Metric::l2 && bytes && points.width < (1 << 17) && byte_tile_of(1))
    return search(ScreenBytes{});
  return search(ScreenPairs{});
}

}  // namespace chainrule::CHAINRULE_ISA
