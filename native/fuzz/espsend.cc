// What the TUN device hands over to ESP's sender: what leaves can be opened, and is what Segments make of it.
#include "../engine/espsend.h"

#include <deque>

#include "crypto.h"
#include "engine.h"
#include "espsuites.h"
#include "packets.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

struct Expected {
  Packet packet;
  uint8_t nextHeader;
};

struct State {
  OutboundSa* sa = nullptr;
  std::unique_ptr<InboundSa> opener;
  std::deque<Expected> expected;
};

// One for all inputs: its buffers are large. Every input ends with a flush.
EspSender& senderOf(EspLoop& loop) {
  static EspSender sender(loop);
  return sender;
}

class Device;
Device* device = nullptr;

class Device {
 public:
  Device(EspLoop& loop, Input& input) : loop_(loop), sender_(senderOf(loop)) {
    device = this;
    sentTrains().clear();
    auto sockets = std::make_shared<EspSockets>();
    sockets->raw4 = (input.byte() & 15) == 0 ? -1 : INT32_MAX;
    sockets->raw6 = INT32_MAX - 1;
    auto udp = std::make_shared<UdpSockets>();
    udp->v4 = udp->v6 = INT32_MAX;
    udp->port = 4500;
    sockets->udp.push_back(udp);
    loop.sockets_ = sockets;
    for (uint32_t i = 0; i < kSuites.size(); i++) {
      EspParameters parameters;
      parameters.suite = kSuites[i];
      parameters.id.spi = i + 1;
      parameters.id.family = i == 2 ? 6 : 4;
      parameters.id.source()[0] = 10;
      parameters.id.destination()[0] = static_cast<uint8_t>(i << 6);
      parameters.id.destination()[1] = 1;
      parameters.esn = (i & 2) != 0;
      if (i == 3) parameters.encapsulation = {4500, 4500};
      auto sa = std::make_unique<OutboundSa>(parameters, EspCipher::sealer(parameters.suite, kEspKey, kEspKey, parameters.esn));
      REQUIRE(sa->to.parse(i == 2 ? "2001:db8::1" : "192.0.2.1", i == 3 ? 4500 : 0));
      const uint8_t last = input.byte();
      if (last < 64) sa->limits.lastSequence = last;
      else if (last < 128) sa->limits.lastBlocks = last * 16;
      if (last == 255) sa->counters.sequence = 0xfffffff0;
      if (last == 255 && !parameters.esn) sa->limits.lastSequence = UINT32_MAX;
      states_[i].sa = sa.get();
      states_[i].opener = std::make_unique<InboundSa>(
          parameters, EspCipher::opener(parameters.suite, kEspKey, kEspKey, parameters.esn), 64, sa->counters.sequence);
      // By the first two bits of the destination.
      uint8_t prefix[16] = {static_cast<uint8_t>(i << 6)};
      loop.policies_.insert({addressV4(prefix), 2}, sa.get());
      loop.policies_.insert({addressV6(prefix), 2}, sa.get());
      loop.outbound_[i + 1] = std::move(sa);
    }
  }
  ~Device() {
    for (State& state : states_) loop_.policies_.removeAll(state.sa);
    loop_.outbound_.clear();
    loop_.probes_.clear();
    loop_.sockets_->raw4 = loop_.sockets_->raw6 = -1;
  }

  void handle(const Offload& offload, const Packet& packet) {
    uint8_t* place = sender_.packet();
    std::memcpy(place, packet.data(), packet.size());
    foresee(offload, packet);
    sender_.handle(offload, place, packet.size());
  }

  // As the outer packets of a state are.
  void address(Packet& packet, size_t index, uint8_t protocol) {
    if (ipVersion(packet.data(), packet.size()) == 0) return;
    const EspId& id = states_[index].sa->parameters.id;
    const bool v4 = packet[0] >> 4 == 4;
    std::memcpy(&packet[v4 ? 12 : 8], id.source(), v4 ? 4 : 16);
    std::memcpy(&packet[v4 ? 16 : 24], id.destination(), v4 ? 4 : 16);
    constexpr uint8_t kProtocols[] = {50, 17, 44};
    packet[v4 ? 9 : 6] = kProtocols[protocol % 3];
  }

  void probe(uint32_t state) {
    loop_.probe(state);
    State* mine = state > 0 && state <= kSuites.size() ? &states_[state - 1] : nullptr;
    if (mine != nullptr) mine->expected.push_back({{}, kNextNone});
    sender_.handleRequests();
  }

  void flush() {
    sender_.flush();
    for (const SentTrain& train : sentTrains()) {
      for (size_t at = 0; at < train.bytes.size(); at += train.segment) {
        check(train.bytes.data() + at, std::min(train.segment, train.bytes.size() - at));
      }
    }
    sentTrains().clear();
  }

  void check(const uint8_t* packet, size_t length) {
    REQUIRE(length > kEspHeader);
    const uint32_t spi = loadBig32(packet);
    REQUIRE(spi >= 1 && spi <= kSuites.size());
    State& state = states_[spi - 1];
    const uint64_t top = state.opener->window_.top();
    const size_t room = state.opener->openedLength(length);
    REQUIRE(room > 0);
    const std::unique_ptr<uint8_t[]> opened(new uint8_t[room]);
    EspOpened result;
    const EspDrop reason = state.opener->open(packet, length, opened.get(), result);
    // A device gives what is no whole IP packet of its stated length never; the fuzzer does.
    REQUIRE(reason == EspDrop::kNone || reason == EspDrop::kInStateMode);
    REQUIRE(state.opener->window_.top() == top + 1);
    REQUIRE(top + 1 <= state.sa->limits.lastSequence);
    // Some were let go: by the limits, for their length, or for want of a socket.
    while (!state.expected.empty() && !matches(state.expected.front(), opened.get(), room)) state.expected.pop_front();
    REQUIRE(!state.expected.empty());
    state.expected.pop_front();
  }

 private:
  void foresee(const Offload& offload, Packet packet) {
    const int version = ipVersion(packet.data(), packet.size());
    if (version == 0) return;
    auto* sa = static_cast<OutboundSa*>(loop_.policies_.lookup(destinationOf(packet.data())));
    if (sa == nullptr) return;
    Segments segments(offload, packet.data(), packet.size());
    State& state = states_[sa->parameters.id.spi - 1];
    for (Slice slice; segments.next(slice);) {
      state.expected.push_back({{slice.bytes, slice.bytes + slice.length}, version == 4 ? kNextIpv4 : kNextIpv6});
    }
  }

  static bool matches(const Expected& expected, const uint8_t* opened, size_t length) {
    size_t payload = 0;
    uint8_t nextHeader = 0;
    REQUIRE(readEspTrailer(opened, length, payload, nextHeader));
    return payload == expected.packet.size() && nextHeader == expected.nextHeader &&
           std::equal(expected.packet.begin(), expected.packet.end(), opened);
  }

  EspLoop& loop_;
  EspSender& sender_;
  State states_[kSuites.size()];
};

}  // namespace

extern "C" int __wrap_sendmmsg(int, mmsghdr* messages, unsigned count, int) {
  REQUIRE(count > 0 && count <= RawBatch::kMost);
  for (unsigned i = 0; i < count; i++) {
    const msghdr& message = messages[i].msg_hdr;
    REQUIRE(message.msg_iovlen == 1 && message.msg_namelen > 0);
    device->check(static_cast<const uint8_t*>(message.msg_iov->iov_base), message.msg_iov->iov_len);
  }
  return static_cast<int>(count);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  prepareCrypto();
  Input input(bytes, length);
  Device tun(quietEspLoop(), input);
  for (int orders = 0; orders < 64 && !input.empty(); orders++) {
    const uint8_t order = input.byte();
    if ((order & 15) == 0) {
      tun.flush();
    } else if ((order & 15) == 1) {
      tun.probe(order >> 4);
    } else {
      Offload offload = input.take<Offload>();
      if ((order & 16) != 0) offload = {};
      Packet packet = (order & 32) != 0 ? innerPacket(input, {}, 65'000) : input.bytes(input.upTo(65'535));
      if ((order & 0xc0) == 0x40 && packet.size() > 60) {
        offload = fitting(packet, (order & 8) != 0, offload.segmentSize);
      }
      if (packet.size() > 16) packet[16] = static_cast<uint8_t>(packet[16] ^ order << 6);
      if ((order & 12) == 12) tun.address(packet, order >> 4 & 3, input.byte());
      if (!packet.empty()) tun.handle(offload, packet);
    }
  }
  tun.flush();
  return 0;
}
