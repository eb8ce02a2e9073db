#include "endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <charconv>

namespace pellicle {
namespace {

uint32_t scopeId(const std::string& scope) {
  uint32_t id = 0;
  const char* end = scope.data() + scope.size();
  const auto parsed = std::from_chars(scope.data(), end, id);
  return parsed.ec == std::errc() && parsed.ptr == end ? id : if_nametoindex(scope.c_str());
}

std::string text(int family, const void* address) {
  char buffer[INET6_ADDRSTRLEN];
  return inet_ntop(family, address, buffer, sizeof buffer) == nullptr ? "" : buffer;
}

}  // namespace

bool Endpoint::parse(const std::string& address, uint16_t port) {
  Endpoint parsed;
  if (inet_pton(AF_INET, address.c_str(), &parsed.v4.sin_addr) == 1) {
    parsed.v4.sin_family = AF_INET;
    parsed.v4.sin_port = htons(port);
  } else {
    const size_t percent = address.find('%');
    if (inet_pton(AF_INET6, address.substr(0, percent).c_str(), &parsed.v6.sin6_addr) != 1) return false;
    parsed.v6.sin6_family = AF_INET6;
    parsed.v6.sin6_port = htons(port);
    if (percent != std::string::npos) {
      parsed.v6.sin6_scope_id = scopeId(address.substr(percent + 1));
      if (parsed.v6.sin6_scope_id == 0) return false;
    }
  }
  *this = parsed;
  return true;
}

bool Endpoint::parseSource(const std::string& address, uint32_t interface) {
  in6_addr parsed = in6addr_any;
  if (inet_pton(any.sa_family, address.c_str(), &parsed) != 1) return false;
  source = parsed;
  sourceInterface = interface;
  return true;
}

std::string Endpoint::address() const {
  if (!isV6()) return text(AF_INET, &v4.sin_addr);
  std::string result = text(AF_INET6, &v6.sin6_addr);
  if (v6.sin6_scope_id != 0) {
    char name[IF_NAMESIZE];
    const char* scope = if_indextoname(v6.sin6_scope_id, name);
    result += '%';
    result += scope != nullptr ? scope : std::to_string(v6.sin6_scope_id);
  }
  return result;
}

std::string Endpoint::sourceAddress() const { return hasSource() ? text(any.sa_family, &source) : ""; }

}  // namespace pellicle
