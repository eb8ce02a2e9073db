// Packets on their way to the device: merged, they are still the same packets.
#include "../engine/coalesce.h"

#include "../engine/aead.h"
#include "delivered.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

// As Aead::open does: it writes before and behind, and puts back only what was before.
void fill(uint8_t* place, const Packet& packet, size_t padding) {
  const Packet front(place - Aead::kFront, place);
  std::memset(place - Aead::kFront, 0xee, Aead::kFront);
  std::memcpy(place - Aead::kFront, front.data(), front.size());
  std::memcpy(place, packet.data(), packet.size());
  std::memset(place + packet.size(), 0xee, padding + Aead::kBack);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  Input input(bytes, length);
  Delivered delivered;
  // One for all inputs: its buffer is large. Every input ends with a flush.
  static Coalescer coalescer(&Delivered::write, nullptr);
  coalescer.context_ = &delivered;
  Packet last;
  uint64_t failed = 0;
  for (int orders = 0; orders < 64 && !input.empty(); orders++) {
    const uint8_t order = input.byte();
    if (order < 8) {
      coalescer.flush();
      REQUIRE(delivered.waiting() == 0);
      delivered.failWrites((order & 1) != 0);
      continue;
    }
    const Packet packet = innerPacket(input, last, (order & 1) != 0 ? 65'000 : 1500);
    const size_t padding = order >> 1 & 15;
    fill(coalescer.place(packet.size() + padding), packet, padding);
    if (order < 16) {
      coalescer.discard();
      continue;
    }
    delivered.expect(packet);
    coalescer.commit(packet.size());
    last = packet;
    failed += coalescer.takeFailed();
  }
  coalescer.flush();
  failed += coalescer.takeFailed();
  REQUIRE(delivered.waiting() == 0);
  REQUIRE(failed == delivered.failed());
  return 0;
}
