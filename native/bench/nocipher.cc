// In the place of aead.cc and espcipher.cc, for a build that `make bench` measures: packets are copied where they would be
// sealed and opened, and every tag is right. It tells what the rest of the packet loop costs, and is of no other use.
#include <algorithm>
#include <cstring>

#include "../engine/aead.h"
#include "../engine/espcipher.h"
#include "../engine/esppacket.h"
#include "../engine/limits.h"

namespace pellicle {
namespace {

class NoCipher : public EspCipher {
 public:
  explicit NoCipher(const EspSuite& suite) : icvLength_(suite.icvLength), start_(kEspHeader + suite.ivLength) {}

  bool seal(uint64_t, const uint8_t* plain, size_t length, uint8_t* packet) override {
    std::fill(packet + kEspHeader, packet + start_, 0);
    std::copy(plain, plain + length, packet + start_);
    std::fill(packet + start_ + length, packet + start_ + length + icvLength_, 0);
    return true;
  }

  bool open(uint64_t, const uint8_t* packet, size_t length, uint8_t* out) override {
    std::copy(packet + start_, packet + length - icvLength_, out);
    return true;
  }

 private:
  const size_t icvLength_;
  const size_t start_;
};

}  // namespace

std::unique_ptr<EspCipher> EspCipher::sealer(const EspSuite& suite, const uint8_t*, const uint8_t*, bool) {
  return std::make_unique<NoCipher>(suite);
}

std::unique_ptr<EspCipher> EspCipher::opener(const EspSuite& suite, const uint8_t*, const uint8_t*, bool) {
  return std::make_unique<NoCipher>(suite);
}

const char* cryptoProblem() { return nullptr; }

Aead::Aead(const uint8_t*) : context_(nullptr) {}
Aead::~Aead() = default;

bool Aead::seal(uint64_t, const uint8_t* plain, size_t length, uint8_t* out) {
  std::copy(plain, plain + length, out);
  std::fill(out + length, out + length + kTagSize, 0);
  return true;
}

bool Aead::open(uint64_t, uint8_t* sealed, size_t length, uint8_t* out) {
  if (length < kTagSize) return false;
  std::copy(sealed, sealed + length - kTagSize, out);
  return true;
}

}  // namespace pellicle
