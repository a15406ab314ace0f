#include "memory.hpp"

#include <bit>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace chainrule {
namespace {

constexpr std::size_t alignment = 64;
[[maybe_unused]] constexpr std::size_t huge_page = std::size_t{2} << 20;
#ifdef CHAINRULE_SANITIZE
constexpr bool exact = true;  // a sanitizer sees no misuse of memory that is kept or rounded up
#else
constexpr bool exact = false;
#endif
constexpr std::size_t most_kept = exact ? 0 : std::size_t{1} << 30;

struct Kept {
  std::mutex mutex;
  std::map<std::size_t, std::vector<void*>> by_size;
  std::size_t bytes = 0;
};

Kept& kept() {
  static Kept* blocks = new Kept;  // never destroyed: arrays may outlive static objects
  return *blocks;
}

// Sizes in steps of an eighth of a power of two, so that a block fits its next user.
std::size_t size_class(std::size_t bytes) {
  if (exact) return bytes;
  if (bytes <= 4096) return 4096;
  const std::size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

// The size class is stored in front of the block.
void* header_of(void* block) { return static_cast<char*>(block) - alignment; }

void* allocate(std::size_t size) {
#ifdef _WIN32
  void* header = _aligned_malloc(size + alignment, alignment);
#else
  const bool huge = !exact && size >= huge_page;
  const std::size_t unit = huge ? huge_page : alignment;
  const std::size_t total = huge ? (size + alignment + unit - 1) / unit * unit : size + alignment;
  void* header = nullptr;
  if (posix_memalign(&header, unit, total) != 0) header = nullptr;
#ifdef __linux__
  if (header && huge) madvise(header, total, MADV_HUGEPAGE);
#endif
#endif
  if (!header) throw std::bad_alloc();
  *static_cast<std::size_t*>(header) = size;
  return static_cast<char*>(header) + alignment;
}

void deallocate(void* block) {
#ifdef _WIN32
  _aligned_free(header_of(block));
#else
  std::free(header_of(block));
#endif
}

}  // namespace

void* take_block(std::size_t bytes) {
  const std::size_t size = size_class(bytes);
  {
    Kept& blocks = kept();
    std::lock_guard lock(blocks.mutex);
    auto entry = blocks.by_size.find(size);
    if (entry != blocks.by_size.end() && !entry->second.empty()) {
      void* block = entry->second.back();
      entry->second.pop_back();
      blocks.bytes -= size;
      return block;
    }
  }
  return allocate(size);
}

void return_block(void* block) noexcept {
  const std::size_t size = *static_cast<std::size_t*>(header_of(block));
  Kept& blocks = kept();
  try {
    std::lock_guard lock(blocks.mutex);
    if (blocks.bytes + size <= most_kept) {
      blocks.by_size[size].push_back(block);
      blocks.bytes += size;
      return;
    }
  } catch (const std::bad_alloc&) {
    // No room to remember it: free it.
  }
  deallocate(block);
}

std::size_t kept_bytes() noexcept {
  std::lock_guard lock(kept().mutex);
  return kept().bytes;
}

void release_kept() noexcept {
  Kept& blocks = kept();
  std::lock_guard lock(blocks.mutex);
  for (auto& [size, list] : blocks.by_size)
    for (void* block : list) deallocate(block);
  blocks.by_size.clear();
  blocks.bytes = 0;
}

}  // namespace chainrule
