// A packet loop for JavaScript (AdoptedLoop of src/engine/native.ts) on its way from one process to the next.
#pragma once

#include <napi.h>

#include <vector>

#include "handover.h"
#include "napihelp.h"

namespace pellicle {

// The option `adopted`: what another process saved.
struct Adopted {
  explicit Adopted(const Napi::Object& options) {
    const Napi::Value value = options.Get("adopted");
    if (!value.IsObject()) return;
    there = true;
    const auto object = value.As<Napi::Object>();
    state = object.Get("state").As<Napi::Uint8Array>();
    const auto list = object.Get("descriptors").As<Napi::Array>();
    for (uint32_t i = 0; i < list.Length(); i++) {
      const int fd = list.Get(i).As<Napi::Number>();
      if (i == 0) tun = fd;
      else sockets.push_back(fd);
    }
    offloads = object.Get("offloads").As<Napi::Number>();
  }
  explicit operator bool() const { return there; }

  bool there = false;
  Napi::Uint8Array state;
  int tun = -1;
  std::vector<int> sockets;
  unsigned offloads = 0;
};

// The device that was adopted, or one that is made or opened.
inline Tun readTun(Napi::Env env, const Napi::Object& options) {
  const std::string name = options.Get("name").As<Napi::String>();
  Tun tun;
  if (const Adopted adopted(options); adopted) {
    if (!adoptTun(adopted.tun, name, tun)) fail(env, EINVAL, "the descriptor is not that of the device " + name);
    tun.offloads = adopted.offloads;
    return tun;
  }
  TunProblem problem;
  const bool persist = options.Get("persist").As<Napi::Boolean>();
  if (!openTun(name, persist, options.Get("mtu").As<Napi::Number>().Uint32Value(), tun, problem)) {
    fail(env, problem.code, problem.message);
  }
  return tun;
}

inline Napi::Object savedLoop(Napi::Env env, const Tun& tun, const std::vector<int>& sockets, SecretBytes& state) {
  Napi::Array descriptors = Napi::Array::New(env);
  descriptors.Set(0u, tun.fd);
  for (uint32_t i = 0; i < sockets.size(); i++) descriptors.Set(i + 1, sockets[i]);
  Napi::Object result = Napi::Object::New(env);
  result.Set("descriptors", descriptors);
  result.Set("offloads", tun.offloads);
  result.Set("state", Napi::Buffer<uint8_t>::Copy(env, state.data(), state.size()));
  return result;
}

}  // namespace pellicle
