// Netlink sockets, netlink(7): requests with their answers, and multicast groups.
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>

#include <memory>
#include <vector>

#include "linux.h"

namespace pellicle {
namespace {

constexpr size_t kReceiveSize = 256 * 1024;
constexpr int kReceiveBuffer = 4 * 1024 * 1024;

void set_option(int fd, int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); }

int open_netlink(int protocol, const std::vector<int>& groups) {
  bool events = !groups.empty();
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | (events ? SOCK_NONBLOCK : 0), protocol));
  if (fd.get() < 0) return -errno;
  set_option(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, kReceiveBuffer);
  set_option(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, kReceiveBuffer);
  set_option(fd.get(), SOL_NETLINK, NETLINK_EXT_ACK, 1);
  set_option(fd.get(), SOL_NETLINK, NETLINK_CAP_ACK, 1);
  set_option(fd.get(), SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
  // The kernel answers within the call; the limit is only there so that no thread can hang for ever.
  timeval limit{30, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) return -errno;
  for (int group : groups) {
    if (setsockopt(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) return -errno;
  }
  return fd.release();
}

// netlinkOpen(protocol, groups, netns?) -> fd
Napi::Value Open(const Napi::CallbackInfo& info) {
  int protocol = int_arg(info, 0);
  auto list = info[1].As<Napi::Array>();
  std::vector<int> groups;
  for (uint32_t i = 0; i < list.Length(); i++) groups.push_back(Napi::Value(list[i]).ToNumber().Int32Value());
  int fd = in_netns(string_arg(info, 2), [&] { return open_netlink(protocol, groups); });
  return Napi::Number::New(info.Env(), fd);
}

int receive(int fd, void* data, size_t size) {
  for (;;) {
    sockaddr_nl from{};
    iovec iov{data, size};
    msghdr header{};
    header.msg_name = &from;
    header.msg_namelen = sizeof from;
    header.msg_iov = &iov;
    header.msg_iovlen = 1;
    ssize_t n = recvmsg(fd, &header, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      return -errno;
    }
    if (from.nl_pid != 0) continue;  // not from the kernel
    if (header.msg_flags & MSG_TRUNC) return -EMSGSIZE;
    return static_cast<int>(n);
  }
}

// Sends a request and gathers the messages that answer it, up to the acknowledgement or the end of the dump.
class Transaction : public Napi::AsyncWorker {
 public:
  Transaction(Napi::Env env, int fd, uint32_t sequence, Bytes request)
      : Napi::AsyncWorker(env),
        deferred_(Napi::Promise::Deferred::New(env)),
        fd_(fd),
        sequence_(sequence),
        request_(request.data, request.data + request.size) {}

  Napi::Promise Promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { error_ = Exchange(); }

  void OnOK() override {
    if (error_ < 0) {
      deferred_.Resolve(Napi::Number::New(Env(), error_));
    } else {
      deferred_.Resolve(Napi::Buffer<uint8_t>::Copy(Env(), answer_.data(), answer_.size()));
    }
  }

 private:
  int Exchange() {
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    ssize_t sent;
    do {
      sent = sendto(fd_, request_.data(), request_.size(), 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0) return -errno;
    thread_local std::unique_ptr<uint8_t[]> buffer(new uint8_t[kReceiveSize]);
    for (;;) {
      int n = receive(fd_, buffer.get(), kReceiveSize);
      if (n < 0) return n;
      size_t size = static_cast<size_t>(n), at = 0;
      while (size - at >= sizeof(nlmsghdr)) {
        nlmsghdr header;
        memcpy(&header, buffer.get() + at, sizeof header);
        if (header.nlmsg_len < sizeof header || header.nlmsg_len > size - at) return -EBADMSG;
        if (header.nlmsg_seq == sequence_) {
          answer_.insert(answer_.end(), buffer.get() + at, buffer.get() + at + header.nlmsg_len);
          answer_.resize(NLMSG_ALIGN(answer_.size()));
          if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_type == NLMSG_DONE) return 0;
        }
        at = std::min(size, at + NLMSG_ALIGN(static_cast<size_t>(header.nlmsg_len)));
      }
    }
  }

  Napi::Promise::Deferred deferred_;
  int fd_;
  uint32_t sequence_;
  std::vector<uint8_t> request_;
  std::vector<uint8_t> answer_;
  int error_ = 0;
};

// netlinkTransact(fd, sequence, request) -> Promise<Buffer | -errno>. One at a time for each socket.
Napi::Value Transact(const Napi::CallbackInfo& info) {
  Bytes request = bytes_arg(info, 2);
  if (!request.data) return info.Env().Undefined();
  auto* transaction = new Transaction(info.Env(), int_arg(info, 0), info[1].ToNumber().Uint32Value(), request);
  auto promise = transaction->Promise();
  transaction->Queue();
  return promise;
}

// netlinkReceive(fd, buffer) -> size | -errno; for sockets with groups, which do not block.
Napi::Value Receive(const Napi::CallbackInfo& info) {
  Bytes into = bytes_arg(info, 1);
  if (!into.data) return info.Env().Undefined();
  return Napi::Number::New(info.Env(), receive(int_arg(info, 0), into.data, into.size));
}

}  // namespace

void export_netlink(Napi::Env, Napi::Object exports) {
  export_function(exports, "netlinkOpen", Open);
  export_function(exports, "netlinkTransact", Transact);
  export_function(exports, "netlinkReceive", Receive);
}

}  // namespace pellicle
