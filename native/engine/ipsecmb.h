// AES-GCM by libipsec-mb (Debian: libipsec-mb1), where that library is installed and the processor has AES in 512-bit
// registers: one call for a packet in the place of OpenSSL's five, and about half the time. On others it is not faster.
#pragma once

#include "espcipher.h"

namespace pellicle {

// The library's version when it is there, fits and gave the right answer to a known question; null otherwise.
const char* ipsecMbVersion();

// For tests: OpenSSL's is used from now on, or not.
void avoidIpsecMb(bool avoid);

// Null where OpenSSL has to do it.
std::unique_ptr<EspCipher> ipsecMbGcm(const EspSuite& suite, const uint8_t* key, bool esn);

}  // namespace pellicle
