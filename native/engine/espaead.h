// What an AEAD is given with a packet (RFC 4106, sections 3 and 5; RFC 7634, section 2): the nonce is salt and IV, the IV
// the sequence number; additional data are SPI and sequence number, all 64 bits of it with ESN.
#pragma once

#include "bytes.h"
#include "esppacket.h"

namespace pellicle {

constexpr size_t kAeadIv = 8;
constexpr size_t kAeadNonce = 12;
constexpr size_t kAeadSalt = kAeadNonce - kAeadIv;

struct AssociatedData {
  AssociatedData(uint64_t sequence, const uint8_t* packet, bool esn) : length(esn ? 12 : 8) {
    std::memcpy(bytes, packet, 4);
    if (esn) store(bytes + 4, __builtin_bswap64(sequence));
    else std::memcpy(bytes + 4, packet + 4, 4);
  }

  uint8_t bytes[12];
  size_t length;
};

}  // namespace pellicle
