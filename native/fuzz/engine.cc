#include "engine.h"

#include <cerrno>

#include "../engine/ipsecmb.h"
#include "fuzz.h"

namespace pellicle {
namespace fuzz {

std::deque<WaitingTrain>& waitingTrains() {
  static std::deque<WaitingTrain> trains;
  return trains;
}

Tun nothing() {
  Tun tun;
  tun.fd = INT32_MAX;
  tun.name = "fuzz0";
  return tun;
}

std::vector<SentTrain>& sentTrains() {
  static std::vector<SentTrain> trains;
  return trains;
}

Loop& quietLoop(LoopOptions options) {
  static Loop* const loop = [&] {
    auto* made = new Loop(nothing(), options, [] {}, false);
    made->sockets_ = std::make_shared<UdpSockets>();
    made->sockets_->v4 = made->sockets_->v6 = INT32_MAX;
    return made;
  }();
  return *loop;
}

EspLoop& quietEspLoop() {
  // What is read and written is looked at where OpenSSL is called (crypto.cc).
  avoidIpsecMb(true);
  static EspLoop* const loop = new EspLoop(nothing(), 0, [] {}, false);
  return *loop;
}

}  // namespace fuzz

// In place of udp.cc.

UdpSockets::~UdpSockets() = default;
void UdpSockets::setMark(uint32_t) {}

std::shared_ptr<UdpSockets> openUdp(uint16_t, uint32_t, int& error) {
  error = EAFNOSUPPORT;
  return nullptr;
}

int sendTrain(int, const Endpoint& to, const uint8_t* bytes, size_t length, size_t segment, int, bool& sourceFailed) {
  sourceFailed = false;
  REQUIRE(length > 0 && length <= kMaxTrain && segment > 0 && (length + segment - 1) / segment <= kMaxTrainSegments);
  fuzz::sentTrains().push_back({to, segment, {bytes, bytes + length}});
  return 0;
}

bool receiveTrain(int, Arrival& arrival) {
  auto& trains = fuzz::waitingTrains();
  if (trains.empty()) return false;
  const fuzz::WaitingTrain& train = trains.front();
  REQUIRE(train.bytes.size() <= Arrival::kRoom);
  std::copy(train.bytes.begin(), train.bytes.end(), arrival.bytes());
  arrival.length = train.bytes.size();
  arrival.segment = std::max<size_t>(1, std::min(train.segment, arrival.length));
  arrival.from = train.from;
  trains.pop_front();
  return true;
}

}  // namespace pellicle
