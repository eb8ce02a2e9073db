// What the sanitizers are there to find: shows that they are at work.
#include <climits>

#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  const std::string text(bytes, bytes + length);
  const volatile uint8_t* unchecked = bytes;
  if (text == "overread") return unchecked[length] == 0 ? 0 : 1;
  volatile int most = INT_MAX;
  if (text == "overflow") return most + static_cast<int>(length) > 0 ? 0 : 1;
  if (text == "requirement") REQUIRE(length == 0);
  return 0;
}
