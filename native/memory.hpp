// Blocks of memory that are kept for reuse.
//
// A training step asks for the same large blocks again and again, and the system takes longer
// to hand out fresh pages (about 11 ms for 32 MB) than a kernel takes to fill them.
#pragma once
#include <cstddef>

namespace chainrule {

// At least `bytes` bytes, aligned to 64; throws std::bad_alloc.
void* take_block(std::size_t bytes);

// Gives a block from take_block back; it may be kept for the next one who asks.
void return_block(void* block) noexcept;

// Bytes that are kept and not in use.
std::size_t kept_bytes() noexcept;

// How often a block had to come from the system, because none was kept.
std::size_t allocations() noexcept;

// Frees everything that is kept.
void release_kept() noexcept;

}  // namespace chainrule
