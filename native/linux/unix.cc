// Unix stream sockets that carry file descriptors, unix(7) SCM_RIGHTS.
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "linux.h"

namespace pellicle {
namespace {

constexpr int kMaxFds = 16;

// unixListen(path, mode) -> fd
Napi::Value Listen(const Napi::CallbackInfo& info) {
  std::string path = string_arg(info, 0);
  mode_t mode = static_cast<mode_t>(int_arg(info, 1));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto run = [&]() -> int {
    if (path.size() >= sizeof address.sun_path) return -ENAMETOOLONG;
    memcpy(address.sun_path, path.data(), path.size());
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return -errno;
    // Before bind, so that the file never has another mode.
    if (fchmod(fd.get(), mode) < 0) return -errno;
    if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return -errno;
    if (listen(fd.get(), 128) < 0) return -errno;
    return fd.release();
  };
  return Napi::Number::New(info.Env(), run());
}

// unixAccept(fd) -> fd
Napi::Value Accept(const Napi::CallbackInfo& info) {
  int fd = accept4(int_arg(info, 0), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  return Napi::Number::New(info.Env(), fd < 0 ? -errno : fd);
}

// unixReceive(fd, buffer, fds) -> size | -errno; descriptors that came along are pushed to the array `fds`.
Napi::Value Receive(const Napi::CallbackInfo& info) {
  Bytes into = bytes_arg(info, 1);
  if (!into.data) return info.Env().Undefined();
  auto fds = info[2].As<Napi::Array>();
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)];
  iovec iov{into.data, into.size};
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  ssize_t n = recvmsg(int_arg(info, 0), &header, MSG_CMSG_CLOEXEC);
  if (n < 0) return Napi::Number::New(info.Env(), -errno);
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
      fds.Set(fds.Length(), Napi::Number::New(info.Env(), fd));
    }
  }
  return Napi::Number::New(info.Env(), static_cast<double>(n));
}

// unixPeer(fd) -> [pid, uid, gid] | -errno
Napi::Value Peer(const Napi::CallbackInfo& info) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(int_arg(info, 0), SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
    return Napi::Number::New(info.Env(), -errno);
  }
  auto result = Napi::Array::New(info.Env(), 3);
  result.Set(0u, Napi::Number::New(info.Env(), peer.pid));
  result.Set(1u, Napi::Number::New(info.Env(), peer.uid));
  result.Set(2u, Napi::Number::New(info.Env(), peer.gid));
  return result;
}

// fdRead(fd, buffer) -> size | -errno
Napi::Value Read(const Napi::CallbackInfo& info) {
  Bytes into = bytes_arg(info, 1);
  if (!into.data) return info.Env().Undefined();
  ssize_t n = read(int_arg(info, 0), into.data, into.size);
  return Napi::Number::New(info.Env(), static_cast<double>(n < 0 ? -errno : n));
}

// fdWrite(fd, bytes) -> size | -errno
Napi::Value Write(const Napi::CallbackInfo& info) {
  Bytes from = bytes_arg(info, 1);
  if (!from.data) return info.Env().Undefined();
  ssize_t n = write(int_arg(info, 0), from.data, from.size);
  return Napi::Number::New(info.Env(), static_cast<double>(n < 0 ? -errno : n));
}

// fdClose(fd) -> 0 | -errno
Napi::Value Close(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), close(int_arg(info, 0)) < 0 ? -errno : 0);
}

// fdNonBlocking(fd) -> 0 | -errno
Napi::Value NonBlocking(const Napi::CallbackInfo& info) {
  int fd = int_arg(info, 0);
  int flags = fcntl(fd, F_GETFL);
  int result = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
  return Napi::Number::New(info.Env(), result);
}

}  // namespace

void export_unix(Napi::Env, Napi::Object exports) {
  export_function(exports, "unixListen", Listen);
  export_function(exports, "unixAccept", Accept);
  export_function(exports, "unixReceive", Receive);
  export_function(exports, "unixPeer", Peer);
  export_function(exports, "fdRead", Read);
  export_function(exports, "fdWrite", Write);
  export_function(exports, "fdClose", Close);
  export_function(exports, "fdNonBlocking", NonBlocking);
}

}  // namespace pellicle
