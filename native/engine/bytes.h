// Unaligned reads and writes in the byte order of the network, and in the little-endian order of WireGuard.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace pellicle {

template <class T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
void store(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}

static_assert(std::endian::native == std::endian::little, "the engine is written for little-endian machines");

inline uint16_t loadBig16(const uint8_t* from) { return __builtin_bswap16(load<uint16_t>(from)); }
inline uint32_t loadBig32(const uint8_t* from) { return __builtin_bswap32(load<uint32_t>(from)); }
inline uint64_t loadBig64(const uint8_t* from) { return __builtin_bswap64(load<uint64_t>(from)); }
inline void storeBig16(uint8_t* to, uint16_t value) { store(to, __builtin_bswap16(value)); }
inline void storeBig32(uint8_t* to, uint32_t value) { store(to, __builtin_bswap32(value)); }

}  // namespace pellicle
