#include "espraw.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "ip.h"
#include "socketoptions.h"

namespace pellicle {

int openRawEsp(int family, uint32_t mark, int& error) {
  const int fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ESP);
  if (fd < 0) {
    error = errno;
    return -1;
  }
  // The device's MTU is what keeps packets whole; where the way is narrower they are fragmented rather than lost.
  if (family == AF_INET) {
    setOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
  } else {
    setOption(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
    setOption(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
  }
  if (!setSocketOptions(fd, mark)) {
    error = errno;
    close(fd);
    return -1;
  }
  return fd;
}

void RawBatch::add(OutboundSa& sa, uint8_t* packet, size_t length) {
  const size_t at = count_++;
  owners_[at] = &sa;
  data_[at] = {packet, length};
  msghdr& message = messages_[at].msg_hdr;
  message = {};
  message.msg_name = &sa.to.any;
  message.msg_namelen = sa.to.size();
  message.msg_iov = &data_[at];
  message.msg_iovlen = 1;
  cmsghdr& control = controls_[at].header;
  message.msg_control = &control;
  if (sa.to.isV6()) {
    in6_pktinfo info{};
    info.ipi6_addr = sa.to.source;
    control.cmsg_level = IPPROTO_IPV6;
    control.cmsg_type = IPV6_PKTINFO;
    control.cmsg_len = CMSG_LEN(sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
    std::memcpy(CMSG_DATA(&control), &info, sizeof info);
  } else {
    in_pktinfo info{};
    std::memcpy(&info.ipi_spec_dst, &sa.to.source, sizeof info.ipi_spec_dst);
    control.cmsg_level = IPPROTO_IP;
    control.cmsg_type = IP_PKTINFO;
    control.cmsg_len = CMSG_LEN(sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
    std::memcpy(CMSG_DATA(&control), &info, sizeof info);
  }
}

void RawBatch::send(int fd, EspDrops& drops) {
  for (size_t at = 0; at < count_;) {
    const int sent = sendmmsg(fd, &messages_[at], static_cast<unsigned>(count_ - at), MSG_NOSIGNAL);
    if (sent > 0) {
      at += static_cast<size_t>(sent);
      continue;
    }
    if (errno == EINTR) continue;
    owners_[at]->counters.drops.count(EspDrop::kSendFailed);
    drops.count(EspDrop::kSendFailed);
    at++;
  }
  count_ = 0;
}

RawArrival::RawArrival() : close_(new uint8_t[kMost * kClose]), rest_(new uint8_t[kMost * kRoom]) {
  for (size_t i = 0; i < kMost; i++) {
    data_[i][0] = {close_.get() + i * kClose, kClose};
    data_[i][1] = {rest_.get() + i * kRoom + kClose, kRoom - kClose};
  }
}

size_t RawArrival::receive(int fd, bool v6) {
  for (size_t i = 0; i < kMost; i++) {
    msghdr& message = messages_[i].msg_hdr;
    message = {};
    message.msg_iov = data_[i].data();
    message.msg_iovlen = data_[i].size();
    if (!v6) continue;
    message.msg_name = &names_[i];
    message.msg_namelen = sizeof names_[i];
    message.msg_control = &controls_[i];
    message.msg_controllen = sizeof controls_[i];
  }
  const int received = recvmmsg(fd, messages_.data(), kMost, MSG_DONTWAIT, nullptr);
  return received > 0 ? static_cast<size_t>(received) : 0;
}

bool RawArrival::packet(size_t index, bool v6, Packet& packet) {
  mmsghdr& message = messages_[index];
  auto* bytes = static_cast<uint8_t*>(data_[index][0].iov_base);
  const size_t length = message.msg_len;
  if ((message.msg_hdr.msg_flags & MSG_TRUNC) != 0) return false;
  if (length > kClose) {
    uint8_t* whole = rest_.get() + index * kRoom;
    std::memcpy(whole, bytes, kClose);
    bytes = whole;
  }
  packet.id = EspId();
  if (!v6) {
    // With its IP header, made whole by the kernel.
    const size_t header = length >= kIpv4Header ? static_cast<size_t>(bytes[0] & 15) * 4 : 0;
    if (header < kIpv4Header || header > length) return false;
    packet.id.family = 4;
    std::memcpy(packet.id.source(), bytes + 12, 4);
    std::memcpy(packet.id.destination(), bytes + 16, 4);
    packet.bytes = bytes + header;
    packet.length = length - header;
    return true;
  }
  packet.id.family = 6;
  std::memcpy(packet.id.source(), &names_[index].sin6_addr, 16);
  bool found = false;
  for (cmsghdr* at = CMSG_FIRSTHDR(&message.msg_hdr); at != nullptr; at = CMSG_NXTHDR(&message.msg_hdr, at)) {
    if (at->cmsg_level != IPPROTO_IPV6 || at->cmsg_type != IPV6_PKTINFO) continue;
    in6_pktinfo info;
    std::memcpy(&info, CMSG_DATA(at), sizeof info);
    std::memcpy(packet.id.destination(), &info.ipi6_addr, 16);
    found = true;
  }
  packet.bytes = bytes;
  packet.length = length;
  return found;
}

}  // namespace pellicle
