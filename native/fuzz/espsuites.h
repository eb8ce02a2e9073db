// One suite of each kind, as src/proto/esp/suite.ts tells them.
#pragma once

#include <array>

#include "../engine/espsuite.h"

namespace pellicle::fuzz {

constexpr std::array<EspSuite, 4> kSuites = {{
    {EspCipherKind::kAesGcm, 0, 16, 4, 0, 8, 16, 4},
    {EspCipherKind::kAesCbc, 256, 16, 0, 32, 16, 16, 16},
    {EspCipherKind::kChaCha20Poly1305, 0, 32, 4, 0, 8, 16, 4},
    {EspCipherKind::kAesGcm, 0, 32, 4, 0, 8, 8, 4},
}};

// Cipher key with salt, and key of the HMAC.
inline constexpr uint8_t kEspKey[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

}  // namespace pellicle::fuzz
