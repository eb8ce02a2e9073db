// The layout of ESP in tunnel mode (RFC 4303, section 2):
//
//     SPI | sequence (low 32 bits) | IV | payload | padding 1,2,3… | pad length | next header | ICV
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "bytes.h"
#include "espsuite.h"

namespace pellicle {

constexpr size_t kEspHeader = 8;
constexpr size_t kEspTrailer = 2;
// What may stand behind a payload: padding and trailer.
constexpr size_t kMaxEspTail = kMaxAlignment - 1 + kEspTrailer;
constexpr size_t kMaxEspOverhead = kEspHeader + kMaxIv + kMaxEspTail + kMaxIcv;

// IANA protocol numbers of what ESP carries; the last one is a dummy packet (RFC 4303, section 2.6).
constexpr uint8_t kNextIpv4 = 4;
constexpr uint8_t kNextIpv6 = 41;
constexpr uint8_t kNextNone = 59;

inline void writeEspHeader(uint8_t* packet, uint32_t spi, uint64_t sequence) {
  storeBig32(packet, spi);
  storeBig32(packet + 4, static_cast<uint32_t>(sequence));
}

// Payload, padding and trailer: a multiple of the alignment.
inline size_t paddedLength(const EspSuite& suite, size_t payload) {
  return (payload + kEspTrailer + suite.alignment - 1) & ~(suite.alignment - 1);
}

inline size_t sealedLength(const EspSuite& suite, size_t payload) {
  return kEspHeader + suite.ivLength + paddedLength(suite, payload) + suite.icvLength;
}

inline void writeEspTrailer(uint8_t* tail, size_t padding, uint8_t nextHeader) {
  for (size_t i = 0; i < padding; i++) tail[i] = static_cast<uint8_t>(i + 1);
  tail[padding] = static_cast<uint8_t>(padding);
  tail[padding + 1] = nextHeader;
}

// False when the padding is longer than all, or is not 1, 2, 3 …
inline bool readEspTrailer(const uint8_t* opened, size_t length, size_t& payload, uint8_t& nextHeader) {
  if (length < kEspTrailer) return false;
  const size_t padding = opened[length - 2];
  nextHeader = opened[length - 1];
  if (padding > length - kEspTrailer) return false;
  payload = length - kEspTrailer - padding;
  for (size_t i = 0; i < padding; i++) {
    if (opened[payload + i] != i + 1) return false;
  }
  return true;
}

}  // namespace pellicle
