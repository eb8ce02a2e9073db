// ESP in IP itself: raw sockets (raw(7), protocol 50) and many packets with one call.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "aead.h"
#include "espsa.h"

namespace pellicle {

// A raw socket for ESP of one family, or -1 with an errno.
int openRawEsp(int family, uint32_t mark, int& error);

// Packets that leave with one call. They stand in the buffer that the caller lays out.
class RawBatch {
 public:
  static constexpr size_t kMost = 64;

  void add(OutboundSa& sa, uint8_t* packet, size_t length);
  size_t count() const { return count_; }
  // Sends all of it. Packets that could not be sent are counted with their SA and in `drops`.
  void send(int fd, EspDrops& drops);

 private:
  union Control {
    cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
  };

  std::array<mmsghdr, kMost> messages_{};
  std::array<iovec, kMost> data_{};
  std::array<Control, kMost> controls_{};
  std::array<OutboundSa*, kMost> owners_{};
  size_t count_ = 0;
};

// Packets that came in with one call.
class RawArrival {
 public:
  static constexpr size_t kMost = 64;

  struct Packet {
    uint8_t* bytes;  // from the ESP header on
    size_t length;
    EspId id;  // without the SPI
  };

  RawArrival();
  // How many came; 0 when nothing waits.
  size_t receive(int fd, bool v6);
  // False for what is cut off or has no whole IP header.
  bool packet(size_t index, bool v6, Packet& packet);

 private:
  // Packets stand close together, so that they stay in the cache. What is longer than that goes on elsewhere, with room for
  // its beginning in front.
  static constexpr size_t kClose = 2'304;
  static constexpr size_t kRoom = 65'536;
  union Control {
    cmsghdr header;
    uint8_t bytes[CMSG_SPACE(sizeof(in6_pktinfo))];
  };

  std::unique_ptr<uint8_t[]> close_;
  std::unique_ptr<uint8_t[]> rest_;
  std::array<mmsghdr, kMost> messages_{};
  std::array<std::array<iovec, 2>, kMost> data_{};
  std::array<sockaddr_in6, kMost> names_{};
  std::array<Control, kMost> controls_{};
};

}  // namespace pellicle
