// What the fuzz targets share: a reader of the fuzzer's bytes, and a check that ends the program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace pellicle::fuzz {

#define REQUIRE(condition)                                                            \
  do {                                                                                \
    if (!(condition)) {                                                               \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                   \
    }                                                                                 \
  } while (false)

// Takes what a target needs from the front; at the end there are zeros.
class Input {
 public:
  Input(const uint8_t* bytes, size_t length) : at_(bytes), left_(length) {}

  bool empty() const { return left_ == 0; }
  size_t left() const { return left_; }

  template <class T>
  T take() {
    T value{};
    const size_t size = std::min(sizeof value, left_);
    std::memcpy(&value, at_, size);
    skip(size);
    return value;
  }
  uint8_t byte() { return take<uint8_t>(); }
  // From 0 to `most`.
  size_t upTo(size_t most) { return most < 256 ? byte() % (most + 1) : take<uint16_t>() % (most + 1); }

  // Up to `length` bytes.
  std::vector<uint8_t> bytes(size_t length) {
    const size_t size = std::min(length, left_);
    std::vector<uint8_t> result(at_, at_ + size);
    skip(size);
    return result;
  }
  std::vector<uint8_t> rest() { return bytes(left_); }
  std::string text(size_t length) {
    const auto taken = bytes(length);
    return std::string(taken.begin(), taken.end());
  }

 private:
  void skip(size_t size) {
    at_ += size;
    left_ -= size;
  }

  const uint8_t* at_;
  size_t left_;
};

}  // namespace pellicle::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length);
