#include "checksum.h"

#include "bytes.h"

namespace pellicle {

#if defined(__x86_64__) && defined(__GLIBC__)
// The first instruction sets of x86-64 know no more than 16 bytes at once.
__attribute__((target_clones("default", "avx2")))
#endif
uint64_t sum(const uint8_t* bytes, size_t length) {
  uint64_t lanes[8] = {};
  while (length >= 32) {
    for (int i = 0; i < 8; i++) lanes[i] += load<uint32_t>(bytes + 4 * i);
    bytes += 32;
    length -= 32;
  }
  uint64_t total = 0;
  for (uint64_t lane : lanes) total += lane;
  for (; length >= 4; bytes += 4, length -= 4) total += load<uint32_t>(bytes);
  if (length >= 2) {
    total += load<uint16_t>(bytes);
    bytes += 2;
    length -= 2;
  }
  if (length == 1) total += *bytes;
  return total;
}

uint64_t pseudoSum(const uint8_t* ip, uint8_t protocol, size_t length) {
  const uint64_t addresses = ip[0] >> 4 == 4 ? sum(ip + 12, 8) : sum(ip + 8, 32);
  return addresses + (static_cast<uint64_t>(protocol) << 8) + __builtin_bswap32(static_cast<uint32_t>(length));
}

uint16_t fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + ((sum >> 16) & 0xffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>((sum & 0xffff) + (sum >> 16));
}

void setIpv4Checksum(uint8_t* ip) {
  store<uint16_t>(ip + 10, 0);
  store<uint16_t>(ip + 10, static_cast<uint16_t>(~fold(sum(ip, static_cast<size_t>(ip[0] & 15) * 4))));
}

}  // namespace pellicle
