// Values as bytes in the machine's own order, and back: one description serves both ways.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace pellicle {

// Counts first, without a place to write to; then writes into one of that size.
class StateWriter {
 public:
  static constexpr bool kReads = false;

  explicit StateWriter(uint8_t* out = nullptr) : out_(out) {}
  size_t size() const { return size_; }
  bool good() const { return true; }

  void raw(const void* bytes, size_t length) {
    if (out_ != nullptr && length != 0) std::memcpy(out_ + size_, bytes, length);
    size_ += length;
  }
  template <class T>
  void operator()(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    raw(&value, sizeof value);
  }
  template <class T>
  void operator()(const std::atomic<T>& value) {
    (*this)(value.load());
  }
  void operator()(const std::string& text) {
    (*this)(static_cast<uint32_t>(text.size()));
    raw(text.data(), text.size());
  }

 private:
  uint8_t* const out_;
  size_t size_ = 0;
};

// What is missing reads as zero, and nothing is good any more.
class StateReader {
 public:
  static constexpr bool kReads = true;

  StateReader(const uint8_t* bytes, size_t size) : bytes_(bytes), left_(size) {}
  bool good() const { return good_; }
  bool whole() const { return good_ && left_ == 0; }

  // Valid as long as the bytes are; null when there are not so many.
  const uint8_t* raw(size_t length) {
    if (!good_ || length > left_) {
      good_ = false;
      return nullptr;
    }
    const uint8_t* at = bytes_;
    bytes_ += length;
    left_ -= length;
    return at;
  }
  template <class T>
  void operator()(T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const uint8_t* at = raw(sizeof value);
    if constexpr (std::is_same_v<T, bool>) value = at != nullptr && *at != 0;
    else if (at != nullptr) std::memcpy(static_cast<void*>(&value), at, sizeof value);
    else value = T{};
  }
  template <class T>
  void operator()(std::atomic<T>& value) {
    value = get<T>();
  }
  void operator()(std::string& text) {
    const auto length = get<uint32_t>();
    const uint8_t* at = raw(length);
    text.assign(reinterpret_cast<const char*>(at), at == nullptr ? 0 : length);
  }
  template <class T>
  T get() {
    T value{};
    (*this)(value);
    return value;
  }
  // Calls `read` so many times as is written, while all is well.
  void each(auto&& read) {
    for (auto count = get<uint32_t>(); count > 0 && good_; count--) read();
  }
  void refuse() { good_ = false; }

 private:
  const uint8_t* bytes_;
  size_t left_;
  bool good_ = true;
};

}  // namespace pellicle
