// Allowed IPs: who owns an address, by the longest prefix, for both families (WireGuard paper, section 2).
// A path-compressed binary trie for each family. Reading is safe beside reading; the owner locks writes out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "ip.h"

namespace pellicle {

struct AllowedIpNode;

// The prefixes of one owner, in the order in which they were added.
struct AllowedIpList {
  AllowedIpNode* first = nullptr;
  AllowedIpNode* last = nullptr;
};

// What a prefix leads to: a WireGuard peer, an ESP state.
struct AllowedIpOwner {
  AllowedIpList allowedIps;
};

struct Prefix {
  Address address;
  uint8_t length = 0;
};

class AllowedIps {
 public:
  AllowedIps() = default;
  ~AllowedIps();
  AllowedIps(const AllowedIps&) = delete;
  AllowedIps& operator=(const AllowedIps&) = delete;

  AllowedIpOwner* lookup(const Address& address) const;

  // Gives the prefix to the owner, away from whoever had it. `mark` stays with it until it is inserted again.
  void insert(const Prefix& prefix, AllowedIpOwner* owner, uint64_t mark = 0);
  // Only if it is this owner's.
  void remove(const Prefix& prefix, AllowedIpOwner* owner);
  // Whoever's it is.
  void remove(const Prefix& prefix);
  // Removes up to `limit` prefixes of the owner that carry another mark. True when none is left.
  bool removeOthers(AllowedIpOwner* owner, uint64_t mark, size_t limit);
  void removeAll(AllowedIpOwner* owner);

  static void each(const AllowedIpOwner* owner, const std::function<void(const Prefix&)>& visit);

 private:
  AllowedIpNode* find(const Prefix& prefix) const;
  void release(AllowedIpNode* node);

  AllowedIpNode* roots_[2] = {nullptr, nullptr};
};

}  // namespace pellicle
