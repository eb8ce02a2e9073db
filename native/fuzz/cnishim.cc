// The CNI shim: its environment, its configuration, and what comes from the agent's socket.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>

#include "../cni/json.h"
#include "fuzz.h"

using namespace pellicle::fuzz;

namespace {

constexpr int kAgent = 1000;

struct Exited {
  int status;
};

// What the shim meets.
struct World {
  std::vector<uint8_t> config;
  std::vector<uint8_t> answer;
  size_t chunk = 1;
  bool connects = true;

  size_t configRead = 0;
  size_t answerRead = 0;
  std::string written;  // to the agent
  std::string printed;
} world;

ssize_t take(const std::vector<uint8_t>& from, size_t& at, void* into, size_t size) {
  const size_t count = std::min({size, world.chunk, from.size() - at});
  if (count > 0) std::memcpy(into, from.data() + at, count);
  at += count;
  return static_cast<ssize_t>(count);
}

ssize_t fakeRead(int fd, void* into, size_t size) {
  return fd == STDIN_FILENO ? take(world.config, world.configRead, into, size)
                            : take(world.answer, world.answerRead, into, size);
}

ssize_t fakeWrite(int fd, const void* bytes, size_t size) {
  const size_t count = std::min(size, world.chunk);
  (fd == kAgent ? world.written : world.printed).append(static_cast<const char*>(bytes), count);
  return static_cast<ssize_t>(count);
}

ssize_t fakeSendmsg(int fd, const msghdr* message, int) {
  return fakeWrite(fd, message->msg_iov->iov_base, message->msg_iov->iov_len);
}

int fakeSocket(int, int, int) { return kAgent; }
int fakeConnect(int, const sockaddr* address, socklen_t size) {
  REQUIRE(size == sizeof(sockaddr_un));
  const auto* path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
  REQUIRE(memchr(path, 0, sizeof(sockaddr_un::sun_path)) != nullptr);
  if (!world.connects) errno = ECONNREFUSED;
  return world.connects ? 0 : -1;
}
int fakeSetsockopt(int, int, int, const void*, socklen_t) { return 0; }
int fakeOpen(const char* path, int) { return path[0] == '/' ? 0 : -1; }

}  // namespace

#define main shimMain
#define exit(status) throw Exited { status }
#define read fakeRead
#define write fakeWrite
#define sendmsg fakeSendmsg
#define socket fakeSocket
#define connect fakeConnect
#define setsockopt fakeSetsockopt
#define open fakeOpen
#include "../cni/main.cc"
#undef main
#undef exit

namespace {

const char* const kNames[] = {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"};
const char* const kCommands[] = {"ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION", "OTHER"};

void setEnvironment(Input& input) {
  for (const char* name : kNames) {
    const uint8_t kind = input.byte();
    if (kind < 16) {
      unsetenv(name);
    } else if (kind < 128) {
      setenv(name, input.text(kind).c_str(), 1);
    } else {
      setenv(name, name == kNames[0] ? kCommands[kind % 7] : "/x", 1);
    }
  }
}

bool printedAnError() {
  const auto members = json::top_level_strings(world.printed);
  return members && members->contains("cniVersion") && !members->at("msg").empty();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t length) {
  Input input(bytes, length);
  version = kNewest;
  world = World();
  setEnvironment(input);
  const uint8_t order = input.byte();
  world.chunk = (order & 1) != 0 ? 1 + input.byte() : SIZE_MAX;
  world.connects = (order & 2) == 0;
  world.config = input.bytes(input.upTo(2000));
  if ((order & 4) != 0) {
    const std::string plain = R"({"cniVersion":"1.0.0","agent-socket":"/run/a"})";
    world.config.assign(plain.begin(), plain.end());
  }
  world.answer = input.rest();
  if ((order & 8) != 0 && world.answer.size() >= 5) {
    const size_t size = world.answer.size() - 4;
    for (int i = 0; i < 4; i++) world.answer[static_cast<size_t>(i)] = static_cast<uint8_t>(size >> (24 - 8 * i));
  }
  int status;
  try {
    status = shimMain();
  } catch (const Exited& exited) {
    status = exited.status;
  }
  if (!world.written.empty() && world.answerRead > 5 && world.answerRead == world.answer.size() && !printedAnError()) {
    REQUIRE(status == world.answer[4]);
    REQUIRE(world.printed == std::string(world.answer.begin() + 5, world.answer.end()));
    return 0;
  }
  if (world.answerRead >= 5) return 0;  // an answer, or an error about it that the answer may look like
  REQUIRE(status == 0 || printedAnError());
  return 0;
}
