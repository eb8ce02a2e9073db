// What an engine that takes over reads from the one before it.
#include "../engine/handover.h"

#include "crypto.h"
#include "engine.h"
#include "espsuites.h"
#include "fuzz.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

std::vector<uint8_t> copyOf(SecretBytes& bytes) { return {bytes.data(), bytes.data() + bytes.size()}; }

// Loaded, saved and loaded again, it is the same.
void wireGuard(const std::vector<uint8_t>& bytes, const std::vector<int>& sockets) {
  Loop loop(nothing(), {}, [] {}, false);
  if (!LoopHandover::load(loop, bytes.data(), bytes.size(), sockets)) return;
  const auto saved = LoopHandover::save(loop);
  Loop again(nothing(), {}, [] {}, false);
  REQUIRE(LoopHandover::load(again, saved->data(), saved->size(), LoopHandover::sockets(loop)));
  REQUIRE(LoopHandover::save(again)->size() == saved->size());
}

void addStates(EspLoop& loop) {
  for (uint32_t i = 0; i < 2; i++) {
    EspParameters parameters;
    parameters.suite = kSuites[i];
    parameters.id.spi = i + 1;
    loop.outbound_[i] = std::make_unique<OutboundSa>(parameters, EspCipher::sealer(kSuites[i], kEspKey, kEspKey, true));
    loop.inbound_[i + 2] = std::make_unique<InboundSa>(parameters, EspCipher::opener(kSuites[i], kEspKey, kEspKey, true), 64, 0);
  }
}

void esp(const std::vector<uint8_t>& bytes, const std::vector<int>& sockets) {
  EspLoop loop(nothing(), 0, [] {}, false);
  addStates(loop);
  if (!EspLoopHandover::loadSockets(loop, bytes.data(), bytes.size(), sockets)) return;
  if (!EspLoopHandover::loadCounters(loop, bytes.data(), bytes.size())) return;
  const auto saved = EspLoopHandover::save(loop);
  EspLoop again(nothing(), 0, [] {}, false);
  addStates(again);
  REQUIRE(EspLoopHandover::loadSockets(again, saved->data(), saved->size(), EspLoopHandover::sockets(loop)));
  REQUIRE(EspLoopHandover::loadCounters(again, saved->data(), saved->size()));
  REQUIRE(copyOf(*EspLoopHandover::save(again)).size() == saved->size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  prepareCrypto();
  Input input(bytes, length);
  const uint8_t order = input.byte();
  // No descriptors that are somebody's.
  const std::vector<int> sockets(order >> 2 & 7, -1);
  const auto rest = input.rest();
  if ((order & 1) != 0) esp(rest, sockets);
  else wireGuard(rest, sockets);
  return 0;
}
