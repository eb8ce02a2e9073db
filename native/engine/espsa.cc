#include "espsa.h"

#include "ip.h"

namespace pellicle {
namespace {

constexpr size_t kBlock = 16;
constexpr uint8_t kEsp = 50;
constexpr uint8_t kIpv6Fragment = 44;

bool contains(const Prefix& prefix, const Address& address) {
  if (prefix.address.v6 != address.v6) return false;
  const uint64_t high = prefix.address.high ^ address.high;
  if (prefix.length <= 64) return prefix.length == 0 || high >> (64 - prefix.length) == 0;
  return high == 0 && (prefix.address.low ^ address.low) >> (128 - prefix.length) == 0;
}

}  // namespace

bool contains(const std::vector<Prefix>& prefixes, const Address& address) {
  for (const Prefix& prefix : prefixes) {
    if (contains(prefix, address)) return true;
  }
  return false;
}

OutboundSa::OutboundSa(const EspParameters& given, std::unique_ptr<EspCipher> cipher)
    : parameters(given), cipher_(std::move(cipher)) {}

bool OutboundSa::isOwn(const uint8_t* packet, size_t length) const {
  const EspId& id = parameters.id;
  const bool v4 = packet[0] >> 4 == 4;
  if (v4 != (id.family == 4)) return false;
  const size_t width = v4 ? 4 : 16;
  const uint8_t* addresses = packet + (v4 ? 12 : 8);
  if (std::memcmp(addresses, id.source(), width) != 0 || std::memcmp(addresses + width, id.destination(), width) != 0) {
    return false;
  }
  size_t transport = v4 ? static_cast<size_t>(packet[0] & 15) * 4 : kIpv6Header;
  uint8_t protocol = v4 ? packet[9] : packet[6];
  bool later = v4 && (loadBig16(packet + 6) & 0x1fff) != 0;
  if (!v4 && protocol == kIpv6Fragment && length >= transport + 8) {
    protocol = packet[transport];
    later = (loadBig16(packet + transport + 2) & 0xfff8) != 0;
    transport += 8;
  }
  const EspEncapsulation& ports = parameters.encapsulation;
  if (ports.sourcePort == 0) return protocol == kEsp;
  if (protocol != kUdp || length < transport + 4) return false;
  return later || (loadBig16(packet + transport) == ports.sourcePort &&
                   loadBig16(packet + transport + 2) == ports.destinationPort);
}

bool OutboundSa::due() const {
  return counters.sequence.load(std::memory_order_relaxed) >= limits.dueSequence ||
         counters.blocks.load(std::memory_order_relaxed) >= limits.dueBlocks;
}

bool OutboundSa::expired() const {
  return counters.sequence.load(std::memory_order_relaxed) >= limits.lastSequence ||
         counters.blocks.load(std::memory_order_relaxed) >= limits.lastBlocks;
}

EspDrop OutboundSa::seal(uint8_t* payload, size_t length, uint8_t nextHeader, uint8_t* out, size_t& size) {
  const EspSuite& suite = parameters.suite;
  const size_t padded = paddedLength(suite, length);
  const uint64_t last = counters.sequence.load(std::memory_order_relaxed);
  if (last >= limits.lastSequence) return EspDrop::kOutStateSequence;
  const uint64_t blocks = (padded + kBlock - 1) / kBlock;
  const uint64_t used = counters.blocks.load(std::memory_order_relaxed);
  if (blocks > limits.lastBlocks || used > limits.lastBlocks - blocks) return EspDrop::kOutStateExpired;
  const uint64_t sequence = last + 1;
  // Before anything is sealed: whatever happens, the number is not used again.
  counters.sequence.store(sequence, std::memory_order_relaxed);
  counters.blocks.store(used + blocks, std::memory_order_relaxed);
  writeEspHeader(out, parameters.id.spi, sequence);
  uint8_t behind[kMaxEspTail];
  const size_t tail = padded - length;
  std::memcpy(behind, payload + length, tail);
  writeEspTrailer(payload + length, tail - kEspTrailer, nextHeader);
  const bool sealed = cipher_->seal(sequence, payload, padded, out);
  std::memcpy(payload + length, behind, tail);
  if (!sealed) return EspDrop::kSendFailed;
  add(counters.packets, 1);
  add(counters.bytes, length);
  size = kEspHeader + suite.ivLength + padded + suite.icvLength;
  return EspDrop::kNone;
}

InboundSa::InboundSa(const EspParameters& given, std::unique_ptr<EspCipher> cipher, uint32_t window, uint64_t top)
    : parameters(given), cipher_(std::move(cipher)), window_(window, top) {
  counters.sequence = top;
}

void InboundSa::goOnFrom(uint64_t top) {
  if (top <= window_.top()) return;
  window_ = SequenceWindow(window_.size(), top);
  counters.sequence = top;
}

size_t InboundSa::openedLength(size_t length) const {
  const EspSuite& suite = parameters.suite;
  const size_t around = kEspHeader + suite.ivLength + suite.icvLength;
  return length < around + suite.alignment ? 0 : length - around;
}

EspDrop InboundSa::open(const uint8_t* packet, size_t length, uint8_t* out, EspOpened& opened) {
  const EspSuite& suite = parameters.suite;
  const size_t sealed = openedLength(length);
  if (sealed == 0) return EspDrop::kInHeader;
  uint64_t sequence = loadBig32(packet + 4);
  if (parameters.esn && !window_.recover(static_cast<uint32_t>(sequence), sequence)) return EspDrop::kInStateSequence;
  if (sealed % suite.alignment != 0 || !cipher_->open(sequence, packet, length, out)) return EspDrop::kInStateProtocol;
  size_t payload = 0;
  uint8_t nextHeader = 0;
  if (!readEspTrailer(out, sealed, payload, nextHeader)) return EspDrop::kInStateProtocol;
  if (!window_.accept(sequence)) return EspDrop::kInStateSequence;
  counters.sequence.store(window_.top(), std::memory_order_relaxed);
  add(counters.packets, 1);
  opened.length = 0;
  if (nextHeader == kNextNone) return EspDrop::kNone;
  // What follows the inner packet is padding against traffic analysis (RFC 4303, section 2.7).
  const int version = ipVersion(out, payload);
  if (version == 0 || nextHeader != (version == 4 ? kNextIpv4 : kNextIpv6)) return EspDrop::kInStateMode;
  const size_t stated = statedLength(out);
  if (stated > payload || stated < (version == 4 ? kIpv4Header : kIpv6Header)) return EspDrop::kInStateMode;
  opened.length = stated;
  add(counters.bytes, stated);
  return EspDrop::kNone;
}

bool InboundSa::permits(const uint8_t* inner) const { return contains(sources, sourceOf(inner)); }

}  // namespace pellicle
