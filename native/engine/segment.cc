#include "segment.h"

#include <algorithm>

#include "bytes.h"
#include "checksum.h"
#include "ip.h"

namespace pellicle {
namespace {

constexpr size_t kTcpHeader = 20;
constexpr size_t kTcpFlags = 13;
constexpr uint8_t kFin = 0x01;
constexpr uint8_t kPsh = 0x08;
constexpr uint8_t kCwr = 0x80;

size_t checksumOffset(uint8_t protocol) { return protocol == kTcp ? 16 : 6; }

}  // namespace

Segments::Segments(const Offload& offload, uint8_t* packet, size_t length) : packet_(packet), length_(length) {
  const bool partial = (offload.flags & Offload::kNeedsChecksum) != 0;
  if (offload.type != Offload::kNone) {
    whole_ = false;
    valid_ = partial && prepareSplit(offload);
  } else if (partial) {
    const size_t field = static_cast<size_t>(offload.checksumStart) + offload.checksumOffset;
    // Not in the IP header, which was looked at before: a pod may write offload headers of its own (packet(7)).
    const int version = ipVersion(packet, length);
    const size_t ipHeader = version == 4 ? static_cast<size_t>(packet[0] & 15) * 4 : kIpv6Header;
    valid_ = version != 0 && offload.checksumStart >= ipHeader && field + 2 <= length && offload.checksumStart % 2 == 0;
    if (valid_) completeChecksum(offload.checksumStart, field);
  }
  done_ = !valid_;
}

bool Segments::prepareSplit(const Offload& offload) {
  const int version = ipVersion(packet_, length_);
  const uint8_t type = offload.type & ~Offload::kEcn;
  const bool tcp = (type == Offload::kTcp4 && version == 4) || (type == Offload::kTcp6 && version == 6);
  if (!tcp && (type != Offload::kUdp || version == 0)) return false;
  protocol_ = tcp ? kTcp : kUdp;
  transport_ = offload.checksumStart;
  segmentSize_ = offload.segmentSize;
  const size_t ipHeader = version == 4 ? static_cast<size_t>(packet_[0] & 15) * 4 : kIpv6Header;
  if (transport_ < ipHeader || transport_ % 2 != 0 || offload.checksumOffset != checksumOffset(protocol_)) return false;
  if (length_ < transport_ + (tcp ? kTcpHeader : kUdpHeader)) return false;
  // The header's hdr_len is not what it says for forwarded packets: the transport header tells.
  headerLength_ = transport_ + (tcp ? static_cast<size_t>(packet_[transport_ + 12] >> 4) * 4 : kUdpHeader);
  if (tcp && headerLength_ < transport_ + kTcpHeader) return false;
  if (headerLength_ > length_ || headerLength_ > kMaxHeaders || segmentSize_ == 0) return false;
  std::memcpy(headers_, packet_, headerLength_);
  offset_ = headerLength_;
  return true;
}

bool Segments::next(Slice& slice) {
  if (done_) return false;
  if (whole_) {
    slice = {packet_, length_};
    done_ = true;
    return true;
  }
  const size_t payload = std::min(segmentSize_, length_ - offset_);
  const bool last = offset_ + payload == length_;
  // Over the tail of the slice before, which is sealed by now.
  uint8_t* ip = packet_ + offset_ - headerLength_;
  std::memcpy(ip, headers_, headerLength_);
  const size_t total = headerLength_ + payload;
  if (ip[0] >> 4 == 4) {
    storeBig16(ip + 2, static_cast<uint16_t>(total));
    storeBig16(ip + 4, static_cast<uint16_t>(loadBig16(headers_ + 4) + index_));
    setIpv4Checksum(ip);
  } else {
    storeBig16(ip + 4, static_cast<uint16_t>(total - kIpv6Header));
  }
  uint8_t* transport = ip + transport_;
  if (protocol_ == kTcp) {
    storeBig32(transport + 4, loadBig32(headers_ + transport_ + 4) + static_cast<uint32_t>(offset_ - headerLength_));
    if (!last) transport[kTcpFlags] &= static_cast<uint8_t>(~(kFin | kPsh));
    if (index_ > 0) transport[kTcpFlags] &= static_cast<uint8_t>(~kCwr);
  } else {
    storeBig16(transport + 4, static_cast<uint16_t>(total - transport_));
  }
  uint8_t* field = transport + checksumOffset(protocol_);
  store<uint16_t>(field, 0);
  const size_t covered = total - transport_;
  const auto checksum = static_cast<uint16_t>(~fold(pseudoSum(ip, protocol_, covered) + sum(transport, covered)));
  store<uint16_t>(field, checksum == 0 && protocol_ == kUdp ? 0xffff : checksum);
  slice = {ip, total};
  offset_ += payload;
  index_++;
  done_ = last;
  return true;
}

// The field holds the sum of the pseudo-header (virtio 1.2, section 5.1.6.2).
void Segments::completeChecksum(size_t start, size_t field) {
  const auto checksum = static_cast<uint16_t>(~fold(sum(packet_ + start, length_ - start)));
  const bool udp = field - start == checksumOffset(kUdp);
  store<uint16_t>(packet_ + field, checksum == 0 && udp ? 0xffff : checksum);
}

}  // namespace pellicle
