// Network namespaces: made, pinned to a file by a bind mount, and entered by a thread that ends afterwards.
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "linux.h"

namespace pellicle {
namespace {

int loopback_up() {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return -errno;
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  if (ioctl(fd.get(), SIOCGIFFLAGS, &request) < 0) return -errno;
  request.ifr_flags |= IFF_UP;
  return ioctl(fd.get(), SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

int pin(const char* source, const std::string& path) {
  Fd file(open(path.c_str(), O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0));
  if (file.get() < 0) return -errno;
  if (mount(source, path.c_str(), "none", MS_BIND, nullptr) < 0) {
    int error = -errno;
    unlink(path.c_str());
    return error;
  }
  return 0;
}

// netnsCreate(path) -> Promise<0 | -errno>
Napi::Value Create(const Napi::CallbackInfo& info) {
  return Task::Run(info.Env(), [path = string_arg(info, 0)] {
    return on_own_thread([&] {
      if (unshare(CLONE_NEWNET) < 0) return -errno;
      int error = loopback_up();
      return error < 0 ? error : pin("/proc/thread-self/ns/net", path);
    });
  });
}

// netnsScratch() -> Promise<fd | -errno>: a namespace that ends with the descriptor.
Napi::Value Scratch(const Napi::CallbackInfo& info) {
  return Task::Run(info.Env(), [] {
    return on_own_thread([] {
      if (unshare(CLONE_NEWNET) < 0) return -errno;
      int error = loopback_up();
      if (error < 0) return error;
      int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
      return fd < 0 ? -errno : fd;
    });
  });
}

// netnsPin(source, path) -> Promise<0 | -errno>
Napi::Value Pin(const Napi::CallbackInfo& info) {
  return Task::Run(info.Env(), [source = string_arg(info, 0), path = string_arg(info, 1)] {
    return pin(source.c_str(), path);
  });
}

// netnsDelete(path) -> Promise<0 | -errno>: unmounts whatever is stacked on the file and removes it.
Napi::Value Delete(const Napi::CallbackInfo& info) {
  return Task::Run(info.Env(), [path = string_arg(info, 0)] {
    while (umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
    if (errno != EINVAL) return -errno;
    return unlink(path.c_str()) < 0 ? -errno : 0;
  });
}

// makeShared(directory) -> 0 | -errno: mounts below it are seen by other mount namespaces, as ip-netns(8) does.
Napi::Value MakeShared(const Napi::CallbackInfo& info) {
  std::string path = string_arg(info, 0);
  int result = 0;
  if (mount("", path.c_str(), "none", MS_SHARED | MS_REC, nullptr) < 0) {
    if (errno != EINVAL || mount(path.c_str(), path.c_str(), "none", MS_BIND | MS_REC, nullptr) < 0 ||
        mount("", path.c_str(), "none", MS_SHARED | MS_REC, nullptr) < 0) {
      result = -errno;
    }
  }
  return Napi::Number::New(info.Env(), result);
}

// writeFile(netns, path, text) -> Promise<0 | -errno>: one write, for /proc/sys/net, which shows the namespace of
// the thread that opens it.
Napi::Value WriteFile(const Napi::CallbackInfo& info) {
  return Task::Run(
      info.Env(), [netns = string_arg(info, 0), path = string_arg(info, 1), text = string_arg(info, 2)] {
        return in_netns(netns, [&] {
          Fd fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
          if (fd.get() < 0) return -errno;
          ssize_t n = write(fd.get(), text.data(), text.size());
          if (n < 0) return -errno;
          return static_cast<size_t>(n) == text.size() ? 0 : -EIO;
        });
      });
}

// readFile(netns, path, into) -> size | -errno
Napi::Value ReadFile(const Napi::CallbackInfo& info) {
  std::string path = string_arg(info, 1);
  Bytes into = bytes_arg(info, 2);
  if (!into.data) return info.Env().Undefined();
  int result = in_netns(string_arg(info, 0), [&] {
    Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return -errno;
    ssize_t n = read(fd.get(), into.data, into.size);
    return n < 0 ? -errno : static_cast<int>(n);
  });
  return Napi::Number::New(info.Env(), result);
}

}  // namespace

void export_netns(Napi::Env, Napi::Object exports) {
  export_function(exports, "netnsCreate", Create);
  export_function(exports, "netnsScratch", Scratch);
  export_function(exports, "netnsPin", Pin);
  export_function(exports, "netnsDelete", Delete);
  export_function(exports, "makeShared", MakeShared);
  export_function(exports, "writeFile", WriteFile);
  export_function(exports, "readFile", ReadFile);
}

}  // namespace pellicle
