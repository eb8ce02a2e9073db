// The network configuration that a container runtime hands to the CNI shim.
#include "../cni/json.h"

#include "fuzz.h"

using namespace pellicle::fuzz;

namespace {

bool plain(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x7f || c == 0) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  const std::vector<char> exact(bytes, bytes + length);
  const auto members = json::top_level_strings({exact.data(), exact.size()});
  if (!members) return 0;
  // What was read can be written and read again.
  std::string document = "{";
  for (const auto& [key, value] : *members) {
    if (!plain(key) || !plain(value)) return 0;
    document += (document.size() > 1 ? "," : "") + json::quote(key) + ":" + json::quote(value);
  }
  REQUIRE(json::top_level_strings(document + "}") == members);
  return 0;
}
