// Large blocks of memory, cut from long segments of address space.
//
// A block takes the front of the smallest free chunk that has room for it, and merges with its
// free neighbours when it comes back, so that memory serves blocks of all sizes in turn: a
// training step needs little more of it than is in use at its highest. A segment's pages are the
// system's until a block reaches them, so a segment that is too long costs nothing.
#pragma once
#include <cstddef>
#include <map>
#include <set>
#include <utility>

namespace chainrule {

constexpr std::size_t block_alignment = 64;

// In front of every block stands how large it is, as its maker counts.
inline std::size_t& size_of(void* block) {
  return *reinterpret_cast<std::size_t*>(static_cast<char*>(block) - block_alignment);
}

// For one thread at a time.
class Heap {
 public:
  // At least `bytes` bytes, aligned to `block_alignment`; throws std::bad_alloc.
  void* take(std::size_t bytes);

  // Of a block from take; throws std::bad_alloc where there is no room to remember it, and then
  // it stays taken.
  void give_back(void* block);

  // Gives what is free back to the system (on Windows, segments that are free as a whole).
  void release() noexcept;

  // Bytes that are free and did not go back to the system.
  std::size_t idle() const { return idle_; }

  // How often a block reached memory that the system had yet to give.
  std::size_t growths() const { return growths_; }

 private:
  // `held` of its bytes were given by the system; they are the first, until release().
  struct Chunk {
    std::size_t size, held;
  };
  using Chunks = std::map<char*, Chunk>;

  void add_segment(std::size_t size);
  void add(char* start, Chunk chunk);
  // A free chunk's start and extent become others; allocates nothing.
  Chunks::iterator change(Chunks::iterator at, char* start, Chunk chunk);
  void remove(Chunks::iterator at);

  Chunks free_;                                      // none touches another of its segment
  std::set<std::pair<std::size_t, char*>> by_size_;  // the same, by size and start
  std::map<char*, std::size_t> segments_;
  std::size_t reserved_ = 0, idle_ = 0, growths_ = 0;
};

}  // namespace chainrule
