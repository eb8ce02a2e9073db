// ChaCha20-Poly1305 (RFC 8439) with WireGuard's nonces, by the OpenSSL that is inside the node binary.
#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>

namespace pellicle {

// Says what is wrong with the OpenSSL of this process, or null. Call before anything else here.
const char* cryptoProblem();

// One direction of a keypair. Used by one thread at a time. The key is wiped with the object.
class Aead {
 public:
  enum class Direction { kSeal, kOpen };

  Aead(const uint8_t* key, Direction direction);
  ~Aead();
  Aead(const Aead&) = delete;
  Aead& operator=(const Aead&) = delete;

  // Writes `length` bytes of ciphertext and the tag behind them. `out` may not overlap `plain`.
  bool seal(uint64_t counter, const uint8_t* plain, size_t length, uint8_t* out);

  // `length` includes the tag. Writes length - 16 bytes, also when it fails: then they mean nothing.
  bool open(uint64_t counter, const uint8_t* sealed, size_t length, uint8_t* out);

 private:
  EVP_CIPHER_CTX* context_;
};

}  // namespace pellicle
