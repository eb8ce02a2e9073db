// Security associations in tunnel mode (RFC 4301, 4303): the counter of the one that seals, the window of the one that
// opens. No sockets here: what goes in and out are bytes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "allowedips.h"
#include "endpoint.h"
#include "espcipher.h"
#include "espdrops.h"
#include "esppacket.h"
#include "espwindow.h"

namespace pellicle {

// By what an SA is known: all peers use the same SPI (it is the key id), so by SPI, source and destination together.
struct EspId {
  uint32_t spi = 0;
  uint32_t family = 0;            // 4 or 6
  std::array<uint8_t, 32> addresses{};  // source, destination: 4 or 16 bytes from each start

  uint8_t* source() { return addresses.data(); }
  uint8_t* destination() { return addresses.data() + 16; }
  const uint8_t* source() const { return addresses.data(); }
  const uint8_t* destination() const { return addresses.data() + 16; }
  bool operator==(const EspId& other) const {
    return spi == other.spi && family == other.family && addresses == other.addresses;
  }
};

struct EspIdHash {
  size_t operator()(const EspId& id) const {
    uint64_t hash = id.spi * 0x9e3779b97f4a7c15ull;
    for (size_t at = 0; at < id.addresses.size(); at += 8) {
      hash = (hash ^ load<uint64_t>(id.addresses.data() + at)) * 0xff51afd7ed558ccdull;
      hash ^= hash >> 32;
    }
    return hash;
  }
};

struct EspLimits {
  uint64_t dueSequence = UINT64_MAX;
  uint64_t lastSequence = UINT64_MAX;
  uint64_t dueBlocks = UINT64_MAX;  // of 16 bytes
  uint64_t lastBlocks = UINT64_MAX;
};

// Ports of RFC 3948; 0 for an SA that goes in IP itself.
struct EspEncapsulation {
  uint16_t sourcePort = 0;
  uint16_t destinationPort = 0;
  bool operator==(const EspEncapsulation&) const = default;
};

struct EspParameters {
  EspId id;
  EspSuite suite;
  bool esn = true;
  EspEncapsulation encapsulation;
  // Names the key: SAs that follow each other with the same one go on where the one before stopped.
  std::string keyName;
};

// What the threads tell of an SA; read by anybody.
struct EspCounters {
  std::atomic<uint64_t> sequence{0};  // outbound: the last one used; inbound: the highest one taken
  std::atomic<uint64_t> packets{0};
  std::atomic<uint64_t> bytes{0};  // of inner packets
  std::atomic<uint64_t> blocks{0};
  std::atomic<int64_t> lastUsed{0};  // Clock; 0 is never
  EspDrops drops;
};

// Counters have one writer: plain additions do.
inline void add(std::atomic<uint64_t>& counter, uint64_t value) {
  counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
}

class OutboundSa : public AllowedIpOwner {
 public:
  OutboundSa(const EspParameters& parameters, std::unique_ptr<EspCipher> cipher);

  // Seals `length` bytes at `payload` into `out`, which has room for them and kMaxEspOverhead; `size` is what it took. Up
  // to kMaxEspTail bytes behind the payload are overwritten for a while.
  EspDrop seal(uint8_t* payload, size_t length, uint8_t nextHeader, uint8_t* out, size_t& size);

  size_t sealedLength(size_t payload) const { return pellicle::sealedLength(parameters.suite, payload); }
  // Whether an inner packet is one that this SA has sealed: then the way to the peer leads back into the device, and
  // sealing it again would go on without end.
  bool isOwn(const uint8_t* packet, size_t length) const;
  bool due() const;
  bool expired() const;

  const EspParameters parameters;
  Endpoint to;  // with the source address; the port is 0 without encapsulation
  EspLimits limits;
  EspCounters counters;

 private:
  std::unique_ptr<EspCipher> cipher_;
};

struct EspOpened {
  size_t length = 0;  // of the inner packet; 0 for a dummy packet
};

class InboundSa {
 public:
  InboundSa(const EspParameters& parameters, std::unique_ptr<EspCipher> cipher, uint32_t window, uint64_t top);

  // Bytes that `open` writes for a packet of this length; 0 for one that is too short to be opened.
  size_t openedLength(size_t length) const;

  // Opens a whole ESP packet without its outer header into `out`. kNone when it is good.
  EspDrop open(const uint8_t* packet, size_t length, uint8_t* out, EspOpened& opened);

  // Whether the inner packet comes from where the peer may send from.
  bool permits(const uint8_t* inner) const;

  const EspParameters parameters;
  std::vector<Prefix> sources;
  EspCounters counters;
  uint32_t window() const { return window_.size(); }
  // No number up to `top` is taken any more. Before the first packet.
  void goOnFrom(uint64_t top);
  // What was taken, for an engine that takes over.
  SequenceWindow& sequences() { return window_; }

 private:
  std::unique_ptr<EspCipher> cipher_;
  SequenceWindow window_;
};

bool contains(const std::vector<Prefix>& prefixes, const Address& address);

}  // namespace pellicle
