// Allowed IPs, against a list that is searched from end to end.
#include "../engine/allowedips.h"

#include <algorithm>

#include "fuzz.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

struct Entry {
  Prefix prefix;
  size_t owner;
  uint64_t mark;
};

bool bit(const Address& address, unsigned index) {
  return ((index < 64 ? address.high >> (63 - index) : address.low >> (127 - index)) & 1) != 0;
}

bool covers(const Prefix& prefix, const Address& address) {
  if (prefix.address.v6 != address.v6) return false;
  for (unsigned i = 0; i < prefix.length; i++) {
    if (bit(prefix.address, i) != bit(address, i)) return false;
  }
  return true;
}

bool equal(const Prefix& a, const Prefix& b) { return a.length == b.length && covers(a, b.address); }

// Few bits are set, so that prefixes lie in each other.
Address address(Input& input) {
  const uint8_t kind = input.byte();
  Address result;
  result.v6 = (kind & 1) != 0;
  result.high = static_cast<uint64_t>(kind & 2 ? input.take<uint32_t>() : input.byte() << 24) << 32;
  if (!result.v6) return result;
  if ((kind & 4) != 0) result.high |= input.take<uint32_t>();
  if ((kind & 8) != 0) result.low = input.take<uint64_t>();
  if ((kind & 16) != 0) result.low = input.byte();
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  Input input(bytes, length);
  constexpr size_t kOwners = 4;
  AllowedIpOwner owners[kOwners];
  std::vector<Entry> model;
  AllowedIps table;
  while (!input.empty()) {
    const uint8_t order = input.byte();
    const size_t who = order >> 4 & 3;
    AllowedIpOwner* owner = &owners[who];
    const uint64_t mark = order >> 6;
    const auto forget = [&](auto&& matches) { std::erase_if(model, matches); };
    switch (order & 7) {
      case 0:
      case 1: {
        Prefix prefix{address(input), 0};
        prefix.length = static_cast<uint8_t>(input.upTo(prefix.address.v6 ? 128 : 32));
        table.insert(prefix, owner, mark);
        const auto known = std::find_if(model.begin(), model.end(), [&](const Entry& e) { return equal(e.prefix, prefix); });
        if (known != model.end() && known->owner == who) {
          known->mark = mark;
        } else {
          forget([&](const Entry& e) { return equal(e.prefix, prefix); });
          model.push_back({prefix, who, mark});
        }
        break;
      }
      case 2:
      case 3: {
        Prefix prefix{address(input), 0};
        prefix.length = static_cast<uint8_t>(input.upTo(prefix.address.v6 ? 128 : 32));
        const bool anyone = (order & 7) == 3;
        if (anyone) table.remove(prefix);
        else table.remove(prefix, owner);
        forget([&](const Entry& e) { return equal(e.prefix, prefix) && (anyone || e.owner == who); });
        break;
      }
      case 4: {
        const size_t limit = input.upTo(4);
        const auto others = [&](const Entry& e) { return e.owner == who && e.mark != mark; };
        const auto there = static_cast<size_t>(std::count_if(model.begin(), model.end(), others));
        REQUIRE(table.removeOthers(owner, mark, limit) == (there <= limit));
        for (size_t i = 0; i < limit; i++) {
          const auto first = std::find_if(model.begin(), model.end(), others);
          if (first != model.end()) model.erase(first);
        }
        break;
      }
      case 5:
        table.removeAll(owner);
        forget([&](const Entry& e) { return e.owner == who; });
        break;
      default: {
        const Address wanted = address(input);
        const Entry* best = nullptr;
        for (const Entry& entry : model) {
          if (covers(entry.prefix, wanted) && (best == nullptr || entry.prefix.length >= best->prefix.length)) best = &entry;
        }
        REQUIRE(table.lookup(wanted) == (best == nullptr ? nullptr : &owners[best->owner]));
      }
    }
    // In the order in which they were added.
    std::vector<Prefix> listed;
    AllowedIps::each(owner, [&](const Prefix& prefix) { listed.push_back(prefix); });
    size_t at = 0;
    for (const Entry& entry : model) {
      if (entry.owner != who) continue;
      REQUIRE(at < listed.size() && equal(listed[at], entry.prefix));
      at++;
    }
    REQUIRE(at == listed.size());
  }
  return 0;
}
