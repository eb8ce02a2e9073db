// Lets packets gather while they come one after the other. A thread that sleeps in poll(2) is woken by each of them, which
// costs the sender of it more than the packet itself; one that naps is not. Only when it is busy anyway: what comes to a
// quiet thread is never held up.
#pragma once

#include <sys/prctl.h>

#include <ctime>

#include <cstdint>

namespace pellicle {

class Gathering {
 public:
  // To be called once a wake, before packets are taken: whether this thread is in the middle of many.
  bool busy() {
    const int64_t now = nanoseconds();
    streak_ = now - last_ < kClose ? streak_ + 1 : 0;
    last_ = now;
    return streak_ >= kStreak;
  }
  void nap() {
    if (!prepared_) prctl(PR_SET_TIMERSLACK, 1);
    prepared_ = true;
    const timespec time{0, kNap};
    nanosleep(&time, nullptr);
  }
  void calm() { streak_ = 0; }

 private:
  static constexpr int64_t kClose = 60'000;
  static constexpr int kStreak = 8;
  static constexpr long kNap = 30'000;

  static int64_t nanoseconds() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
  }

  int64_t last_ = 0;
  int streak_ = 0;
  bool prepared_ = false;
};

}  // namespace pellicle
