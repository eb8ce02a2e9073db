// Unix stream sockets that carry file descriptors, unix(7) SCM_RIGHTS.
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "linux.h"

namespace pellicle {
namespace {

constexpr int kMaxFds = 253;  // SCM_MAX_FD

// False for a path that is too long.
bool fill(sockaddr_un& address, const std::string& path) {
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  memcpy(address.sun_path, path.data(), path.size());
  return true;
}

// unixListen(path, mode) -> fd
Napi::Value Listen(const Napi::CallbackInfo& info) {
  std::string path = string_arg(info, 0);
  mode_t mode = static_cast<mode_t>(int_arg(info, 1));
  sockaddr_un address{};
  auto run = [&]() -> int {
    if (!fill(address, path)) return -ENAMETOOLONG;
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

// unixConnect(path) -> fd
Napi::Value Connect(const Napi::CallbackInfo& info) {
  const std::string path = string_arg(info, 0);
  sockaddr_un address{};
  auto run = [&]() -> int {
    if (!fill(address, path)) return -ENAMETOOLONG;
    Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd.get() < 0) return -errno;
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return -errno;
    if (fcntl(fd.get(), F_SETFL, O_NONBLOCK) < 0) return -errno;
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

// unixSend(fd, bytes, fds) -> size | -errno; the descriptors go with the first byte.
Napi::Value Send(const Napi::CallbackInfo& info) {
  Bytes from = bytes_arg(info, 1);
  if (!from.data) return info.Env().Undefined();
  auto fds = info[2].As<Napi::Array>();
  if (fds.Length() > kMaxFds) return Napi::Number::New(info.Env(), -E2BIG);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxFds)] = {};
  iovec iov{from.data, from.size};
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  if (fds.Length() > 0) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(sizeof(int) * fds.Length());
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int) * fds.Length());
    for (uint32_t i = 0; i < fds.Length(); i++) {
      const int fd = fds.Get(i).As<Napi::Number>().Int32Value();
      memcpy(CMSG_DATA(rights) + i * sizeof fd, &fd, sizeof fd);
    }
  }
  const ssize_t n = sendmsg(int_arg(info, 0), &header, MSG_NOSIGNAL);
  return Napi::Number::New(info.Env(), static_cast<double>(n < 0 ? -errno : n));
}

// fdWait(fd, events, milliseconds) -> 1 when one came, 0 when none did | -errno. Blocks the thread.
Napi::Value Wait(const Napi::CallbackInfo& info) {
  const int events = int_arg(info, 1);
  pollfd waiting{int_arg(info, 0), static_cast<short>((events & 1 ? POLLIN : 0) | (events & 2 ? POLLOUT : 0)), 0};
  const int ready = poll(&waiting, 1, int_arg(info, 2));
  return Napi::Number::New(info.Env(), ready < 0 ? -errno : ready);
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
  export_function(exports, "unixConnect", Connect);
  export_function(exports, "unixAccept", Accept);
  export_function(exports, "unixReceive", Receive);
  export_function(exports, "unixSend", Send);
  export_function(exports, "unixPeer", Peer);
  export_function(exports, "fdWait", Wait);
  export_function(exports, "fdRead", Read);
  export_function(exports, "fdWrite", Write);
  export_function(exports, "fdClose", Close);
  export_function(exports, "fdNonBlocking", NonBlocking);
}

}  // namespace pellicle
