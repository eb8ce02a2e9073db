// Sealing and opening: one direction of one SA, with contexts that are made once. By the OpenSSL that is inside the node
// binary, or by what ipsecmb.h tells of. Used by one thread at a time. Keys are wiped with the object.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "espsuite.h"

namespace pellicle {

class EspCipher {
 public:
  // `key` is the cipher's key with its salt. Null when OpenSSL refuses.
  static std::unique_ptr<EspCipher> sealer(const EspSuite& suite, const uint8_t* key, const uint8_t* integrityKey, bool esn);
  static std::unique_ptr<EspCipher> opener(const EspSuite& suite, const uint8_t* key, const uint8_t* integrityKey, bool esn);
  virtual ~EspCipher() = default;

  // `packet` has its ESP header and room for all of it. Writes IV, ciphertext and ICV behind the header. `plain` is whole
  // (`length` with trailer) and does not overlap.
  virtual bool seal(uint64_t sequence, const uint8_t* plain, size_t length, uint8_t* packet) = 0;

  // `length` is that of the whole packet, whose parts were found to fit. Writes what was sealed to `out`, also when the ICV
  // is wrong: then it means nothing.
  virtual bool open(uint64_t sequence, const uint8_t* packet, size_t length, uint8_t* out) = 0;
};

}  // namespace pellicle
