#include "linux.h"

static Napi::Object Init(Napi::Env env, Napi::Object exports) {
  pellicle::export_netlink(env, exports);
  pellicle::export_netns(env, exports);
  pellicle::export_unix(env, exports);
  pellicle::export_poll(env, exports);
  pellicle::export_device(env, exports);
  return exports;
}

NODE_API_MODULE(linux, Init)
