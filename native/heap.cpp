#include "heap.hpp"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <new>

#ifndef _WIN32
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace chainrule {
namespace {

constexpr std::size_t huge_page = std::size_t{2} << 20;
constexpr std::size_t grain = 4096;  // of sizes: blocks all begin at the same place of a page

std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

#ifndef _WIN32
constexpr std::size_t least_segment = std::size_t{1} << 30;

// From a huge page's beginning; null if the system refuses.
char* reserve(std::size_t size) {
  const std::size_t mapped = size + huge_page;
  void* start = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) return nullptr;
  char* first = static_cast<char*>(start);
  char* segment = first + (huge_page - reinterpret_cast<std::uintptr_t>(first) % huge_page);
  munmap(first, static_cast<std::size_t>(segment - first));  // what is not needed goes back
  if (first + mapped > segment + size)
    munmap(segment + size, static_cast<std::size_t>(first + mapped - segment - size));
#ifdef MADV_HUGEPAGE
  madvise(segment, size, MADV_HUGEPAGE);
#endif
  return segment;
}

void unreserve(char* segment, std::size_t size) { munmap(segment, size); }

// The whole pages inside; false if they stay.
bool give_pages_back(char* start, std::size_t size) {
#ifdef __linux__
  constexpr int advice = MADV_DONTNEED;
#else
  constexpr int advice = MADV_FREE;
#endif
  static const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const auto first = round_up(reinterpret_cast<std::uintptr_t>(start), page);
  const auto last = (reinterpret_cast<std::uintptr_t>(start) + size) / page * page;
  return first >= last || madvise(reinterpret_cast<void*>(first), last - first, advice) == 0;
}
#else
// Windows promises the memory when it is reserved, touched or not.
constexpr std::size_t least_segment = std::size_t{64} << 20;

char* reserve(std::size_t size) { return static_cast<char*>(_aligned_malloc(size, grain)); }
void unreserve(char* segment, std::size_t) { _aligned_free(segment); }
bool give_pages_back(char*, std::size_t) { return false; }
#endif

}  // namespace

void* Heap::take(std::size_t bytes) {
  if (bytes > PTRDIFF_MAX / 2) throw std::bad_alloc();
  const std::size_t size = round_up(bytes + block_alignment, grain);
  auto smallest = by_size_.lower_bound({size, nullptr});
  if (smallest == by_size_.end()) {
    add_segment(size);
    smallest = by_size_.lower_bound({size, nullptr});
  }
  const auto at = free_.find(smallest->second);
  const auto [start, chunk] = *at;
  const std::size_t held = std::min(chunk.held, size);
  if (held < size) ++growths_;
  idle_ -= held;
  if (chunk.size == size)
    remove(at);
  else
    change(at, start + size, {chunk.size - size, chunk.held - held});
  char* block = start + block_alignment;
  size_of(block) = size;
  return block;
}

void Heap::give_back(void* block) {
  char* start = static_cast<char*>(block) - block_alignment;
  const std::size_t size = size_of(block);
  add(start, {size, size});
  idle_ += size;
  auto at = free_.find(start);
  const auto join = [&](Chunks::iterator left, Chunks::iterator right) {
    if (left->first + left->second.size != right->first || segments_.contains(right->first))
      return;
    const Chunk next = right->second;
    remove(right);
    at = change(left, left->first,
                {left->second.size + next.size, left->second.held + next.held});
  };
  if (const auto next = std::next(at); next != free_.end()) join(at, next);
  if (at != free_.begin()) join(std::prev(at), at);
}

void Heap::release() noexcept {
  for (auto at = free_.begin(); at != free_.end();) {
    const auto here = at++;
    const auto [start, chunk] = *here;
    const auto segment = segments_.find(start);
    if (segment != segments_.end() && segment->second == chunk.size) {
      remove(here);
      segments_.erase(segment);
      reserved_ -= chunk.size;
      idle_ -= chunk.held;
      unreserve(start, chunk.size);
    } else if (give_pages_back(start, chunk.size)) {
      idle_ -= chunk.held;
      here->second.held = 0;
    }
  }
}

// As long as all others together, so that there are few; shorter where the system refuses.
void Heap::add_segment(std::size_t size) {
  std::size_t length = round_up(std::max({size, least_segment, reserved_}), huge_page);
  char* segment = reserve(length);
  while (!segment && length > size + huge_page) {
    length = round_up(std::max(size, length / 2), huge_page);
    segment = reserve(length);
  }
  if (!segment) throw std::bad_alloc();
  try {
    segments_[segment] = length;
    add(segment, {length, 0});
  } catch (const std::bad_alloc&) {
    segments_.erase(segment);
    unreserve(segment, length);
    throw;
  }
  reserved_ += length;
}

void Heap::add(char* start, Chunk chunk) {
  const auto at = free_.emplace(start, chunk).first;
  try {
    by_size_.emplace(chunk.size, start);
  } catch (const std::bad_alloc&) {
    free_.erase(at);
    throw;
  }
}

Heap::Chunks::iterator Heap::change(Chunks::iterator at, char* start, Chunk chunk) {
  auto size = by_size_.extract({at->second.size, at->first});
  size.value() = {chunk.size, start};
  by_size_.insert(std::move(size));
  auto node = free_.extract(at);
  node.key() = start;
  node.mapped() = chunk;
  return free_.insert(std::move(node)).position;
}

void Heap::remove(Chunks::iterator at) {
  by_size_.erase({at->second.size, at->first});
  free_.erase(at);
}

}  // namespace chainrule
