#include "threads.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <new>
#include <system_error>
#include <thread>

#ifndef _WIN32
#include <pthread.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif

namespace chainrule {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

// Kernels follow each other within microseconds in a training step, and waking a sleeper costs
// the one who wakes 5 to 40 of them. So a worker looks for the next job this long before it
// sleeps; after the first part of it, it lets others have the core in between.
constexpr auto hurry = microseconds(50);
constexpr auto patience = microseconds(1000);

// The work that must wait for a sleeper before it is woken.
constexpr auto worth_waking = microseconds(50);

void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <class Condition>
bool spin_until(Condition condition) {
  const auto start = Clock::now();
  for (auto waited = Clock::duration::zero(); waited < patience; waited = Clock::now() - start) {
    for (int i = 0; i < 32; ++i) {
      if (condition()) return true;
      relax();
    }
    if (waited > hurry) std::this_thread::yield();
  }
  return condition();
}

#ifdef __linux__
int current_processor() { return sched_getcpu(); }

// Linux likes to wake a thread on the processor of the one who wakes it, and if others are busy
// it leaves both there, at half the speed each. Who finds itself there goes away, once.
void leave_processor(int processor) {
  if (processor < 0 || current_processor() != processor) return;
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  cpu_set_t others = allowed;
  CPU_CLR(processor, &others);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  sched_setaffinity(0, sizeof allowed, &allowed);
}
#else
int current_processor() { return -1; }
void leave_processor(int) {}
#endif

// Neighbouring tasks [first, last) that a thread is to do, in their order. Those who are done
// with their own help others from the end: what a thread does stays much the same from job to
// job, and with it what its processor's caches hold. (A line that another processor has written
// is far away; where the two have no cache in common, it took half of a 1x1 convolution's time.)
class alignas(64) Share {
 public:
  static constexpr std::size_t most_tasks = 0xffffffff;

  void set(std::size_t first, std::size_t last) {
    range_.store(pack(first, last), std::memory_order_relaxed);
  }

  bool take_first(std::size_t& task) {
    return take([&](std::uint64_t range) { task = first(range); return range + 1; });
  }
  bool take_last(std::size_t& task) {
    return take([&](std::uint64_t range) {
      task = last(range) - 1;
      return pack(first(range), task);
    });
  }

 private:
  static std::uint64_t pack(std::size_t first, std::size_t last) {
    return static_cast<std::uint64_t>(last) << 32 | first;
  }
  static std::size_t first(std::uint64_t range) {
    return static_cast<std::size_t>(range & most_tasks);
  }
  static std::size_t last(std::uint64_t range) { return static_cast<std::size_t>(range >> 32); }

  template <class Less>
  bool take(Less less) {
    std::uint64_t range = range_.load(std::memory_order_relaxed);
    while (first(range) < last(range))
      if (range_.compare_exchange_weak(range, less(range), std::memory_order_relaxed)) return true;
    return false;
  }

  std::atomic<std::uint64_t> range_{0};
};

// A job is open while it has places: a worker takes one, joins in, and leaves when no tasks are
// left. The one who brought the job works too, closes it, and waits for those who joined.
class Pool {
 public:
  // Runs the job on this thread and up to `helpers` workers. False if the pool is busy, or the
  // tasks are more than it can count.
  bool run(int helpers, std::size_t tasks, TaskFunction function, void* context) {
    if (tasks > Share::most_tasks || busy_.exchange(true, std::memory_order_acquire)) return false;
    hire(helpers);
    function_ = function;
    context_ = context;
    tasks_ = tasks;
    processor_ = current_processor();
    divide(tasks, static_cast<std::size_t>(helpers) + 1);
    places_.store(helpers, std::memory_order_release);
    lead();
    places_.exchange(0, std::memory_order_acq_rel);  // who wakes only now finds it closed
    const auto all_left = [this] { return joined_.load(std::memory_order_acquire) == 0; };
    if (!spin_until(all_left))
      for (int n; (n = joined_.load(std::memory_order_acquire)) != 0;) joined_.wait(n);
    busy_.store(false, std::memory_order_release);
    return true;
  }

 private:
  // In even shares, the first ones larger by a task: who brings the job starts before the others.
  void divide(std::size_t tasks, std::size_t threads) {
    shares_ = threads < most_shares ? threads : most_shares;
    std::size_t first = 0;
    for (std::size_t i = 0; i < shares_; ++i) {
      const std::size_t left = shares_ - i;
      const std::size_t last = first + (tasks - first + left - 1) / left;
      share_[i].set(first, last);
      first = last;
    }
  }

  void hire(int helpers) {
    try {
      for (; workers_ < helpers; ++workers_)
        std::thread([this, number = workers_ + 1] { work(number); }).detach();
    } catch (const std::system_error&) {
      // The system grants no more threads: fewer do the same work, to the same bits.
    }
  }

  void work(int number) {
    for (;;) {
      if (!spin_until([this] { return places_.load(std::memory_order_relaxed) > 0; })) {
        // Who came late for a job of few, long tasks must not sleep through the next one too.
        if (busy_.load(std::memory_order_relaxed)) continue;
        const int calls = calls_.load(std::memory_order_relaxed);
        asleep_.fetch_add(1, std::memory_order_relaxed);
        calls_.wait(calls, std::memory_order_relaxed);
        asleep_.fetch_sub(1, std::memory_order_relaxed);
        continue;  // the job may be over by now, but more like it follow
      }
      // In this order: who closes the job must not miss one who has a place.
      joined_.fetch_add(1, std::memory_order_acq_rel);
      if (take_place()) {
        leave_processor(processor_);
        while (take_task(number)) {}
      }
      if (joined_.fetch_sub(1, std::memory_order_acq_rel) == 1) joined_.notify_one();
    }
  }

  bool take_place() {
    int places = places_.load(std::memory_order_relaxed);
    while (places > 0)
      if (places_.compare_exchange_weak(places, places - 1, std::memory_order_acq_rel)) return true;
    return false;
  }

  // Does a task of the share of thread `number` (0 is who brought the job), or another's.
  bool take_task(int number) {
    std::size_t task = 0;
    const std::size_t own = static_cast<std::size_t>(number) % shares_;
    bool found = share_[own].take_first(task);
    for (std::size_t i = 1; !found && i < shares_; ++i)
      found = share_[(own + i) % shares_].take_last(task);
    if (found) function_(context_, task);
    return found;
  }

  // Work on the tasks; wake those who sleep once it is clear that it pays: for what is left of
  // this job, or because jobs follow each other for which alone it did not pay.
  void lead() {
    if (asleep_.load(std::memory_order_relaxed) == 0) {
      while (take_task(0)) {}
      return;
    }
    const auto start = Clock::now();
    if (start - last_alone_ > patience) alone_ = Clock::duration::zero();
    bool woken = false;
    for (long done = 1; take_task(0); ++done) {
      last_alone_ = Clock::now();
      const long left = static_cast<long>(tasks_) - done;
      if (woken || alone_ + (last_alone_ - start) / done * left < worth_waking) continue;
      calls_.fetch_add(1, std::memory_order_relaxed);
      calls_.notify_all();
      woken = true;
    }
    alone_ = woken ? Clock::duration::zero() : alone_ + (last_alone_ - start);
  }

  std::atomic<bool> busy_{false};
  static constexpr std::size_t most_shares = 64;  // more threads than that have some in common

  int workers_ = 0;
  TaskFunction function_ = nullptr;
  void* context_ = nullptr;
  std::size_t tasks_ = 0;
  int processor_ = -1;  // on which the job was brought
  Clock::duration alone_{0};  // time of late that jobs took while others slept
  Clock::time_point last_alone_{};
  std::size_t shares_ = 1;
  // On lines of their own: workers look at places_ all the time.
  alignas(64) std::atomic<int> places_{0};
  std::atomic<int> asleep_{0}, calls_{0};  // those who sleep; how often they were woken
  alignas(64) std::atomic<int> joined_{0};
  Share share_[most_shares];
};

// Never destroyed: detached workers may still look at it while the process exits.
Pool* pool() {
  static Pool* the_pool = [] {
#ifndef _WIN32
    // A forked child has no workers, and a pool in an unknown state: it starts afresh.
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
