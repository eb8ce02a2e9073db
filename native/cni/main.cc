// The CNI plugin that the kubelet's runtime runs (containernetworking/cni, SPEC.md 1.1): it hands the request to the
// agent on this node and prints the agent's answer. It knows the protocol's envelope and nothing of networks.
//
// Request: u32 big-endian length, then `CNI_…=value` strings that each end with NUL, an empty string, and what came
// on stdin. The network namespace comes along as an open file, so that the agent needs not see the path.
// Answer: u32 big-endian length, u8 exit status, then what goes to stdout.
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

#include <map>
#include <string>
#include <string_view>

#include "json.h"
#include "links.h"

namespace {

constexpr size_t kMaxConfig = 1 << 20;
constexpr size_t kMaxAnswer = 16 << 20;
constexpr int kAnswerSeconds = 90;
constexpr const char* kSocket = "/var/run/cilium/cni.sock";
constexpr const char* kVersions[] = {"0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};
constexpr const char* kNewest = "1.1.0";

// Codes of the specification, "Error".
enum Code {
  kIncompatible = 1,
  kBadEnvironment = 4,
  kIo = 5,
  kNotDecoded = 6,
  kBadConfig = 7,
  kTryLater = 11,
  kNotAvailable = 50
};

std::string version = kNewest;

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t n = write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

[[noreturn]] void fail(Code code, const std::string& message, const std::string& details = "") {
  std::string text = "{\n  \"cniVersion\": " + json::quote(version) + ",\n  \"code\": " + std::to_string(code) +
                     ",\n  \"msg\": " + json::quote(message);
  if (!details.empty()) text += ",\n  \"details\": " + json::quote(details);
  write_all(STDOUT_FILENO, text + "\n}\n");
  exit(1);
}

std::string environment(const char* name) {
  const char* value = getenv(name);
  return value ? value : "";
}

std::string read_config() {
  std::string config;
  char buffer[65536];
  for (;;) {
    ssize_t n = read(STDIN_FILENO, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(kIo, "cannot read the network configuration from stdin", strerror(errno));
    if (n == 0) return config;
    config.append(buffer, static_cast<size_t>(n));
    if (config.size() > kMaxConfig) fail(kNotDecoded, "the network configuration on stdin is longer than 1 MiB");
  }
}

bool is_version(const std::string& text) {
  return !text.empty() && text.size() < 32 && text.find_first_not_of("0123456789.") == std::string::npos;
}

[[noreturn]] void print_versions() {
  std::string list;
  for (const char* each : kVersions) list += (list.empty() ? "" : ", ") + json::quote(each);
  std::string text = "{\n  \"cniVersion\": " + json::quote(version) + ",\n  \"supportedVersions\": [" + list + "]\n}\n";
  exit(write_all(STDOUT_FILENO, text) ? 0 : 1);
}

void require(const std::string& command, const char* name) {
  if (environment(name).empty()) {
    fail(kBadEnvironment, std::string(name) + " is not set: " + command + " needs it in the environment");
  }
}

void check_environment(const std::string& command) {
  bool of_container = command == "ADD" || command == "DEL" || command == "CHECK";
  if (!of_container && command != "GC" && command != "STATUS") {
    fail(kBadEnvironment, "CNI_COMMAND is unknown: write ADD, DEL, CHECK, GC, STATUS or VERSION", command);
  }
  if (of_container) require(command, "CNI_CONTAINERID");
  if (of_container) require(command, "CNI_IFNAME");
  if (command == "ADD" || command == "CHECK") require(command, "CNI_NETNS");
}

// A version that is no string, the agent judges.
void check_version(const std::map<std::string, std::string>& config) {
  auto wanted = config.find("cniVersion");
  if (wanted == config.end()) return;
  std::string list;
  for (const char* each : kVersions) {
    if (wanted->second == each) return;
    list += (list.empty() ? "" : ", ") + std::string(each);
  }
  fail(kIncompatible, "\"cniVersion\" " + json::quote(wanted->second) + " is not one of " + list);
}

// DEL has nothing to do when the namespace is gone, and the pod's link with it: the agent gives an address back when it
// starts and finds no link that has it. While the link is there the namespace lives on, whatever became of its path.
bool nothing_to_delete(const std::string& command) {
  std::string netns = environment("CNI_NETNS");
  if (command != "DEL" || (!netns.empty() && access(netns.c_str(), F_OK) == 0)) return false;
  // src/cni/endpoint.ts writes the alias; of a long one, only the first 12 characters of the container's id.
  std::string id = environment("CNI_CONTAINERID"), rest = ":" + environment("CNI_IFNAME") + ":";
  std::string whole = "pellicle:" + id + rest, cut = "pellicle:" + id.substr(0, 12) + rest;
  return !links::any_alias([&](std::string_view alias) { return alias.starts_with(whole) || alias.starts_with(cut); });
}

std::string big_endian(uint32_t value) {
  char bytes[4] = {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
                   static_cast<char>(value)};
  return std::string(bytes, 4);
}

std::string request(const std::string& config) {
  std::string body;
  for (const char* name : {"CNI_COMMAND", "CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS", "CNI_PATH"}) {
    if (const char* value = getenv(name)) body.append(name).append("=").append(value).push_back('\0');
  }
  body.push_back('\0');
  body += config;
  return big_endian(static_cast<uint32_t>(body.size())) + body;
}

int connect_to_agent(const std::string& path, const std::string& command, Code unavailable) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    fail(kBadConfig, "the configuration's \"agent-socket\" is too long: a unix socket's path has at most 107 bytes");
  }
  memcpy(address.sun_path, path.data(), path.size());
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) {
    int error = errno;
    if ((error == ENOENT || error == ECONNREFUSED) && nothing_to_delete(command)) exit(0);
    fail(unavailable, "the Pellicle agent on this node does not answer: see that the pod of DaemonSet cilium runs here",
         path + ": " + strerror(error));
  }
  timeval limit{kAnswerSeconds, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  return fd;
}

// The descriptor of the network namespace goes with the first byte; a path that does not open is the agent's to judge.
bool send_request(int fd, const std::string& bytes, const std::string& netns) {
  int file = netns.empty() ? -1 : open(netns.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return write_all(fd, bytes);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof file)] = {};
  iovec iov{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof control;
  cmsghdr* c = CMSG_FIRSTHDR(&header);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(sizeof file);
  memcpy(CMSG_DATA(c), &file, sizeof file);
  ssize_t n;
  do {
    n = sendmsg(fd, &header, MSG_NOSIGNAL);
  } while (n < 0 && errno == EINTR);
  return n > 0 && write_all(fd, std::string_view(bytes).substr(static_cast<size_t>(n)));
}

bool read_exactly(int fd, char* into, size_t size) {
  while (size > 0) {
    ssize_t n = read(fd, into, size);
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) errno = ECONNRESET;
    if (n <= 0) return false;
    into += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

}  // namespace

int main() {
  std::string command = environment("CNI_COMMAND");
  if (command.empty()) {
    fail(kBadEnvironment, "CNI_COMMAND is not set: this is a CNI plugin, which a container runtime runs");
  }
  signal(SIGPIPE, SIG_IGN);
  std::string config = read_config();
  auto members = json::top_level_strings(config);
  if (members && members->contains("cniVersion") && is_version(members->at("cniVersion"))) {
    version = members->at("cniVersion");
  }
  if (command == "VERSION") print_versions();
  check_environment(command);
  if (!members) fail(kNotDecoded, "the network configuration on stdin is not a JSON object");
  check_version(*members);

  std::string path = (*members)["agent-socket"];
  Code unavailable = command == "STATUS" ? kNotAvailable : kTryLater;
  int fd = connect_to_agent(path.empty() ? kSocket : path, command, unavailable);
  unsigned char head[5];
  bool sent = send_request(fd, request(config), environment("CNI_NETNS"));
  if (!sent || !read_exactly(fd, reinterpret_cast<char*>(head), sizeof head)) {
    fail(unavailable, "the Pellicle agent on this node went away before it answered: try again", strerror(errno));
  }
  size_t size = static_cast<size_t>(head[0]) << 24 | head[1] << 16 | head[2] << 8 | head[3];
  if (size == 0 || size > kMaxAnswer) fail(kIo, "the Pellicle agent's answer is malformed");
  std::string answer(size - 1, '\0');
  if (!read_exactly(fd, answer.data(), answer.size())) {
    fail(unavailable, "the Pellicle agent on this node went away while it answered: try again", strerror(errno));
  }
  return write_all(STDOUT_FILENO, answer) ? head[4] : 1;
}
