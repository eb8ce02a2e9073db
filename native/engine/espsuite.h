// The lengths that follow from the algorithms of an SA: AES-GCM (RFC 4106), ChaCha20-Poly1305 (RFC 7634), AES-CBC
// (RFC 3602) with HMAC-SHA-2 (RFC 4868). src/proto/esp/suite.ts tells them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pellicle {

enum class EspCipherKind : uint8_t { kAesGcm, kChaCha20Poly1305, kAesCbc };

struct EspSuite {
  EspCipherKind cipher = EspCipherKind::kAesGcm;
  uint16_t hashBits = 0;  // of the HMAC: 256, 384, 512; 0 for an AEAD
  size_t keyLength = 0;   // without the salt
  size_t saltLength = 0;
  size_t integrityKeyLength = 0;
  size_t ivLength = 0;
  size_t icvLength = 0;
  size_t alignment = 0;  // a power of 2, at least 4
};

constexpr size_t kMaxAlignment = 16;
constexpr size_t kMaxIv = 16;
constexpr size_t kMaxIcv = 32;

}  // namespace pellicle
