#include "memory.hpp"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>
#include <vector>

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
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

struct Kept {
  std::mutex mutex;
  std::map<std::size_t, std::vector<void*>> by_size;
  std::size_t bytes = 0;                // kept
  std::size_t used = 0, most_used = 0;  // by others, now and ever
  std::size_t allocations = 0;

  // Null if there is none of this size.
  void* take(std::size_t size) {
    std::lock_guard lock(mutex);
    const auto entry = by_size.find(size);
    if (entry == by_size.end() || entry->second.empty()) return nullptr;
    void* block = entry->second.back();
    entry->second.pop_back();
    bytes -= size;
    add_to_used(size);
    return block;
  }

  void count_allocation(std::size_t size) {
    std::lock_guard lock(mutex);
    ++allocations;
    add_to_used(size);
  }

  void add_to_used(std::size_t size) {
    used += size;
    most_used = std::max(most_used, used);
  }

  // Enough for the next step to find all it needs, however large the model is: the sizes that
  // are most wanted at different times add up to more than is in use at once.
  std::size_t most() const {
    constexpr std::size_t always = std::size_t{1} << 30;
    return exact ? 0 : std::max(always, most_used / 4 * 5);
  }
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

// In front of a block stands how large it is and how much was mapped for it (0: not mapped).
struct Header {
  std::size_t size, mapped;
};

Header* header_of(void* block) {
  return reinterpret_cast<Header*>(static_cast<char*>(block) - alignment);
}

#ifdef __linux__
std::size_t page_size() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

// A large block begins at a huge page and has its header in the small page before: inside, a
// block of whole huge pages would need one more of them.
void* map(std::size_t size) {
  const std::size_t page = page_size();
  const std::size_t bytes = (size + page - 1) / page * page;
  const std::size_t reserved = huge_page + bytes;
  void* start = mmap(nullptr, reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (start == MAP_FAILED) throw std::bad_alloc();
  char* first = static_cast<char*>(start);
  // At least a small page further on: the header has room.
  char* block = first + (huge_page - reinterpret_cast<std::uintptr_t>(first) % huge_page);
  if (block - page > first) munmap(first, block - page - first);  // what is not needed goes back
  if (first + reserved > block + bytes) munmap(block + bytes, first + reserved - block - bytes);
  madvise(block, bytes, MADV_HUGEPAGE);
  *header_of(block) = {size, page + bytes};
  return block;
}
#endif

void* allocate(std::size_t size) {
#ifdef __linux__
  if (!exact && size >= huge_page) return map(size);
#endif
#ifdef _WIN32
  void* start = _aligned_malloc(size + alignment, alignment);
#else
  void* start = nullptr;
  if (posix_memalign(&start, alignment, size + alignment) != 0) start = nullptr;
#endif
  if (!start) throw std::bad_alloc();
  void* block = static_cast<char*>(start) + alignment;
  *header_of(block) = {size, 0};
  return block;
}

void deallocate(void* block) {
#ifdef __linux__
  if (const std::size_t mapped = header_of(block)->mapped) {
    munmap(static_cast<char*>(block) - page_size(), mapped);
    return;
  }
#endif
#ifdef _WIN32
  _aligned_free(header_of(block));
#else
  std::free(header_of(block));
#endif
}

}  // namespace

void* take_block(std::size_t bytes) {
  const std::size_t size = size_class(bytes);
  void* block = kept().take(size);
  if (!block) {
    block = allocate(size);
    kept().count_allocation(size);
  }
  return block;
}

void return_block(void* block) noexcept {
  const std::size_t size = header_of(block)->size;
  Kept& blocks = kept();
  try {
    std::lock_guard lock(blocks.mutex);
    blocks.used -= size;
    if (blocks.bytes + size <= blocks.most()) {
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

std::size_t allocations() noexcept {
  std::lock_guard lock(kept().mutex);
  return kept().allocations;
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
