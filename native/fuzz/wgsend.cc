// What the TUN device hands over to WireGuard's sender: what leaves can be opened, and is what Segments make of it.
#include "../engine/send.h"

#include <deque>

#include "crypto.h"
#include "engine.h"
#include "packets.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

constexpr uint64_t kRejectAfter = 1000;
constexpr uint32_t kIndex = 7;
const uint8_t kKey[kKeySize] = {1, 2, 3};

// One for all inputs: its buffers are large.
Sender& senderOf(Loop& loop) {
  static Sender sender(loop);
  return sender;
}

class Device {
 public:
  Device(Loop& loop, Input& input) : loop_(loop), sender_(senderOf(loop)), peer_(loop.addPeer()), opener_(kKey) {
    sentTrains().clear();
    sender_.train_ = {};
    loop.mtu_ = static_cast<uint32_t>(input.byte() * 257);
    sender_.now_ = loop.clock().now();
    const uint8_t any[16] = {};
    loop.allowedIps_.insert({addressV4(any), 0}, peer_);
    loop.allowedIps_.insert({addressV6(any), 0}, peer_);
    Endpoint to;
    REQUIRE(to.parse("192.0.2.1", 51820));
    loop.setEndpoint(*peer_, to);
    next_ = (input.byte() & 7) == 0 ? kRejectAfter - input.byte() : 0;
    if ((input.byte() & 3) != 0) install();
  }
  ~Device() {
    loop_.removePeer(peer_->id);
    loop_.takeReleased();
    loop_.outbox_.takePeers();
    loop_.requests_.clear();
  }

  void install() {
    if (installed_) return;
    auto keypair = std::make_unique<Keypair>(peer_, kIndex, kIndex + 1, kKey, kKey, true, loop_.clock().now());
    keypair->sendCounter = next_;
    loop_.installKeypair(std::move(keypair));
    installed_ = true;
  }

  void handle(const Offload& offload, const Packet& packet) {
    uint8_t* place = sender_.packet();
    std::memcpy(place, packet.data(), packet.size());
    foresee(offload, packet);
    sender_.handle(offload, place, packet.size());
  }

  void request(Request request) {
    for (size_t i = 0; request == kDropStagedRequest && peer_->staging && i < peer_->staging->size(); i++) {
      if (peer_->staging->at(i).length > 0) expected_.pop_back();
    }
    loop_.request(*peer_, request);
    requests();
  }

  void requests() { sender_.handleRequests(); }

  void flush() {
    sender_.flush();
    for (const SentTrain& train : sentTrains()) {
      for (size_t at = 0; at < train.bytes.size(); at += train.segment) {
        check(train.bytes.data() + at, std::min(train.segment, train.bytes.size() - at));
      }
    }
    sentTrains().clear();
  }

  // With a keypair, all that was not dropped has left or is too late for its counter.
  void end() {
    requests();
    flush();
    if (installed_ && next_ < kRejectAfter) REQUIRE(expected_.empty());
  }

 private:
  void foresee(const Offload& offload, Packet packet) {
    if (ipVersion(packet.data(), packet.size()) == 0) return;
    Segments segments(offload, packet.data(), packet.size());
    for (Slice slice; segments.next(slice);) {
      if (slice.length + kDataOverhead + kPaddingUnit - 1 > kMaxTrain) tooLong_ = true;
      expected_.emplace_back(slice.bytes, slice.bytes + slice.length);
      if (!installed_ && expected_.size() > kMaxStaged) expected_.pop_front();
    }
  }

  void check(const uint8_t* datagram, size_t length) {
    REQUIRE(length >= kDataOverhead && load<uint32_t>(datagram) == kData && load<uint32_t>(datagram + 4) == kIndex + 1);
    REQUIRE(load<uint64_t>(datagram + 8) == next_ && next_ < kRejectAfter);
    const size_t sealed = length - kDataHeaderSize;
    const size_t plain = sealed - kTagSize;
    std::vector<uint8_t> in(Aead::kFront + sealed + Aead::kBack);
    std::vector<uint8_t> out(Aead::kFront + plain + Aead::kBack);
    std::memcpy(in.data() + Aead::kFront, datagram + kDataHeaderSize, sealed);
    REQUIRE(opener_.open(next_, in.data() + Aead::kFront, sealed, out.data() + Aead::kFront));
    next_++;
    if (plain == 0) return;  // a keepalive
    // A packet that is too long for a datagram was dropped, which happens without a device's MTU only.
    while (tooLong_ && !expected_.empty() && expected_.front().size() + kDataOverhead > kMaxTrain - kPaddingUnit) expected_.pop_front();
    REQUIRE(!expected_.empty());
    const Packet packet = expected_.front();
    expected_.pop_front();
    REQUIRE(plain >= packet.size() && plain - packet.size() < kPaddingUnit);
    const size_t mtu = loop_.mtu_;
    REQUIRE(plain % kPaddingUnit == 0 || plain == mtu || (mtu != 0 && packet.size() > mtu));
    if (packet.size() <= mtu) REQUIRE(plain <= mtu);
    REQUIRE(std::equal(packet.begin(), packet.end(), out.begin() + Aead::kFront));
    for (size_t i = packet.size(); i < plain; i++) REQUIRE(out[Aead::kFront + i] == 0);
  }

  Loop& loop_;
  Sender& sender_;
  Peer* peer_;
  Aead opener_;
  bool installed_ = false;
  bool tooLong_ = false;
  uint64_t next_ = 0;
  std::deque<Packet> expected_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  prepareCrypto();
  Input input(bytes, length);
  Device device(quietLoop({1, 100, kRejectAfter}), input);
  for (int orders = 0; orders < 64 && !input.empty(); orders++) {
    const uint8_t order = input.byte();
    if ((order & 15) == 0) {
      device.install();
    } else if ((order & 15) == 1) {
      device.flush();
    } else if ((order & 15) == 2) {
      device.request((order & 16) != 0 ? kDropStagedRequest : (order & 32) != 0 ? kKeepaliveRequest : kFlushRequest);
    } else {
      Offload offload = input.take<Offload>();
      if ((order & 16) != 0) offload = {};
      Packet packet = (order & 32) != 0 ? innerPacket(input, {}, 65'000) : input.bytes(input.upTo(65'535));
      if ((order & 0xc0) == 0x40 && packet.size() > 60) {
        offload = fitting(packet, (order & 8) != 0, offload.segmentSize);
      }
      if (!packet.empty()) device.handle(offload, packet);
    }
  }
  device.end();
  return 0;
}
