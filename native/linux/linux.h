// The system calls that Node lacks, as thin as they go: results are numbers, an error is a negative errno.
// What they mean, and every check of what comes from outside, is in src/linux.
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <napi.h>
#include <sched.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <system_error>
#include <thread>

namespace pellicle {

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int release() {
    int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_;
};

// Runs `body` on a thread of its own, which may change its namespaces: nothing of that outlives the thread.
inline int on_own_thread(const std::function<int()>& body) {
  int result = -EAGAIN;
  try {
    std::thread thread([&] { result = body(); });
    thread.join();
  } catch (const std::system_error&) {
    return -EAGAIN;
  }
  return result;
}

// Runs `body` inside the network namespace at `path`; in ours when it is empty.
inline int in_netns(const std::string& path, const std::function<int()>& body) {
  if (path.empty()) return body();
  Fd netns(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (netns.get() < 0) return -errno;
  return on_own_thread([&] { return setns(netns.get(), CLONE_NEWNET) < 0 ? -errno : body(); });
}

// A system call that may block, off the event loop: resolves to its result.
class Task : public Napi::AsyncWorker {
 public:
  static Napi::Value Run(Napi::Env env, std::function<int()> body) {
    auto* task = new Task(env, std::move(body));
    auto promise = task->deferred_.Promise();
    task->Queue();
    return promise;
  }

 protected:
  void Execute() override { result_ = body_(); }
  void OnOK() override { deferred_.Resolve(Napi::Number::New(Env(), result_)); }

 private:
  Task(Napi::Env env, std::function<int()> body)
      : Napi::AsyncWorker(env), deferred_(Napi::Promise::Deferred::New(env)), body_(std::move(body)) {}

  Napi::Promise::Deferred deferred_;
  std::function<int()> body_;
  int result_ = 0;
};

inline int int_arg(const Napi::CallbackInfo& info, size_t index) {
  return info[index].ToNumber().Int32Value();
}

// An absent argument is an empty string.
inline std::string string_arg(const Napi::CallbackInfo& info, size_t index) {
  return info.Length() > index && info[index].IsString() ? info[index].As<Napi::String>().Utf8Value() : "";
}

struct Bytes {
  uint8_t* data;
  size_t size;
};

inline Bytes bytes_arg(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsTypedArray()) {
    Napi::TypeError::New(info.Env(), "expected a Uint8Array").ThrowAsJavaScriptException();
    return {nullptr, 0};
  }
  auto array = info[index].As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

template <typename F>
void export_function(Napi::Object exports, const char* name, F function) {
  exports.Set(name, Napi::Function::New(exports.Env(), function, name));
}

void export_netlink(Napi::Env env, Napi::Object exports);
void export_netns(Napi::Env env, Napi::Object exports);
void export_unix(Napi::Env env, Napi::Object exports);
void export_poll(Napi::Env env, Napi::Object exports);
void export_device(Napi::Env env, Napi::Object exports);

}  // namespace pellicle
