// IP packets as the targets need them: made, mended, and checked in the plainest way.
#pragma once

#include <vector>

#include "../engine/bytes.h"
#include "../engine/ip.h"
#include "../engine/offload.h"
#include "fuzz.h"

namespace pellicle::fuzz {

using Packet = std::vector<uint8_t>;

// RFC 1071, two bytes at a time.
inline uint16_t plainSum(const uint8_t* bytes, size_t length, uint32_t sum = 0) {
  for (size_t i = 0; i < length; i++) {
    sum += i % 2 == 0 ? static_cast<uint32_t>(bytes[i]) << 8 : bytes[i];
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

inline uint16_t pseudoHeader(const uint8_t* ip, uint8_t protocol, size_t length) {
  uint32_t sum = ip[0] >> 4 == 4 ? plainSum(ip + 12, 8) : plainSum(ip + 8, 32);
  sum += protocol + static_cast<uint32_t>(length & 0xffff) + static_cast<uint32_t>(length >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

inline size_t ipHeaderLength(const uint8_t* ip) {
  return ip[0] >> 4 == 4 ? static_cast<size_t>(ip[0] & 15) * 4 : kIpv6Header;
}

inline bool ipv4ChecksumHolds(const uint8_t* ip) { return plainSum(ip, ipHeaderLength(ip)) == 0xffff; }

inline bool transportChecksumHolds(const uint8_t* ip, size_t transport, uint8_t protocol, size_t length) {
  return plainSum(ip + transport, length - transport, pseudoHeader(ip, protocol, length - transport)) == 0xffff;
}

inline void setBig16(uint8_t* at, size_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

// Gives it the length that it has, and checksums of IPv4 and, with a whole TCP header right behind, TCP.
inline void mend(Packet& packet, bool checksums) {
  const bool v4 = packet[0] >> 4 == 4;
  if (v4) setBig16(&packet[2], packet.size());
  else setBig16(&packet[4], packet.size() - kIpv6Header);
  if (!checksums) return;
  const size_t transport = ipHeaderLength(packet.data());
  const uint8_t protocol = v4 ? packet[9] : packet[6];
  if (protocol == kTcp && packet.size() >= transport + 20) {
    setBig16(&packet[transport + 16], 0);
    const size_t covered = packet.size() - transport;
    setBig16(&packet[transport + 16],
             0xffff ^ plainSum(&packet[transport], covered, pseudoHeader(packet.data(), kTcp, covered)));
  }
  if (v4 && packet.size() >= transport) {
    setBig16(&packet[10], 0);
    setBig16(&packet[10], 0xffff ^ plainSum(packet.data(), transport));
  }
}

// One that a stream of them may follow.
inline Packet tcpPacket(bool v6, size_t payload, uint8_t fill) {
  const size_t transport = v6 ? kIpv6Header : kIpv4Header;
  Packet packet(transport + 20 + payload, fill);
  std::fill(packet.begin(), packet.begin() + static_cast<ptrdiff_t>(transport + 20), 0);
  packet[0] = v6 ? 0x60 : 0x45;
  if (v6) {
    packet[6] = kTcp;
    packet[7] = 64;
    packet[8] = packet[24] = 0xfd;
    packet[23] = 1;
    packet[39] = 2;
  } else {
    packet[6] = 0x40;
    packet[8] = 64;
    packet[9] = kTcp;
    packet[12] = packet[16] = 10;
    packet[15] = 1;
    packet[19] = 2;
  }
  packet[transport + 1] = 80;
  packet[transport + 3] = 81;
  packet[transport + 12] = 0x50;
  packet[transport + 13] = 0x10;
  mend(packet, true);
  return packet;
}

// What follows `before` in its stream, as far as `before` is of one.
inline Packet following(const Packet& before, size_t payload, uint8_t fill, uint8_t flags) {
  const size_t transport = ipHeaderLength(before.data());
  if (before.size() < transport + 20) return tcpPacket(before[0] >> 4 == 6, payload, fill);
  const size_t headers = transport + std::max<size_t>(5, before[transport + 12] >> 4) * 4;
  if (headers > before.size()) return tcpPacket(before[0] >> 4 == 6, payload, fill);
  Packet packet(before.begin(), before.begin() + static_cast<ptrdiff_t>(headers));
  packet.resize(headers + payload, fill);
  storeBig32(&packet[transport + 4],
             loadBig32(&packet[transport + 4]) + static_cast<uint32_t>(before.size() - headers));
  packet[transport + 13] = flags;
  if (packet[0] >> 4 == 4) packet[5]++;
  mend(packet, true);
  return packet;
}

// A packet that a tunnel may carry: of a stream that goes on, or whatever the fuzzer likes, cut or filled to be one.
inline Packet innerPacket(Input& input, const Packet& before, size_t most) {
  const uint8_t kind = input.byte();
  const size_t size = input.upTo(most);
  if ((kind & 3) == 0) {
    Packet packet = input.bytes(size);
    const bool v6 = (kind & 4) != 0;
    if (packet.size() < (v6 ? kIpv6Header : kIpv4Header)) packet.resize(v6 ? kIpv6Header : kIpv4Header);
    packet[0] = v6 ? 0x60 | (packet[0] & 15) : 0x40 | std::max(5, packet[0] & 15);
    mend(packet, (kind & 8) != 0);
    return packet;
  }
  const size_t payload = std::min(size, most - 120);
  Packet packet = (kind & 3) == 1 || before.empty() ? tcpPacket((kind & 4) != 0, payload, input.byte())
                                                    : following(before, payload, input.byte(), (kind & 8) != 0 ? 0x18 : 0x10);
  // Now and then one byte of the headers is another.
  if ((kind & 0xf0) == 0xf0) {
    const size_t at = input.upTo(99) % packet.size();
    const uint8_t change = input.byte();
    const bool keepsVersion = at != 0 || (packet[0] >> 4 == 4 && ((packet[0] ^ change) >> 4) == 4 && ((packet[0] ^ change) & 15) >= 5);
    if (keepsVersion) packet[at] ^= change;
    mend(packet, (input.byte() & 1) != 0);
  }
  return packet;
}

// An offload header that fits the packet, if that is long enough.
inline Offload fitting(const Packet& packet, bool udp, uint16_t segment) {
  const bool v6 = packet[0] >> 4 == 6;
  return {Offload::kNeedsChecksum,
          udp ? Offload::kUdp : v6 ? Offload::kTcp6 : Offload::kTcp4,
          0,
          std::max<uint16_t>(segment, 200),
          static_cast<uint16_t>(ipHeaderLength(packet.data())),
          static_cast<uint16_t>(udp ? 6 : 16)};
}

}  // namespace pellicle::fuzz
