// What the TUN device hands over: an offload header and a packet that may not fit it.
#include "../engine/segment.h"

#include "packets.h"

using namespace pellicle;
using namespace pellicle::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  Input input(bytes, length);
  auto offload = input.take<Offload>();
  const Packet original = input.rest();
  if (original.empty() || original.size() > 65'535) return 0;
  // Headers that fit are rare otherwise.
  if ((offload.flags & 0xf0) == 0x50 && ipVersion(original.data(), original.size()) != 0) {
    offload = fitting(original, (offload.flags & 2) != 0, offload.segmentSize);
  }
  const std::unique_ptr<uint8_t[]> packet(new uint8_t[original.size()]);
  std::memcpy(packet.get(), original.data(), original.size());
  Segments segments(offload, packet.get(), original.size());
  Slice slice;
  if (!segments.valid()) {
    REQUIRE(!segments.next(slice));
    return 0;
  }
  const bool split = offload.type != Offload::kNone;
  const size_t transport = offload.checksumStart;
  const bool tcp = (offload.type & ~Offload::kEcn) != Offload::kUdp;
  Packet payload;
  size_t headers = 0;
  for (size_t count = 0; segments.next(slice); count++) {
    REQUIRE(slice.bytes >= packet.get() && slice.bytes + slice.length <= packet.get() + original.size());
    if (!split) {
      REQUIRE(count == 0 && slice.length == original.size());
      const bool ip = ipVersion(original.data(), original.size()) != 0;
      // What was looked at in the header is what leaves.
      if (ip) REQUIRE(std::equal(slice.bytes, slice.bytes + std::min(ipHeaderLength(original.data()), original.size()), original.begin()));
      continue;
    }
    REQUIRE(ipVersion(slice.bytes, slice.length) != 0 && statedLength(slice.bytes) == slice.length);
    if (slice.bytes[0] >> 4 == 4) REQUIRE(ipv4ChecksumHolds(slice.bytes));
    REQUIRE(transportChecksumHolds(slice.bytes, transport, tcp ? kTcp : kUdp, slice.length));
    headers = transport + (tcp ? static_cast<size_t>(slice.bytes[transport + 12] >> 4) * 4 : 8);
    REQUIRE(slice.length <= headers + offload.segmentSize);
    payload.insert(payload.end(), slice.bytes + headers, slice.bytes + slice.length);
    // As the sender does: what is behind the slice changes, and is as before in time.
    uint8_t* behind = slice.bytes + slice.length;
    const size_t room = std::min<size_t>(15, static_cast<size_t>(packet.get() + original.size() - behind));
    const Packet saved(behind, behind + room);
    std::memset(behind, 0, room);
    std::copy(saved.begin(), saved.end(), behind);
  }
  if (split) REQUIRE(payload == Packet(original.begin() + static_cast<ptrdiff_t>(headers), original.end()));
  return 0;
}
