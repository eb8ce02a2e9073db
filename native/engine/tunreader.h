// Packets out of the TUN, in turns. A turn is the sending thread's, or a receiving one's while that watches the TUN
// (tunwatch.h): whoever has it reads, seals and sends, so that packets of a flow stay in order.
#pragma once

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <memory>
#include <mutex>
#include <shared_mutex>

#include "limits.h"
#include "offload.h"
#include "tunwatch.h"

namespace pellicle {

// `Sealer`, which derives from it, has room of `kFront` and `kBack` bytes around a packet, `handleRequests` for what comes
// before the TUN is read, `handle` for one packet, and `flush` for the end of a turn. `Loop` is whose device it reads.
template <class Sealer, class Loop>
class TunReader {
 public:
  // The sending thread.
  void run() {
    TunWatch& watch = loop_.tunWatch_;
    while (!loop_.stopping_) {
      const bool watches = watch.by() == TunWatch::kSender && !gone_;
      pollfd waiting[] = {{loop_.sendSignal_.fd(), POLLIN, 0}, {watches ? loop_.tun_.fd : -1, POLLIN, 0}};
      poll(waiting, 2, -1);
      if (waiting[0].revents != 0) loop_.sendSignal_.clear();
      const std::shared_lock lock(loop_.state_);
      const std::lock_guard turn(turn_);
      now_ = loop_.clock_.now();
      sealer().handleRequests();
      takeTurn(kReadsAtOnce);
      if (isGone(waiting[1].revents)) {
        // There is nothing more to read, ever.
        gone_ = true;
        loop_.tellGone();
      } else if (watches && watch.quiet(now_)) {
        const int receiver = watch.deliverer();
        watch.give(receiver, loop_.receiveSignal(receiver));
      }
    }
  }

  // A receiving thread after its own turn, under the shared lock of the state: sends what the kernel answered, if that is
  // little, and leaves the TUN to the sending thread when it is not. `few`: its turn was short; `delivered`: packets that it
  // wrote to the TUN; `events`: what poll(2) told of the TUN, if it watches that.
  void answer(bool few, int delivered, bool watches, short events) {
    if (few && (delivered == 1 || events != 0)) few = takeShortTurn();
    if (watches && (!few || isGone(events))) loop_.tunWatch_.give(TunWatch::kSender, loop_.sendSignal_);
  }

 protected:
  explicit TunReader(Loop& loop) : loop_(loop), buffer_(new uint8_t[Sealer::kFront + kMaxPacket + Sealer::kBack]()) {}

  uint8_t* packet() { return buffer_.get() + Sealer::kFront; }

  Loop& loop_;
  int64_t now_ = 0;

 private:
  static constexpr int kReadsAtOnce = 64;

  static bool isGone(short events) { return (events & (POLLERR | POLLNVAL)) != 0; }

  Sealer& sealer() { return static_cast<Sealer&>(*this); }

  // False when there was more, or another thread has the turn.
  bool takeShortTurn() {
    const std::unique_lock turn(turn_, std::try_to_lock);
    if (!turn) return false;
    now_ = loop_.clock_.now();
    return takeTurn(TunWatch::kFew + 1);
  }

  // Reads up to so many packets and sends them; whether they were few.
  bool takeTurn(int most) {
    split_ = false;
    int packets = 0;
    while (packets < most && readOne()) packets++;
    sealer().flush();
    const bool few = packets <= TunWatch::kFew && !split_;
    if (!few) loop_.tunWatch_.busy(now_);
    return few;
  }

  // False when nothing waits.
  bool readOne() {
    Offload offload;
    const ssize_t received = read(loop_.tun_.fd, packet() - sizeof offload, sizeof offload + kMaxPacket);
    if (received < 0) return errno == EINTR;
    if (static_cast<size_t>(received) <= sizeof offload) return true;
    std::memcpy(&offload, packet() - sizeof offload, sizeof offload);
    split_ |= offload.type != Offload::kNone;
    sealer().handle(offload, packet(), static_cast<size_t>(received) - sizeof offload);
    return true;
  }

  std::unique_ptr<uint8_t[]> buffer_;
  bool gone_ = false;   // the device was deleted
  bool split_ = false;  // a super-packet came in this turn
  std::mutex turn_;
};

}  // namespace pellicle
