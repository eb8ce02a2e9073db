// Datagrams as they come off the wire to WireGuard's port: anything, and data messages of peers that lie inside.
#include "../engine/receive.h"

#include <set>

#include "crypto.h"
#include "delivered.h"
#include "engine.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

constexpr uint64_t kRejectAfter = 1 << 20;

// A keypair as both ends have it, and what we know of it.
struct Session {
  Session(Peer* owner, uint32_t index, bool initiator, int64_t created)
      : peer(owner), localIndex(index), key{static_cast<uint8_t>(index)}, usable(created > 0) {
    loop().installKeypair(std::make_unique<Keypair>(owner, index, index + 1, key, key, initiator, created));
  }
  static Loop& loop() { return quietLoop({1, kRekeyAfterMessages, kRejectAfter}); }

  Peer* peer;
  uint32_t localIndex;
  uint8_t key[kKeySize];
  bool usable;
  std::set<uint64_t> taken;
};

// One for all inputs: its buffers are large.
Receiver& receiverOf(Loop& loop) {
  static Receiver receiver(loop, false);
  return receiver;
}

class Wire {
 public:
  explicit Wire(Loop& loop) : loop_(loop), receiver_(receiverOf(loop)) {
    receiver_.coalescer_.length_ = 0;
    receiver_.coalescer_.write_ = &Delivered::write;
    receiver_.coalescer_.context_ = &delivered_;
    const int64_t now = loop.clock().now();
    for (Peer*& peer : peers_) peer = loop.addPeer();
    const uint8_t ten[16] = {10};
    const uint8_t private6[16] = {0xfd};
    loop.allowedIps_.insert({addressV4(ten), 8}, peers_[0]);
    loop.allowedIps_.insert({addressV6(private6), 8}, peers_[1]);
    // Expired, current, and next, to be confirmed by what comes.
    sessions_.reserve(4);
    sessions_.emplace_back(peers_[0], 0x10, true, -kRejectAfterMs);
    sessions_.emplace_back(peers_[0], 0x20, true, now);
    sessions_.emplace_back(peers_[0], 0x30, false, now);
    // So old that new keys are asked for.
    sessions_.emplace_back(peers_[1], 0x40, true, now - kRekeyOnReceiveAfterMs);
  }
  ~Wire() {
    for (Peer* peer : peers_) loop_.removePeer(peer->id);
    loop_.takeReleased();
    loop_.outbox_.takePeers();
    loop_.requests_.clear();
    for (Handshake handshake; loop_.outbox_.takeHandshake(handshake);) {
      REQUIRE(handshake.length == kInitiationSize || handshake.length == kResponseSize ||
              handshake.length == kCookieReplySize);
    }
  }

  void arrive(const std::vector<uint8_t>& bytes, size_t segment) {
    Arrival& arrival = receiver_.arrival_;
    std::copy(bytes.begin(), bytes.end(), arrival.bytes());
    arrival.length = bytes.size();
    arrival.segment = segment;
    // Peers move.
    REQUIRE(arrival.from.parse((bytes.size() & 1) != 0 ? "192.0.2.1" : "192.0.2.2", 51820));
    receiver_.handleTrain();
  }

  // One data message with what the fuzzer likes inside; now and then a bit of it is wrong.
  std::vector<uint8_t> message(Input& input) {
    const uint8_t order = input.byte();
    Session& session = sessions_[order & 3];
    const uint64_t counter = (order & 4) != 0 ? input.take<uint64_t>() : (order & 8) != 0 ? kRejectAfter - input.byte() : input.take<uint16_t>();
    Packet inner;
    if ((order & 16) == 0) inner = innerPacket(input, last_, (order & 32) != 0 ? 60'000 : 1500);
    else inner = input.bytes(input.upTo(1500));
    const size_t padding = input.byte() & 31;
    std::vector<uint8_t> plain(Aead::kFront + inner.size() + padding + Aead::kBack);
    std::copy(inner.begin(), inner.end(), plain.begin() + Aead::kFront);
    const size_t length = inner.size() + padding;
    std::vector<uint8_t> out(Aead::kFront + kDataHeaderSize + length + kTagSize + Aead::kBack);
    uint8_t* datagram = out.data() + Aead::kFront;
    store<uint32_t>(datagram, kData);
    store(datagram + 4, session.localIndex);
    store(datagram + 8, counter);
    Aead sealer(session.key);
    REQUIRE(sealer.seal(counter, plain.data() + Aead::kFront, length, datagram + kDataHeaderSize));
    std::vector<uint8_t> result(datagram, datagram + length + kDataOverhead);
    if ((order & 0xc0) == 0xc0) {
      const size_t at = input.upTo(65'535) % result.size();
      const uint8_t change = input.byte();
      result[at] ^= change;
      if (change != 0) return result;
    }
    expect(session, counter, Packet(plain.begin() + Aead::kFront, plain.begin() + static_cast<ptrdiff_t>(Aead::kFront + length)));
    return result;
  }

  void flush() {
    receiver_.coalescer_.flush();
    REQUIRE(delivered_.waiting() == 0);
    REQUIRE(receiver_.coalescer_.takeFailed() == 0);
  }

 private:
  void expect(Session& session, uint64_t counter, const Packet& plain) {
    if (!session.usable || counter >= kRejectAfter || session.taken.contains(counter)) return;
    if (!session.taken.empty() && counter + ReplayWindow::kWindow < *session.taken.rbegin()) return;
    session.taken.insert(counter);
    const int version = ipVersion(plain.data(), plain.size());
    if (version == 0) return;
    const size_t stated = statedLength(plain.data());
    if (stated > plain.size() || stated < (version == 4 ? kIpv4Header : kIpv6Header)) return;
    const Peer* owner = version == 4 ? (plain[12] == 10 ? peers_[0] : nullptr) : (plain[8] == 0xfd ? peers_[1] : nullptr);
    if (owner != session.peer) return;
    last_ = Packet(plain.begin(), plain.begin() + static_cast<ptrdiff_t>(stated));
    delivered_.expect(last_);
  }

  Loop& loop_;
  Receiver& receiver_;
  Delivered delivered_;
  Peer* peers_[2];
  std::vector<Session> sessions_;
  Packet last_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  prepareCrypto();
  Input input(bytes, length);
  Wire wire(Session::loop());
  for (int orders = 0; orders < 64 && !input.empty(); orders++) {
    const uint8_t order = input.byte();
    if ((order & 7) == 0) {
      wire.flush();
    } else if ((order & 7) == 1) {
      const auto raw = input.bytes(input.upTo(4000));
      wire.arrive(raw, std::max<size_t>(1, input.upTo(1500)));
    } else if ((order & 7) == 2) {
      // A head of a known type, of about the length that it should have.
      auto raw = input.bytes(140 + (order >> 3));
      if (raw.size() >= 4) store<uint32_t>(raw.data(), input.byte() & 7);
      wire.arrive(raw, std::max<size_t>(1, raw.size()));
    } else {
      // Trains, as the kernel makes them: all of one length but the last.
      std::vector<uint8_t> train;
      size_t segment = 0;
      for (int more = order >> 5; more >= 0; more--) {
        const auto next = wire.message(input);
        if (next.size() > segment || train.size() % segment != 0 || train.size() + next.size() > Arrival::kRoom) {
          if (!train.empty()) wire.arrive(train, segment);
          train.clear();
          segment = next.size();
        }
        train.insert(train.end(), next.begin(), next.end());
      }
      wire.arrive(train, segment);
    }
  }
  wire.flush();
  return 0;
}
