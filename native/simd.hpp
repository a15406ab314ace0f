// Vectors of floats, as wide as the instruction set this file is compiled for.
//
// Everything lives in a namespace of that instruction set. Kernel sources must not use the
// standard library's templates: the linker keeps one copy of such a function for the whole
// program, and it may keep the one that only newer processors can run.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels.hpp"
#include "memory.hpp"
#include "threads.hpp"

#if defined(CHAINRULE_ISA_avx512)
#define CHAINRULE_VECTOR_BYTES 64
#elif defined(CHAINRULE_ISA_avx2)
#define CHAINRULE_VECTOR_BYTES 32
#else
#define CHAINRULE_VECTOR_BYTES 16
#endif

namespace chainrule::CHAINRULE_ISA {

typedef float Vector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));
// The same at any address.
typedef float UnalignedVector
    __attribute__((vector_size(CHAINRULE_VECTOR_BYTES), aligned(4), may_alias));

typedef std::int32_t IntVector __attribute__((vector_size(CHAINRULE_VECTOR_BYTES)));

// Signed: offsets of pixels may point before an image.
using Index = std::ptrdiff_t;

constexpr Index lanes = CHAINRULE_VECTOR_BYTES / sizeof(float);

// Vector registers of the processor; a register tile must fit.
#if defined(CHAINRULE_ISA_avx512) || defined(__aarch64__)
constexpr int registers = 32;
#else
constexpr int registers = 16;
#endif

inline Vector load(const float* p) { return *reinterpret_cast<const UnalignedVector*>(p); }
inline void store(float* p, Vector v) { *reinterpret_cast<UnalignedVector*>(p) = v; }

// Up to `lanes` numbers at p, of which the first `count` are meant. A load or store runs on into
// what follows, which is faster than stopping, but not beyond `end`. So lanes from `count` on
// hold anything after a load, and what a store left behind its numbers must be written later.
inline Vector load_some(const float* p, Index count, const float* end) {
  if (p + lanes <= end) return load(p);
  Vector v = {};
  std::memcpy(&v, p, static_cast<std::size_t>(count) * sizeof(float));
  return v;
}
inline void store_some(float* p, Index count, const float* end, Vector v) {
  if (p + lanes <= end)
    store(p, v);
  else
    std::memcpy(p, &v, static_cast<std::size_t>(count) * sizeof(float));
}

// `Vector{} + x` would cost an addition; this is one broadcast.
inline Vector broadcast(float x) {
#if CHAINRULE_VECTOR_BYTES == 64
  return Vector{x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif CHAINRULE_VECTOR_BYTES == 32
  return Vector{x, x, x, x, x, x, x, x};
#else
  return Vector{x, x, x, x};
#endif
}

// The same value, in a register from here on: a compiler otherwise likes to load it again for
// every use, and loads that cross a cache line cost as much as the arithmetic.
inline Vector in_register(Vector v) {
#if defined(__x86_64__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#endif
  return v;
}

// 0, 1, 2, ...
inline IntVector lane_numbers() {
#if CHAINRULE_VECTOR_BYTES == 64
  return IntVector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
#elif CHAINRULE_VECTOR_BYTES == 32
  return IntVector{0, 1, 2, 3, 4, 5, 6, 7};
#else
  return IntVector{0, 1, 2, 3};
#endif
}

template <class T>
constexpr T smaller(T a, T b) { return b < a ? b : a; }
template <class T>
constexpr T larger(T a, T b) { return a < b ? b : a; }

template <class T>
constexpr T ceil_div(T a, T b) { return (a + b - 1) / b; }

// Memory for the time of a call.
class Scratch {
 public:
  explicit Scratch(Index floats)
      : data_(static_cast<float*>(take_block(static_cast<std::size_t>(floats) * sizeof(float)))) {}
  ~Scratch() { return_block(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  operator float*() const { return data_; }

 private:
  float* data_;
};

// Elements of a memory-bound pass that one task handles: large against a task's cost of about
// a microsecond, small enough for a few tasks in every layer.
constexpr Index pass_grain = Index{1} << 16;

// body(first, last) over [0, n) in pieces of `grain`.
template <class Body>
void parallel_ranges(int threads, Index n, Index grain, Body&& body) {
  parallel_for(threads, static_cast<std::size_t>(ceil_div(n, grain)), [&](std::size_t task) {
    const Index first = static_cast<Index>(task) * grain;
    body(first, smaller(n, first + grain));
  });
}

}  // namespace chainrule::CHAINRULE_ISA
