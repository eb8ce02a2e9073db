// Netlink answers and messages with descriptors, as the agent's addon takes them.
#include <linux/netlink.h>
#include <sanitizer/asan_interface.h>
#include <sys/socket.h>

#include "fuzz.h"

using namespace pellicle::fuzz;

namespace {

constexpr uint32_t kSequence = 7;

Input* input = nullptr;
std::vector<int> descriptors;  // that came along
size_t receivedBytes = 0;

// Netlink: messages with right headers, or bytes as they come.
std::vector<uint8_t> netlinkBytes() {
  std::vector<uint8_t> bytes;
  for (uint8_t count = input->byte() & 7; count > 0; count--) {
    const uint8_t kind = input->byte();
    const auto body = input->bytes(kind >> 2);
    if ((kind & 1) != 0) {
      constexpr uint16_t kTypes[] = {16, 24, NLMSG_ERROR, NLMSG_DONE};
      nlmsghdr header{};
      const uint8_t what = input->byte();
      header.nlmsg_type = kTypes[what & 3];
      header.nlmsg_seq = (what & 4) != 0 ? kSequence + 1 : kSequence;
      header.nlmsg_len = static_cast<uint32_t>(sizeof header + body.size());
      const auto* at = reinterpret_cast<const uint8_t*>(&header);
      bytes.insert(bytes.end(), at, at + sizeof header);
    }
    bytes.insert(bytes.end(), body.begin(), body.end());
    if ((kind & 2) != 0) bytes.resize(NLMSG_ALIGN(bytes.size()));
  }
  return bytes;
}

// Control messages as the kernel lays them out: as many as there is room for.
void addControl(msghdr* message) {
  const size_t room = message->msg_controllen;
  auto* bytes = static_cast<uint8_t*>(message->msg_control);
  size_t at = 0;
  for (uint8_t count = input->byte() & 3; count > 0; count--) {
    const uint8_t kind = input->byte();
    const size_t fds = kind >> 3;
    const size_t length = fds * sizeof(int);
    if (at + CMSG_SPACE(length) > room) {
      message->msg_flags |= MSG_CTRUNC;
      break;
    }
    std::memset(bytes + at, 0, CMSG_SPACE(length));
    auto* header = reinterpret_cast<cmsghdr*>(bytes + at);
    header->cmsg_level = (kind & 1) != 0 ? SOL_SOCKET : SOL_NETLINK;
    header->cmsg_type = (kind & 2) != 0 ? SCM_RIGHTS : SCM_CREDENTIALS;
    header->cmsg_len = CMSG_LEN(length);
    for (size_t i = 0; i < fds; i++) {
      const int fd = input->take<uint16_t>();
      std::memcpy(CMSG_DATA(header) + i * sizeof fd, &fd, sizeof fd);
      if ((kind & 3) == 3) descriptors.push_back(fd);
    }
    at += CMSG_SPACE(length);
  }
  message->msg_controllen = at;
}

ssize_t fakeRecvmsg(int, msghdr* message, int) {
  iovec& room = *message->msg_iov;
  ASAN_UNPOISON_MEMORY_REGION(room.iov_base, room.iov_len);
  const uint8_t kind = input->byte();
  if (input->empty() || (kind & 0xe0) == 0xe0) {
    errno = (kind & 1) != 0 && !input->empty() ? EINTR : EAGAIN;
    return -1;
  }
  message->msg_flags = (kind & 0x1f) == 0x1f ? MSG_TRUNC : 0;
  std::vector<uint8_t> bytes;
  if (message->msg_control != nullptr) {
    bytes = input->bytes(kind);
    addControl(message);
  } else {
    bytes = netlinkBytes();
    static_cast<sockaddr_nl*>(message->msg_name)->nl_pid = (kind & 0x1f) == 0x1e ? 99 : 0;
  }
  const size_t received = std::min(bytes.size(), room.iov_len);
  if (received > 0) std::memcpy(room.iov_base, bytes.data(), received);
  ASAN_POISON_MEMORY_REGION(static_cast<uint8_t*>(room.iov_base) + received, room.iov_len - received);
  receivedBytes = received;
  return static_cast<ssize_t>(received);
}

ssize_t fakeSendto(int, const void*, size_t length, int, const sockaddr*, socklen_t) { return static_cast<ssize_t>(length); }

}  // namespace

#define recvmsg fakeRecvmsg
#define sendto fakeSendto
#include "../linux/netlink.cc"
#define Receive UnixReceive
#include "../linux/unix.cc"
#undef Receive
#undef recvmsg
#undef sendto

namespace {

Napi::Value bytesOf(std::vector<uint8_t>& bytes) {
  Napi::Value value;
  value.contents->isBytes = true;
  value.contents->bytes = bytes.data();
  value.contents->length = bytes.size();
  return value;
}

// Whole messages with our sequence number, the last one an end.
void checkAnswer(const Napi::Contents& answer) {
  REQUIRE(answer.length >= sizeof(nlmsghdr));
  size_t at = 0;
  uint16_t type = 0;
  while (at < answer.length) {
    nlmsghdr header;
    REQUIRE(answer.length - at >= sizeof header);
    std::memcpy(&header, answer.bytes + at, sizeof header);
    REQUIRE(header.nlmsg_seq == kSequence && header.nlmsg_len >= sizeof header && header.nlmsg_len <= answer.length - at);
    REQUIRE(type != NLMSG_ERROR && type != NLMSG_DONE);
    type = header.nlmsg_type;
    at += NLMSG_ALIGN(static_cast<size_t>(header.nlmsg_len));
  }
  REQUIRE(type == NLMSG_ERROR || type == NLMSG_DONE);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  static const Napi::Object exports = [] {
    Napi::Object object;
    pellicle::export_netlink({}, object);
    pellicle::export_unix({}, object);
    return object;
  }();
  Input mine(bytes, length);
  input = &mine;
  descriptors.clear();
  const auto call = [&](const char* name, std::vector<Napi::Value> arguments) {
    return exports.functions->at(name)(Napi::CallbackInfo(std::move(arguments)));
  };
  const Napi::Value fd = Napi::Number::New({}, 1000);
  std::vector<uint8_t> room(1 + input->byte());
  switch (input->byte() & 3) {
    case 0: {
      const Napi::Value answer = call("netlinkTransact", {fd, Napi::Number::New({}, kSequence), bytesOf(room)});
      if (answer.contents->isBytes) checkAnswer(*answer.contents);
      else REQUIRE(answer.contents->number < 0);
      break;
    }
    case 1: {
      const Napi::Value got = call("netlinkReceive", {fd, bytesOf(room)});
      REQUIRE(got.contents->number < 0 || got.contents->number == static_cast<double>(receivedBytes));
      break;
    }
    default: {
      Napi::Array fds;
      const Napi::Value got = call("unixReceive", {fd, bytesOf(room), fds});
      if (got.contents->number < 0) break;
      REQUIRE(got.contents->number == static_cast<double>(receivedBytes));
      REQUIRE(fds.Length() == descriptors.size());
      for (uint32_t i = 0; i < fds.Length(); i++) REQUIRE(fds[i].ToNumber().Int32Value() == descriptors[i]);
    }
  }
  ASAN_UNPOISON_MEMORY_REGION(room.data(), room.size());
  return 0;
}
