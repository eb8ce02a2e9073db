// ChaCha20-Poly1305 (RFC 8439) with WireGuard's nonces, by the OpenSSL that is inside the node binary.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>

namespace pellicle {

// Says what is wrong with the OpenSSL of this process, or null. Call before anything else here.
const char* cryptoProblem();

// One direction of a keypair. Used by one thread at a time. The key is wiped with the object.
//
// OpenSSL's ChaCha20 and Poly1305, put together as RFC 8439, section 2.8 says: its ready-made AEAD makes the one-time key
// and the last part of a block in calls of their own, each as dear as four blocks at once. Here one call makes the
// keystream from the block of the one-time key to the end of the last block. For that every buffer has room around it:
// kFront bytes in front, whose content stays, and kBack bytes behind it, whose content stays where it is read from, not
// where it is written to.
class Aead {
 public:
  static constexpr size_t kFront = 64;
  static constexpr size_t kBack = 80;

  explicit Aead(const uint8_t* key);
  ~Aead();
  Aead(const Aead&) = delete;
  Aead& operator=(const Aead&) = delete;

  // Writes `length` bytes of ciphertext and the tag behind them. `out` may not overlap `plain`.
  bool seal(uint64_t counter, const uint8_t* plain, size_t length, uint8_t* out);

  // `length` includes the tag. Writes length - 16 bytes, also when it fails: then they mean nothing.
  bool open(uint64_t counter, uint8_t* sealed, size_t length, uint8_t* out);

 private:
  // `in` with the keystream, and the one-time key of Poly1305.
  bool crypt(uint64_t counter, const uint8_t* in, size_t length, uint8_t* out, uint8_t* macKey);

  EVP_CIPHER_CTX* context_;
};

}  // namespace pellicle
