// The header in front of every packet that goes through the TUN device (struct Offload of linux/virtio_net.h,
// which no C++ compiler reads; virtio 1.2, section 5.1.6).
#pragma once

#include <cstdint>

namespace pellicle {

struct Offload {
  static constexpr uint8_t kNeedsChecksum = 1;  // flags

  static constexpr uint8_t kNone = 0;  // type
  static constexpr uint8_t kTcp4 = 1;
  static constexpr uint8_t kTcp6 = 4;
  static constexpr uint8_t kUdp = 5;
  static constexpr uint8_t kEcn = 0x80;

  uint8_t flags;
  uint8_t type;
  uint16_t headerLength;
  uint16_t segmentSize;
  uint16_t checksumStart;
  uint16_t checksumOffset;
};
static_assert(sizeof(Offload) == 10);

}  // namespace pellicle
