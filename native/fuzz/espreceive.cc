// What comes in by raw sockets and UDP ports for ESP: anything, and packets of peers that lie inside.
#include "../engine/espreceive.h"

#include <sanitizer/asan_interface.h>

#include <set>

#include "crypto.h"
#include "delivered.h"
#include "engine.h"
#include "espsuites.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

constexpr uint32_t kWindow = 64;

// What the raw socket has.
struct Waiting {
  const std::vector<uint8_t>* bytes = nullptr;
  const std::vector<uint8_t>* control = nullptr;
  int flags = 0;
  std::vector<iovec> rooms;  // where it went
} waiting;

struct State {
  EspParameters parameters;
  std::unique_ptr<EspCipher> sealer;
  InboundSa* sa = nullptr;
  std::set<uint64_t> taken;
};

// One for all inputs: its buffers are large.
EspReceiver& receiverOf(EspLoop& loop) {
  static EspReceiver receiver(loop);
  return receiver;
}

class Wire {
 public:
  Wire(EspLoop& loop, Input& input) : loop_(loop), receiver_(receiverOf(loop)) {
    receiver_.last_ = nullptr;
    receiver_.coalescer_.length_ = 0;
    receiver_.coalescer_.write_ = &Delivered::write;
    receiver_.coalescer_.context_ = &delivered_;
    EspChange change;
    for (uint32_t i = 0; i < kSuites.size(); i++) {
      EspParameters& parameters = states_[i].parameters;
      parameters.suite = kSuites[i];
      parameters.id.spi = i + 1;
      parameters.id.family = i == 1 ? 6 : 4;
      parameters.id.source()[0] = 1;
      parameters.id.destination()[0] = 2;
      parameters.esn = (i & 2) != 0;
      parameters.encapsulation.destinationPort = i == 3 ? 4500 : 0;
      states_[i].sealer = EspCipher::sealer(parameters.suite, kEspKey, kEspKey, parameters.esn);
      auto sa = std::make_unique<InboundSa>(parameters, EspCipher::opener(parameters.suite, kEspKey, kEspKey, parameters.esn), kWindow, 0);
      states_[i].sa = sa.get();
      const uint8_t ten[16] = {10};
      const uint8_t private6[16] = {0xfd};
      if (i != 1) sa->sources = {{addressV4(ten), 8}, {addressV6(private6), 8}};
      loop.byId_[parameters.id] = sa.get();
      loop.inbound_[i + 1] = std::move(sa);
    }
    const uint8_t any[16] = {};
    loop.local_ = {{addressV4(any), 1}, {addressV6(any), 0}};
    receiver_.now_ = 1 + input.byte();
  }
  ~Wire() {
    loop_.byId_.clear();
    loop_.inbound_.clear();
  }

  // By a raw socket, for which __wrap_recvmmsg stands.
  void arriveRaw(const std::vector<uint8_t>& bytes, bool v6, const std::vector<uint8_t>& control, int flags) {
    receiver_.last_ = nullptr;
    waiting = {&bytes, &control, flags};
    receiver_.receiveRaw(INT32_MAX, v6);
    for (const iovec& room : waiting.rooms) ASAN_UNPOISON_MEMORY_REGION(room.iov_base, room.iov_len);
  }

  void arriveUdp(const State& state, const std::vector<uint8_t>& bytes, size_t segment) {
    receiver_.last_ = nullptr;
    Endpoint from;
    REQUIRE(from.parse("0.0.0.0", state.parameters.encapsulation.sourcePort));
    std::memcpy(&from.v4.sin_addr, state.parameters.id.source(), 4);
    std::memcpy(&from.source, state.parameters.id.destination(), 4);
    waitingTrains().push_back({from, segment, bytes});
    receiver_.receiveUdp(INT32_MAX, 4500);
    REQUIRE(waitingTrains().empty());
  }

  void arrive(const State& state, const std::vector<uint8_t>& bytes) {
    if (state.parameters.encapsulation.destinationPort != 0) return arriveUdp(state, bytes, bytes.size());
    // Exactly as long as it is.
    const std::unique_ptr<uint8_t[]> copy(new uint8_t[bytes.size()]);
    std::copy(bytes.begin(), bytes.end(), copy.get());
    EspId id = state.parameters.id;
    receiver_.handle(copy.get(), bytes.size(), id, state.parameters.encapsulation.destinationPort);
  }

  // One packet with what the fuzzer likes inside, whose trailer may be wrong, too.
  void message(Input& input) {
    const uint8_t order = input.byte();
    State& state = states_[order % kSuites.size()];
    const EspSuite& suite = state.parameters.suite;
    const uint64_t top = state.sa->window_.top();
    uint64_t sequence = (order & 8) != 0 ? top + 1 + input.byte() : (order & 16) != 0 ? top - input.byte() : input.take<uint64_t>();
    if (!state.parameters.esn) sequence &= 0xffffffff;
    Packet plain = (order & 32) != 0 ? input.bytes(input.upTo(1500)) : innerPacket(input, last_, (order & 64) != 0 ? 60'000 : 1500);
    uint8_t nextHeader = !plain.empty() && plain[0] >> 4 == 6 ? kNextIpv6 : kNextIpv4;
    plain.resize(plain.size() + (input.byte() & 7));  // against traffic analysis
    const size_t payload = plain.size();
    plain.resize(paddedLength(suite, payload));
    writeEspTrailer(plain.data() + payload, plain.size() - payload - kEspTrailer, nextHeader);
    if ((order & 0x80) != 0) {
      const uint8_t change = input.byte();
      uint8_t* tail = plain.data() + plain.size() - 1;
      if ((change & 1) != 0) *tail = input.byte();
      if ((change & 2) != 0) tail[-1] = input.byte();
      if ((change & 4) != 0) *(plain.data() + plain.size() - 1 - input.upTo(20) % plain.size()) ^= input.byte();
    }
    std::vector<uint8_t> packet(kEspHeader + suite.ivLength + plain.size() + suite.icvLength);
    writeEspHeader(packet.data(), state.parameters.id.spi, sequence);
    REQUIRE(state.sealer->seal(sequence, plain.data(), plain.size(), packet.data()));
    if ((order & 0xc0) == 0xc0) {
      const size_t at = input.upTo(65'535) % packet.size();
      const uint8_t change = input.byte();
      packet[at] ^= change;
      if (change == 0) expect(state, sequence, plain);
    } else {
      expect(state, sequence, plain);
    }
    arrive(state, packet);
  }

  State& state(size_t index) { return states_[index % kSuites.size()]; }

  void flush() {
    receiver_.coalescer_.flush();
    REQUIRE(delivered_.waiting() == 0);
  }

 private:
  void expect(State& state, uint64_t sequence, const Packet& plain) {
    const uint64_t top = state.sa->window_.top();
    uint64_t full = sequence & 0xffffffff;
    if (state.parameters.esn && !state.sa->window_.recover(static_cast<uint32_t>(sequence), full)) return;
    if (full != sequence) return;  // sealed for another high half
    const size_t padding = plain[plain.size() - 2];
    if (padding + kEspTrailer > plain.size()) return;
    const size_t payload = plain.size() - kEspTrailer - padding;
    for (size_t i = 0; i < padding; i++) {
      if (plain[payload + i] != i + 1) return;
    }
    if (sequence == 0 || (sequence <= top && top - sequence >= kWindow) || state.taken.contains(sequence)) return;
    state.taken.insert(sequence);
    const uint8_t nextHeader = plain.back();
    const int version = ipVersion(plain.data(), payload);
    if (version == 0 || nextHeader != (version == 4 ? kNextIpv4 : kNextIpv6)) return;
    const size_t stated = statedLength(plain.data());
    if (stated > payload || stated < (version == 4 ? kIpv4Header : kIpv6Header)) return;
    if (state.sa->sources.empty()) return;
    if (version == 4 ? plain[12] != 10 || plain[16] >= 0x80 : plain[8] != 0xfd) return;
    last_ = Packet(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(stated));
    delivered_.expect(last_);
  }

  EspLoop& loop_;
  EspReceiver& receiver_;
  Delivered delivered_;
  State states_[kSuites.size()];
  Packet last_;
};

}  // namespace

extern "C" int __wrap_recvmmsg(int, mmsghdr* messages, unsigned, int, timespec*) {
  if (waiting.bytes == nullptr) return -1;
  msghdr& message = messages[0].msg_hdr;
  size_t at = 0;
  for (size_t i = 0; i < message.msg_iovlen; i++) {
    const iovec& room = message.msg_iov[i];
    const size_t part = std::min(room.iov_len, waiting.bytes->size() - at);
    std::copy_n(waiting.bytes->begin() + static_cast<ptrdiff_t>(at), part, static_cast<uint8_t*>(room.iov_base));
    at += part;
    // What was not received may not be read.
    ASAN_POISON_MEMORY_REGION(static_cast<uint8_t*>(room.iov_base) + part, room.iov_len - part);
    waiting.rooms.push_back(room);
  }
  messages[0].msg_len = static_cast<unsigned>(at);
  message.msg_flags = at < waiting.bytes->size() ? MSG_TRUNC : waiting.flags;
  message.msg_controllen = std::min(message.msg_controllen, waiting.control->size());
  std::copy_n(waiting.control->begin(), message.msg_controllen, static_cast<uint8_t*>(message.msg_control));
  waiting.bytes = nullptr;
  return 1;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  prepareCrypto();
  Input input(bytes, length);
  Wire wire(quietEspLoop(), input);
  for (int orders = 0; orders < 64 && !input.empty(); orders++) {
    const uint8_t order = input.byte();
    if ((order & 7) == 0) {
      wire.flush();
    } else if ((order & 7) == 1) {
      auto raw = input.bytes(input.upTo(2000));
      if ((order & 16) != 0) raw.resize(60'000);
      wire.arriveRaw(raw, false, {}, (order & 8) != 0 ? MSG_TRUNC : 0);
    } else if ((order & 7) == 2) {
      in6_pktinfo info{};
      info.ipi6_addr.s6_addr[0] = 2;
      std::vector<uint8_t> control(CMSG_SPACE(sizeof info));
      auto* header = reinterpret_cast<cmsghdr*>(control.data());
      header->cmsg_level = IPPROTO_IPV6;
      header->cmsg_type = IPV6_PKTINFO;
      header->cmsg_len = CMSG_LEN(sizeof info);
      std::memcpy(CMSG_DATA(header), &info, sizeof info);
      if ((order & 8) != 0) control.clear();
      auto raw = input.bytes(input.upTo(2000));
      if ((order & 16) != 0) raw.resize(60'000);
      wire.arriveRaw(raw, true, control, 0);
    } else if ((order & 7) == 3) {
      // With the SPI of a state, of any length.
      auto raw = input.bytes(input.upTo(200));
      State& state = wire.state(order >> 3);
      if (raw.size() >= 4) storeBig32(raw.data(), state.parameters.id.spi);
      if ((order & 0x40) != 0) wire.arriveUdp(state, raw, order >> 3);
      else wire.arrive(state, raw);
    } else {
      wire.message(input);
    }
  }
  wire.flush();
  return 0;
}
