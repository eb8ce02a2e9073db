// The Internet checksum (RFC 1071). Sums are of 16-bit words in memory order, not folded, so that they can be added up.
#pragma once

#include <cstddef>
#include <cstdint>

namespace pellicle {

// `bytes` at an odd offset of what is summed up would need its sum swapped: every caller starts at an even one.
uint64_t sum(const uint8_t* bytes, size_t length);

// Sum of the pseudo-header of TCP and UDP: RFC 9293 section 3.1, RFC 8200 section 8.1. `ip` is an IPv4 or IPv6 header.
uint64_t pseudoSum(const uint8_t* ip, uint8_t protocol, size_t length);

// Sums of up to 2^47 words, folded into 16 bits, not complemented, in memory order.
uint16_t fold(uint64_t sum);

// Writes the header checksum of an IPv4 header.
void setIpv4Checksum(uint8_t* ip);

}  // namespace pellicle
