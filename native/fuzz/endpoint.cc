// Addresses of peers, as they come by the configuration protocol.
#include "../engine/endpoint.h"

#include "fuzz.h"

using namespace pellicle;
using namespace pellicle::fuzz;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  Input input(bytes, length);
  const auto port = input.take<uint16_t>();
  const auto interface = input.take<uint32_t>();
  const std::string source = input.text(input.byte());
  const auto rest = input.rest();
  const std::string text(rest.begin(), rest.end());
  Endpoint endpoint;
  if (!endpoint.parse(text, port)) {
    REQUIRE(!endpoint.known());
    return 0;
  }
  REQUIRE(endpoint.known() && endpoint.port() == port && !endpoint.hasSource());
  Endpoint again;
  REQUIRE(again.parse(endpoint.address(), port) && again.samePeer(endpoint));
  const Endpoint before = endpoint;
  if (!endpoint.parseSource(source, interface)) {
    REQUIRE(endpoint == before);
    return 0;
  }
  REQUIRE(again.parseSource(endpoint.hasSource() ? endpoint.sourceAddress() : source, interface) && again == endpoint);
  return 0;
}
