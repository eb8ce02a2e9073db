// What the packet loop reads of an inner packet: version, addresses and the length that its header states.
#pragma once

#include <cstddef>
#include <cstdint>

#include "bytes.h"

namespace pellicle {

constexpr uint8_t kTcp = 6;
constexpr uint8_t kUdp = 17;
constexpr size_t kIpv4Header = 20;
constexpr size_t kIpv6Header = 40;
constexpr size_t kUdpHeader = 8;

// An address of either family as one number, most significant bit first; IPv4 has the upper 32 bits.
struct Address {
  uint64_t high = 0;
  uint64_t low = 0;
  bool v6 = false;
};

inline Address addressV4(const uint8_t* bytes) { return {static_cast<uint64_t>(loadBig32(bytes)) << 32, 0, false}; }
inline Address addressV6(const uint8_t* bytes) { return {loadBig64(bytes), loadBig64(bytes + 8), true}; }

// 4, 6, or 0 for what is no IP packet, or too short for its header.
inline int ipVersion(const uint8_t* packet, size_t length) {
  if (length >= kIpv4Header && packet[0] >> 4 == 4 && (packet[0] & 15) >= 5) return 4;
  if (length >= kIpv6Header && packet[0] >> 4 == 6) return 6;
  return 0;
}

// The three below are for packets that have a version.
inline Address sourceOf(const uint8_t* packet) {
  return packet[0] >> 4 == 4 ? addressV4(packet + 12) : addressV6(packet + 8);
}
inline Address destinationOf(const uint8_t* packet) {
  return packet[0] >> 4 == 4 ? addressV4(packet + 16) : addressV6(packet + 24);
}
inline bool isMulticast(const uint8_t* packet) {
  return packet[0] >> 4 == 4 ? packet[16] >> 4 == 14 : packet[24] == 0xff;
}
inline size_t statedLength(const uint8_t* packet) {
  return packet[0] >> 4 == 4 ? loadBig16(packet + 2) : kIpv6Header + loadBig16(packet + 4);
}

}  // namespace pellicle
