#include "memory.hpp"

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#ifndef _WIN32
#include <pthread.h>
#endif

#include "heap.hpp"

namespace chainrule {
namespace {

#ifdef CHAINRULE_SANITIZE
constexpr bool exact = true;  // a sanitizer sees no misuse of memory that is kept or rounded up
#else
constexpr bool exact = false;
#endif

constexpr std::size_t most_small = std::size_t{64} << 10;

// Small blocks are kept by their sizes, which is faster than to cut and merge; they add up to
// little. Sizes go in steps of an eighth of a power of two, so that a block fits its next user.
std::size_t size_class(std::size_t bytes) {
  if (exact) return bytes;
  if (bytes <= 4096) return 4096;
  const std::size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

void* allocate(std::size_t size) {
#ifdef _WIN32
  void* start = _aligned_malloc(size + block_alignment, block_alignment);
#else
  void* start = nullptr;
  if (posix_memalign(&start, block_alignment, size + block_alignment) != 0) start = nullptr;
#endif
  if (!start) throw std::bad_alloc();
  void* block = static_cast<char*>(start) + block_alignment;
  size_of(block) = size;
  return block;
}

void deallocate(void* block) {
#ifdef _WIN32
  _aligned_free(&size_of(block));
#else
  std::free(&size_of(block));
#endif
}

struct Kept {
  std::mutex mutex;
  std::map<std::size_t, std::vector<void*>> small;  // by size
  std::size_t small_bytes = 0, small_allocations = 0;
  Heap large;

  void* take_small(std::size_t size) {
    {
      std::lock_guard lock(mutex);
      const auto entry = small.find(size);
      if (entry != small.end() && !entry->second.empty()) {
        void* block = entry->second.back();
        entry->second.pop_back();
        small_bytes -= size;
        return block;
      }
      ++small_allocations;
    }
    return allocate(size);
  }

  void release_small() {
    for (auto& [size, list] : small)
      for (void* block : list) deallocate(block);
    small.clear();
    small_bytes = 0;
  }
};

Kept& kept() {
  static Kept* blocks = [] {
#ifndef _WIN32
    // A child of fork has one thread: whatever another one was doing here must be complete.
    pthread_atfork([] { kept().mutex.lock(); }, [] { kept().mutex.unlock(); },
                   [] { kept().mutex.unlock(); });
#endif
    return new Kept;  // never destroyed: arrays may outlive static objects
  }();
  return *blocks;
}

}  // namespace

void* take_block(std::size_t bytes) {
  if (exact || bytes <= most_small) return kept().take_small(size_class(bytes));
  std::lock_guard lock(kept().mutex);
  return kept().large.take(bytes);
}

void return_block(void* block) noexcept {
  const std::size_t size = size_of(block);
  Kept& blocks = kept();
  if (exact) return deallocate(block);
  std::lock_guard lock(blocks.mutex);
  try {
    if (size > most_small) return blocks.large.give_back(block);
    blocks.small[size].push_back(block);
    blocks.small_bytes += size;
  } catch (const std::bad_alloc&) {
    if (size <= most_small) deallocate(block);
  }
}

std::size_t kept_bytes() noexcept {
  std::lock_guard lock(kept().mutex);
  return kept().small_bytes + kept().large.idle();
}

std::size_t allocations() noexcept {
  std::lock_guard lock(kept().mutex);
  return kept().small_allocations + kept().large.growths();
}

void release_kept() noexcept {
  std::lock_guard lock(kept().mutex);
  kept().release_small();
  kept().large.release();
}

}  // namespace chainrule
