#include "udp.h"

#include <linux/udp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "socketoptions.h"

namespace pellicle {
namespace {

constexpr int kRandomPortTries = 100;

int openSocket(int family, uint16_t& port, uint32_t mark, int& error) {
  const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    error = errno;
    return -1;
  }
  Endpoint local;
  local.any.sa_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    setOption(fd, IPPROTO_IP, IP_PKTINFO, 1);
    // As in the kernel's WireGuard, outer packets may be fragmented: the inner MTU is what the person set.
    setOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
    local.v4.sin_port = htons(port);
  } else {
    setOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    setOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    setOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
    local.v6.sin6_port = htons(port);
  }
  setOption(fd, IPPROTO_UDP, UDP_GRO, 1);
  if (!setSocketOptions(fd, mark) || bind(fd, &local.any, local.size()) != 0) {
    error = errno;
    close(fd);
    return -1;
  }
  socklen_t size = sizeof local.v6;
  getsockname(fd, &local.any, &size);
  port = local.port();
  return fd;
}

union Control {
  cmsghdr header;
  uint8_t bytes[CMSG_SPACE(sizeof(in6_pktinfo)) + CMSG_SPACE(sizeof(int)) + 64];
};

// Appends one control message to those that are in `message` already.
void control(msghdr& message, int level, int type, const void* value, size_t length) {
  auto* at = reinterpret_cast<cmsghdr*>(static_cast<uint8_t*>(message.msg_control) + message.msg_controllen);
  at->cmsg_level = level;
  at->cmsg_type = type;
  at->cmsg_len = CMSG_LEN(length);
  std::memcpy(CMSG_DATA(at), value, length);
  message.msg_controllen += CMSG_SPACE(length);
}

int sendOnce(int fd, const Endpoint& to, const uint8_t* bytes, size_t length, size_t segment, int flags, bool source) {
  Control room{};
  iovec data{const_cast<uint8_t*>(bytes), length};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(&to.any);
  message.msg_namelen = to.size();
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = room.bytes;
  if (source && to.isV6()) {
    in6_pktinfo info{};
    info.ipi6_addr = to.source;
    if (IN6_IS_ADDR_LINKLOCAL(&to.source)) info.ipi6_ifindex = to.sourceInterface;
    control(message, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
  } else if (source) {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, &to.source, sizeof info.ipi_spec_dst);
    control(message, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
  }
  if (length > segment) {
    const auto size = static_cast<uint16_t>(segment);
    control(message, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size);
  }
  if (message.msg_controllen == 0) message.msg_control = nullptr;
  for (;;) {
    if (sendmsg(fd, &message, flags | MSG_NOSIGNAL) >= 0) return 0;
    if (errno != EINTR) return errno;
  }
}

// Errors that a train meets where each of its datagrams alone would pass: a path MTU below the segment size, a device
// without checksum offload.
bool refusesTrain(int error) { return error == EMSGSIZE || error == EINVAL || error == EIO || error == EOPNOTSUPP; }

}  // namespace

UdpSockets::~UdpSockets() {
  if (v4 >= 0) close(v4);
  if (v6 >= 0) close(v6);
}

void UdpSockets::setMark(uint32_t mark) {
  for (const int fd : {v4, v6}) {
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof mark);
  }
}

std::shared_ptr<UdpSockets> openUdp(uint16_t port, uint32_t mark, int& error) {
  for (int tries = 0; tries < kRandomPortTries; tries++) {
    auto sockets = std::make_shared<UdpSockets>();
    sockets->port = port;
    sockets->v4 = openSocket(AF_INET, sockets->port, mark, error);
    if (sockets->v4 < 0 && error != EAFNOSUPPORT) return nullptr;
    sockets->v6 = openSocket(AF_INET6, sockets->port, mark, error);
    if (sockets->v6 >= 0 || (error == EAFNOSUPPORT && sockets->v4 >= 0)) return sockets;
    if (port != 0 || error != EADDRINUSE) return nullptr;
  }
  return nullptr;
}

int sendTrain(int fd, const Endpoint& to, const uint8_t* bytes, size_t length, size_t segment, int flags,
              bool& sourceFailed) {
  bool source = to.hasSource();
  int error = sendOnce(fd, to, bytes, length, segment, flags, source);
  if (error != 0 && source && error != EAGAIN && error != EPERM && error != EMSGSIZE) {
    // The address may be gone; the rest of the errors come again.
    const int withoutSource = sendOnce(fd, to, bytes, length, segment, flags, false);
    if (withoutSource == 0) sourceFailed = true;
    if (withoutSource == 0) source = false;
    error = withoutSource;
  }
  if (length <= segment || !refusesTrain(error)) return error;
  for (size_t at = 0; at < length; at += segment) {
    const size_t one = std::min(segment, length - at);
    if (const int failed = sendOnce(fd, to, bytes + at, one, one, flags, source)) return failed;
  }
  return 0;
}

bool receiveTrain(int fd, Arrival& arrival) {
  Control room;
  iovec data{arrival.bytes(), Arrival::kRoom};
  msghdr message{};
  arrival.from = Endpoint();
  message.msg_name = &arrival.from.any;
  message.msg_namelen = sizeof arrival.from.v6;
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = room.bytes;
  message.msg_controllen = sizeof room.bytes;
  const ssize_t received = recvmsg(fd, &message, MSG_DONTWAIT);
  if (received < 0) return false;
  arrival.length = static_cast<size_t>(received);
  arrival.segment = arrival.length;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message); at != nullptr; at = CMSG_NXTHDR(&message, at)) {
    if (at->cmsg_level == IPPROTO_UDP && at->cmsg_type == UDP_GRO) {
      int size;
      std::memcpy(&size, CMSG_DATA(at), sizeof size);
      if (size > 0) arrival.segment = static_cast<size_t>(size);
    } else if (at->cmsg_level == IPPROTO_IP && at->cmsg_type == IP_PKTINFO) {
      in_pktinfo info;
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      std::memcpy(&arrival.from.source, &info.ipi_addr, sizeof info.ipi_addr);
      arrival.from.sourceInterface = static_cast<uint32_t>(info.ipi_ifindex);
    } else if (at->cmsg_level == IPPROTO_IPV6 && at->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      std::memcpy(&info, CMSG_DATA(at), sizeof info);
      arrival.from.source = info.ipi6_addr;
      arrival.from.sourceInterface = info.ipi6_ifindex;
    }
  }
  return true;
}

}  // namespace pellicle
