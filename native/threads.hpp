// A small pool of worker threads: parallel_for runs tasks 0..n-1 on up to `threads` threads.
//
// Each thread begins with neighbouring tasks, the same ones in every job of as many: who numbers
// tasks by place in memory finds in a processor's cache what its thread wrote there before. But
// who is done early takes from others, so which thread runs a task is left to chance. A kernel
// must give each task its own output, and its tasks must not depend on the number of threads;
// then results are the same bits for any number.
//
// A worker without work spins for a millisecond, which gets it through a training step, and
// leaves its core to others in between; then it sleeps, and is woken for work that is worth the
// waking.
#pragma once
#include <cstddef>

namespace chainrule {

using TaskFunction = void (*)(void* context, std::size_t task);

void run_tasks(int threads, std::size_t tasks, TaskFunction function, void* context);

template <class Body>
void parallel_for(int threads, std::size_t tasks, Body&& body) {
  run_tasks(threads, tasks,
            [](void* context, std::size_t task) { (*static_cast<Body*>(context))(task); }, &body);
}

}  // namespace chainrule
