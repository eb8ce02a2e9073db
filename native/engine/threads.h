// Threads that move packets.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <functional>
#include <thread>

namespace pellicle {

// Signals are for JavaScript's thread. `name` is up to 15 bytes.
inline std::thread startThread(const char* name, std::function<void()> run) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(run));
  pthread_setname_np(thread.native_handle(), name);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace pellicle
