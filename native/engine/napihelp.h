// What the classes for JavaScript share.
#pragma once

#include <napi.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "allowedips.h"

namespace pellicle {

// Throws a system error with `errno` and `code`.
[[noreturn]] inline void fail(Napi::Env env, int code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  error.Set("errno", Napi::Number::New(env, code));
  error.Set("code", Napi::String::New(env, strerrorname_np(code) ? strerrorname_np(code) : "EIO"));
  throw error;
}

// A prefix is 20 bytes: family (4, 6), prefix length, two that say more, address.
constexpr size_t kEntry = 20;

inline Prefix prefixOf(const uint8_t* entry) {
  return {entry[0] == 4 ? addressV4(entry + 4) : addressV6(entry + 4),
          std::min<uint8_t>(entry[1], entry[0] == 4 ? 32 : 128)};
}

inline uint64_t bigint(const Napi::Value& value) {
  bool lossless;
  return value.As<Napi::BigInt>().Uint64Value(&lossless);
}

}  // namespace pellicle
