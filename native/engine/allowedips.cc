#include "allowedips.h"

#include <algorithm>

namespace pellicle {

struct AllowedIpNode {
  Address key;
  uint8_t length = 0;
  AllowedIpOwner* owner = nullptr;  // null for a node that only branches
  uint64_t mark = 0;
  AllowedIpNode* parent = nullptr;
  AllowedIpNode* child[2] = {nullptr, nullptr};
  AllowedIpNode* before = nullptr;  // neighbours in the owner's list
  AllowedIpNode* after = nullptr;
};

namespace {

bool bitAt(const Address& address, unsigned index) {
  return index < 64 ? address.high >> (63 - index) & 1 : address.low >> (127 - index) & 1;
}

unsigned commonBits(const Address& a, const Address& b) {
  if (const uint64_t high = a.high ^ b.high) return static_cast<unsigned>(__builtin_clzll(high));
  if (const uint64_t low = a.low ^ b.low) return 64 + static_cast<unsigned>(__builtin_clzll(low));
  return 128;
}

Address masked(const Address& address, unsigned length) {
  Address result = address;
  if (length <= 64) {
    result.low = 0;
    result.high = length == 0 ? 0 : address.high & (~0ull << (64 - length));
  } else if (length < 128) {
    result.low = address.low & (~0ull << (128 - length));
  }
  return result;
}

void link(AllowedIpNode* node, AllowedIpOwner* owner, uint64_t mark) {
  node->owner = owner;
  node->mark = mark;
  node->before = owner->allowedIps.last;
  node->after = nullptr;
  (node->before ? node->before->after : owner->allowedIps.first) = node;
  owner->allowedIps.last = node;
}

void unlink(AllowedIpNode* node) {
  AllowedIpList& list = node->owner->allowedIps;
  (node->before ? node->before->after : list.first) = node->after;
  (node->after ? node->after->before : list.last) = node->before;
  node->owner = nullptr;
}

void destroy(AllowedIpNode* node) {
  while (node != nullptr) {
    destroy(node->child[0]);
    AllowedIpNode* right = node->child[1];
    delete node;
    node = right;
  }
}

}  // namespace

AllowedIps::~AllowedIps() {
  for (AllowedIpNode* root : roots_) destroy(root);
}

AllowedIpOwner* AllowedIps::lookup(const Address& address) const {
  const unsigned bits = address.v6 ? 128 : 32;
  AllowedIpOwner* found = nullptr;
  for (const AllowedIpNode* node = roots_[address.v6]; node != nullptr;) {
    if (commonBits(node->key, address) < node->length) break;
    if (node->owner != nullptr) found = node->owner;
    if (node->length == bits) break;
    node = node->child[bitAt(address, node->length)];
  }
  return found;
}

void AllowedIps::insert(const Prefix& prefix, AllowedIpOwner* owner, uint64_t mark) {
  const Address key = masked(prefix.address, prefix.length);
  AllowedIpNode* parent = nullptr;
  AllowedIpNode** slot = &roots_[key.v6];
  while (*slot != nullptr) {
    AllowedIpNode* node = *slot;
    const unsigned common = std::min<unsigned>({commonBits(node->key, key), node->length, prefix.length});
    if (common < node->length) break;
    if (node->length == prefix.length) {
      if (node->owner == owner) {
        node->mark = mark;
        return;
      }
      if (node->owner != nullptr) unlink(node);
      link(node, owner, mark);
      return;
    }
    parent = node;
    slot = &node->child[bitAt(key, node->length)];
  }
  AllowedIpNode* below = *slot;
  auto* added = new AllowedIpNode{.key = key, .length = prefix.length, .parent = parent};
  if (below != nullptr) {
    const unsigned common = std::min<unsigned>(commonBits(below->key, key), prefix.length);
    AllowedIpNode* top = added;
    if (common < prefix.length) {
      top = new AllowedIpNode{.key = masked(key, common), .length = static_cast<uint8_t>(common), .parent = parent};
      top->child[bitAt(key, common)] = added;
      added->parent = top;
    }
    top->child[bitAt(below->key, common)] = below;
    below->parent = top;
    *slot = top;
  } else {
    *slot = added;
  }
  link(added, owner, mark);
}

void AllowedIps::remove(const Prefix& prefix, AllowedIpOwner* owner) {
  AllowedIpNode* node = find(prefix);
  if (node == nullptr || node->owner != owner) return;
  unlink(node);
  release(node);
}

void AllowedIps::remove(const Prefix& prefix) {
  AllowedIpNode* node = find(prefix);
  if (node != nullptr && node->owner != nullptr) remove(prefix, node->owner);
}

bool AllowedIps::removeOthers(AllowedIpOwner* owner, uint64_t mark, size_t limit) {
  for (AllowedIpNode* node = owner->allowedIps.first; node != nullptr;) {
    AllowedIpNode* after = node->after;
    if (node->mark != mark) {
      if (limit-- == 0) return false;
      unlink(node);
      release(node);
    }
    node = after;
  }
  return true;
}

void AllowedIps::removeAll(AllowedIpOwner* owner) {
  while (AllowedIpNode* node = owner->allowedIps.first) {
    unlink(node);
    release(node);
  }
}

void AllowedIps::each(const AllowedIpOwner* owner, const std::function<void(const Prefix&)>& visit) {
  for (const AllowedIpNode* node = owner->allowedIps.first; node != nullptr; node = node->after) {
    visit({node->key, node->length});
  }
}

AllowedIpNode* AllowedIps::find(const Prefix& prefix) const {
  const Address key = masked(prefix.address, prefix.length);
  AllowedIpNode* node = roots_[key.v6];
  while (node != nullptr && node->length < prefix.length && commonBits(node->key, key) >= node->length) {
    node = node->child[bitAt(key, node->length)];
  }
  const bool same = node != nullptr && node->length == prefix.length && commonBits(node->key, key) >= prefix.length;
  return same ? node : nullptr;
}

// Takes nodes out of the trie that neither belong to an owner nor branch.
void AllowedIps::release(AllowedIpNode* node) {
  while (node != nullptr && node->owner == nullptr && !(node->child[0] && node->child[1])) {
    AllowedIpNode* parent = node->parent;
    AllowedIpNode* only = node->child[0] ? node->child[0] : node->child[1];
    AllowedIpNode** slot = parent == nullptr ? &roots_[node->key.v6] : &parent->child[parent->child[1] == node];
    *slot = only;
    if (only != nullptr) only->parent = parent;
    delete node;
    node = parent;
  }
}

}  // namespace pellicle
