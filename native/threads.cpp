#include "threads.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#ifndef _WIN32
#include <pthread.h>
#endif

namespace chainrule {
namespace {

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Kernels follow each other within microseconds in a training step; waking a sleeper takes
// about ten. So a worker looks for the next job this long before it sleeps.
constexpr auto patience = std::chrono::microseconds(30);

template <class Condition>
bool spin_until(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  do {
    for (int i = 0; i < 32; ++i) {
      if (condition()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < deadline);
  return condition();
}

class Pool {
 public:
  // Runs the job on this thread and up to `helpers` workers. False if the pool is busy.
  bool run(int helpers, std::size_t tasks, TaskFunction function, void* context) {
    std::unique_lock running(one_job_, std::try_to_lock);
    if (!running) return false;
    {
      std::lock_guard lock(mutex_);
      hire(helpers);
      function_ = function;
      context_ = context;
      tasks_ = tasks;
      next_.store(0, std::memory_order_relaxed);
      places_ = helpers;
      job_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    take_tasks();
    {
      std::lock_guard lock(mutex_);
      places_ = 0;  // a worker that wakes only now finds the job closed
    }
    if (!spin_until([this] { return busy_.load(std::memory_order_acquire) == 0; })) {
      std::unique_lock lock(mutex_);
      idle_.wait(lock, [this] { return busy_.load(std::memory_order_acquire) == 0; });
    }
    return true;
  }

 private:
  void hire(int helpers) {
    try {
      for (; workers_ < helpers; ++workers_) std::thread([this] { work(); }).detach();
    } catch (const std::system_error&) {
      // The system grants no more threads: fewer do the same work, to the same bits.
    }
  }

  void work() {
    unsigned long seen = 0;
    for (;;) {
      spin_until([&] { return job_.load(std::memory_order_acquire) != seen; });
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return job_.load(std::memory_order_acquire) != seen; });
        seen = job_.load(std::memory_order_acquire);
        if (places_ == 0) continue;
        --places_;
        busy_.fetch_add(1, std::memory_order_relaxed);
      }
      take_tasks();
      std::lock_guard lock(mutex_);
      if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) idle_.notify_one();
    }
  }

  void take_tasks() {
    for (std::size_t task; (task = next_.fetch_add(1, std::memory_order_relaxed)) < tasks_;)
      function_(context_, task);
  }

  std::mutex one_job_, mutex_;
  std::condition_variable wake_, idle_;
  int workers_ = 0, places_ = 0;
  std::atomic<int> busy_{0};
  std::atomic<unsigned long> job_{0};
  std::atomic<std::size_t> next_{0};
  std::size_t tasks_ = 0;
  TaskFunction function_ = nullptr;
  void* context_ = nullptr;
};

// Never destroyed: detached workers may still look at it while the process exits.
Pool* pool() {
  static Pool* the_pool = [] {
#ifndef _WIN32
    // A forked child has no workers, and locks in an unknown state: it starts afresh.
    pthread_atfork(nullptr, nullptr, [] { new (pool()) Pool; });
#endif
    return new Pool;
  }();
  return the_pool;
}

}  // namespace

void run_tasks(int threads, std::size_t tasks, TaskFunction function, void* context) {
  const int helpers = static_cast<int>(tasks < static_cast<std::size_t>(threads) ? tasks : threads) - 1;
  if (helpers > 0 && pool()->run(helpers, tasks, function, context)) return;
  for (std::size_t task = 0; task < tasks; ++task) function(context, task);
}

}  // namespace chainrule
