// Answers and news by netlink, as the packet loop reads them.
#include <sanitizer/asan_interface.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine.h"
#include "fuzz.h"

using namespace pellicle;
using namespace pellicle::fuzz;

namespace {

Input* input = nullptr;

// A message with a right header, or bytes as they come.
void message(std::vector<uint8_t>& into) {
  const uint8_t kind = input->byte();
  const auto body = input->bytes(kind >> 2);
  if ((kind & 1) == 0) {
    into.insert(into.end(), body.begin(), body.end());
    return;
  }
  constexpr uint16_t kTypes[] = {RTM_NEWLINK, RTM_DELLINK, RTM_NEWROUTE, NLMSG_ERROR, NLMSG_DONE, RTM_NEWADDR};
  nlmsghdr header{};
  header.nlmsg_type = kTypes[input->byte() % 6];
  header.nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + body.size());
  const auto* bytes = reinterpret_cast<const uint8_t*>(&header);
  into.insert(into.end(), bytes, bytes + sizeof header);
  into.insert(into.end(), body.begin(), body.end());
  if ((kind & 2) != 0) into.resize(NLMSG_ALIGN(into.size()));
}

ssize_t fakeRecv(int, void* buffer, size_t size, int) {
  ASAN_UNPOISON_MEMORY_REGION(buffer, size);
  const uint8_t count = input->byte() & 7;
  if (count == 0 || input->empty()) {
    errno = (count & 1) != 0 ? ENOBUFS : EAGAIN;
    return -1;
  }
  std::vector<uint8_t> bytes;
  for (uint8_t i = 0; i < count; i++) message(bytes);
  const size_t received = std::min(bytes.size(), size);
  if (received > 0) std::memcpy(buffer, bytes.data(), received);
  // What was not received may not be read.
  ASAN_POISON_MEMORY_REGION(static_cast<uint8_t*>(buffer) + received, size - received);
  return static_cast<ssize_t>(received);
}

int fakeSocket(int, int, int) { return INT32_MAX; }
int fakeBind(int, const sockaddr*, socklen_t) { return 0; }
ssize_t fakeSend(int, const void* bytes, size_t length, int) {
  const auto* header = static_cast<const nlmsghdr*>(bytes);
  REQUIRE(header->nlmsg_len == length && length <= 512);
  return static_cast<ssize_t>(length);
}

}  // namespace

#define recv fakeRecv
#define socket fakeSocket
#define bind fakeBind
#define send fakeSend
#include "../engine/netlink.cc"
#undef socket
#undef bind
#undef send
#include "../engine/linkwatch.cc"
#undef recv

namespace {

// Peers that were heard from here and there.
Loop& loopWithPeers() {
  Loop& loop = quietLoop({});
  Endpoint place;
  REQUIRE(place.parse("192.0.2.1", 1) && place.parseSource("192.0.2.2", 3));
  loop.setEndpoint(*loop.addPeer(), place);
  REQUIRE(place.parse("2001:db8::1", 1) && place.parseSource("2001:db8::2", 3));
  loop.setEndpoint(*loop.addPeer(), place);
  return loop;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  Input mine(bytes, length);
  input = &mine;
  static Loop& loop = loopWithPeers();
  switch (input->byte() & 3) {
    case 0: {
      LinkState state;
      queryLink(1, state);
      break;
    }
    case 1:
      loop.checkSources();
      break;
    default: {
      LinkWatch watch(nothing());
      for (int i = 0; i < 3; i++) watch.read();
    }
  }
  return 0;
}
