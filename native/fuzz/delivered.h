// Compares what a coalescer wrote to the device with the packets that it was given: split again, they must be the same.
#pragma once

#include <deque>

#include "../engine/offload.h"
#include "../engine/segment.h"
#include "packets.h"

namespace pellicle::fuzz {

class Delivered {
 public:
  void expect(const Packet& packet) { expected_.push_back(packet); }
  size_t waiting() const { return expected_.size(); }
  uint64_t failed() const { return failed_; }
  void failWrites(bool fail) { fail_ = fail; }

  // The coalescer's Write.
  static bool write(void* context, uint8_t* bytes, size_t length) {
    return static_cast<Delivered*>(context)->take(bytes, length);
  }

 private:
  bool take(const uint8_t* bytes, size_t length) {
    Offload offload;
    REQUIRE(length > sizeof offload && length <= sizeof offload + 65'535);
    std::memcpy(&offload, bytes, sizeof offload);
    Packet packet(bytes + sizeof offload, bytes + length);
    REQUIRE(ipVersion(packet.data(), packet.size()) != 0);
    REQUIRE(statedLength(packet.data()) == packet.size());
    Segments segments(offload, packet.data(), packet.size());
    REQUIRE(segments.valid());
    size_t count = 0;
    for (Slice slice; segments.next(slice); count++) {
      REQUIRE(!expected_.empty());
      same(expected_.front(), Packet(slice.bytes, slice.bytes + slice.length), offload.type != Offload::kNone);
      expected_.pop_front();
    }
    REQUIRE(count > 0);
    if (fail_) failed_ += count;
    return !fail_;
  }

  // Of merged packets the identification of IPv4, and an urgent pointer without its flag, are the first one's, and the
  // checksums that go with them.
  static void same(Packet a, Packet b, bool merged) {
    REQUIRE(a.size() == b.size());
    for (Packet* each : {&a, &b}) {
      if (!merged) break;
      const size_t transport = ipHeaderLength(each->data());
      REQUIRE(transportChecksumHolds(each->data(), transport, kTcp, each->size()));
      setBig16(each->data() + transport + 16, 0);
      setBig16(each->data() + transport + 18, 0);
      if (transport != kIpv4Header) continue;
      REQUIRE(ipv4ChecksumHolds(each->data()));
      setBig16(each->data() + 4, 0);
      setBig16(each->data() + 10, 0);
    }
    REQUIRE(a == b);
  }

  std::deque<Packet> expected_;
  uint64_t failed_ = 0;
  bool fail_ = false;
};

}  // namespace pellicle::fuzz
