// News of the TUN device's link, wherever that is moved to, and of the addresses and routes of our own network namespace.
#pragma once

#include <cstdint>

#include "netlink.h"
#include "tun.h"

namespace pellicle {

// Its descriptors may be polled by the thread that calls `read`, and only that one: to follow the device, `read` goes into
// its namespace for a moment, which is the calling thread's affair alone.
class LinkWatch {
 public:
  explicit LinkWatch(const Tun& tun);
  ~LinkWatch();
  LinkWatch(const LinkWatch&) = delete;
  LinkWatch& operator=(const LinkWatch&) = delete;

  struct News {
    bool link = false;    // `state` may be another one
    bool gone = false;    // the device was deleted
    bool routes = false;  // addresses or routes changed
  };

  int linkFd() const { return links_; }
  int routeFd() const { return routes_; }
  LinkState state() const { return state_; }
  // How long to poll(2), in milliseconds: -1 is without end. When nothing came for so long, look again.
  int patience() const { return !away_ ? -1 : links_ < 0 ? kBlindMs : kAgainMs; }
  // Takes all that waits.
  News read();
  // The socket that watches the device in another namespace keeps that alive: this lets go of it, or has a new one when the
  // kernel had time to free what it holds.
  News lookAgain();

 private:
  static constexpr int kAgainMs = 1000;
  static constexpr int kBlindMs = 50;

  void readLinks(News& news);
  bool isElsewhere() const;
  // The device left the namespace that is watched. False when it is in none.
  bool follow();

  const int tun_;
  int home_ = -1;
  int links_ = -1;
  int routes_ = -1;
  bool away_ = false;  // the device is in another namespace than ours
  unsigned index_;
  LinkState state_;
};

}  // namespace pellicle
