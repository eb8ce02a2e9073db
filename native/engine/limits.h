// Sizes and limits of the WireGuard protocol that the packet loop holds itself (WireGuard paper, sections 5.4 and 6.1).
#pragma once

#include <cstddef>
#include <cstdint>

namespace pellicle {

constexpr uint8_t kInitiation = 1;
constexpr uint8_t kResponse = 2;
constexpr uint8_t kCookieReply = 3;
constexpr uint8_t kData = 4;

constexpr size_t kInitiationSize = 148;
constexpr size_t kResponseSize = 92;
constexpr size_t kCookieReplySize = 64;
constexpr size_t kDataHeaderSize = 16;
constexpr size_t kTagSize = 16;
constexpr size_t kDataOverhead = kDataHeaderSize + kTagSize;
constexpr size_t kPaddingUnit = 16;
constexpr size_t kKeySize = 32;

constexpr uint64_t kRekeyAfterMessages = 1ull << 60;
constexpr uint64_t kRejectAfterMessages = UINT64_MAX - (1ull << 13);
constexpr int64_t kRekeyAfterMs = 120'000;
constexpr int64_t kRejectAfterMs = 180'000;
// A receiving initiator asks for new keys this late: REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT.
constexpr int64_t kRekeyOnReceiveAfterMs = 165'000;

// Implementation limits.
constexpr size_t kMaxPacket = 65'535;
constexpr size_t kMaxStaged = 128;
// What waits for all peers together; of one that comes late a few packets wait beyond that.
constexpr size_t kMaxStagedBytes = 64 << 20;
constexpr size_t kFewStaged = 4;
constexpr size_t kHandshakeRing = 1024;

}  // namespace pellicle
