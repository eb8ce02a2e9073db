#include "coalesce.h"

#include "bytes.h"
#include "checksum.h"
#include "ip.h"
#include "offload.h"

namespace pellicle {
namespace {

constexpr uint8_t kAck = 0x10;
constexpr uint8_t kPsh = 0x08;

// Offset of the TCP header of a packet that may be merged, or 0: no options, no extension headers, no fragments.
size_t tcpOffset(const uint8_t* packet, size_t length) {
  size_t offset;
  if (packet[0] >> 4 == 4) {
    const bool fragment = (loadBig16(packet + 6) & 0x3fff) != 0;
    if (packet[0] != 0x45 || packet[9] != kTcp || fragment) return 0;
    offset = kIpv4Header;
  } else {
    if (packet[6] != kTcp) return 0;
    offset = kIpv6Header;
  }
  return length >= offset + 20 ? offset : 0;
}

bool checksumsHold(const uint8_t* packet, size_t transport, size_t length) {
  if (packet[0] >> 4 == 4 && fold(sum(packet, kIpv4Header)) != 0xffff) return false;
  const size_t covered = length - transport;
  return fold(pseudoSum(packet, kTcp, covered) + sum(packet + transport, covered)) == 0xffff;
}

// All of the IP header that one header speaks for when two are merged.
bool sameIp(const uint8_t* a, const uint8_t* b) {
  if (a[0] >> 4 == 4) {
    // Version, TOS; DF; TTL, protocol; addresses. Not length, identification and checksum.
    return a[0] == b[0] && a[1] == b[1] && a[6] == b[6] && a[7] == b[7] && a[8] == b[8] && a[9] == b[9] &&
           std::memcmp(a + 12, b + 12, 8) == 0;
  }
  // Version, class, flow label; next header, hop limit, addresses. Not the length.
  return std::memcmp(a, b, 4) == 0 && std::memcmp(a + 6, b + 6, 34) == 0;
}

}  // namespace

Coalescer::Coalescer(Write write, void* context)
    : write_(write), context_(context), buffer_(new uint8_t[kFront + kMaxPacket + kBack + kMaxPacket]) {}

uint8_t* Coalescer::place(size_t length) {
  if (length_ != 0 && (!open_ || length_ + length > kMaxPacket + headers_)) flush();
  saved_ = length_ == 0 ? 0 : headers_;
  place_ = packet() + length_ - saved_;
  std::memcpy(save_, place_, saved_);
  return place_;
}

void Coalescer::discard() { restore(); }

void Coalescer::commit(size_t length) {
  if (length_ != 0 && append(place_, length)) return;
  if (length_ != 0) {
    // It starts a packet of its own: out of the way first, then the gathered one gets its bytes back.
    uint8_t* aside = packet() + length_ + kBack / 2;
    std::memmove(aside, place_, length);
    restore();
    flush();
    std::memmove(packet(), aside, length);
  }
  begin(length);
  // It waits for nobody.
  if (!open_) flush();
}

void Coalescer::flush() {
  if (length_ == 0) return;
  uint8_t* ip = packet();
  Offload offload{};
  if (count_ > 1) {
    const bool v4 = ip[0] >> 4 == 4;
    if (v4) {
      storeBig16(ip + 2, static_cast<uint16_t>(length_));
      setIpv4Checksum(ip);
    } else {
      storeBig16(ip + 4, static_cast<uint16_t>(length_ - kIpv6Header));
    }
    store<uint16_t>(ip + transport_ + 16, fold(pseudoSum(ip, kTcp, length_ - transport_)));
    offload.flags = Offload::kNeedsChecksum;
    offload.type = v4 ? Offload::kTcp4 : Offload::kTcp6;
    offload.segmentSize = static_cast<uint16_t>(segmentSize_);
    offload.headerLength = static_cast<uint16_t>(headers_);
    offload.checksumStart = static_cast<uint16_t>(transport_);
    offload.checksumOffset = 16;
  }
  uint8_t* start = ip - sizeof offload;
  std::memcpy(start, &offload, sizeof offload);
  if (!write_(context_, start, sizeof offload + length_)) failed_ += count_;
  length_ = 0;
}

uint64_t Coalescer::takeFailed() {
  const uint64_t failed = failed_;
  failed_ = 0;
  return failed;
}

void Coalescer::begin(size_t length) {
  const uint8_t* ip = packet();
  length_ = length;
  count_ = 1;
  open_ = false;
  verified_ = false;
  transport_ = tcpOffset(ip, length);
  if (transport_ == 0) return;
  const uint8_t* tcp = ip + transport_;
  headers_ = transport_ + static_cast<size_t>(tcp[12] >> 4) * 4;
  if (headers_ < transport_ + 20 || headers_ > kMaxHeaders || headers_ >= length || tcp[13] != kAck) return;
  segmentSize_ = length - headers_;
  nextSequence_ = loadBig32(tcp + 4) + static_cast<uint32_t>(segmentSize_);
  open_ = true;
}

bool Coalescer::append(const uint8_t* candidate, size_t length) {
  const uint8_t* first = packet();
  const uint8_t* mine = first + transport_;
  const uint8_t* theirs = candidate + transport_;
  if (candidate[0] != first[0] || tcpOffset(candidate, length) != transport_ || length <= headers_) return false;
  const size_t payload = length - headers_;
  if (payload > segmentSize_ || length_ + payload > kMaxPacket) return false;
  const bool sameFlow = sameIp(first, candidate) && load<uint32_t>(mine) == load<uint32_t>(theirs) &&
                        loadBig32(theirs + 4) == nextSequence_ && load<uint32_t>(mine + 8) == load<uint32_t>(theirs + 8) &&
                        mine[12] == theirs[12] && (theirs[13] & ~kPsh) == kAck &&
                        load<uint16_t>(mine + 14) == load<uint16_t>(theirs + 14) &&
                        std::memcmp(mine + 20, theirs + 20, headers_ - transport_ - 20) == 0;
  if (!sameFlow || !checksumsHold(candidate, transport_, length)) return false;
  const uint8_t push = theirs[13] & kPsh;
  if (!verified_) {
    // Merged packets are handed over as verified ones, so the first has to be, too. The tail of its payload is under the
    // candidate's headers.
    uint8_t headers[kMaxHeaders];
    std::memcpy(headers, candidate, headers_);
    restore();
    verified_ = checksumsHold(first, transport_, length_);
    if (!verified_) {
      std::memcpy(place_, headers, headers_);
      return false;
    }
  } else {
    restore();
  }
  packet()[transport_ + 13] |= push;
  open_ = payload == segmentSize_ && push == 0;
  length_ += payload;
  count_++;
  nextSequence_ += static_cast<uint32_t>(payload);
  return true;
}

void Coalescer::restore() { std::memcpy(place_, save_, saved_); }

}  // namespace pellicle
