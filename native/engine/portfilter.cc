#include "portfilter.h"

#include <linux/bpf.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <vector>

#include "ip.h"
#include "limits.h"

namespace pellicle {
namespace {

long bpf(bpf_cmd command, bpf_attr& attributes) { return syscall(SYS_bpf, command, &attributes, sizeof attributes); }

uint64_t pointer(const void* to) { return reinterpret_cast<uint64_t>(to); }

// A counter, as an array with one entry.
int makeCount() {
  bpf_attr map{};
  map.map_type = BPF_MAP_TYPE_ARRAY;
  map.key_size = sizeof(uint32_t);
  map.value_size = sizeof(uint64_t);
  map.max_entries = 1;
  return static_cast<int>(bpf(BPF_MAP_CREATE, map));
}

// BPF_PROG_TYPE_SOCKET_FILTER: it gets a datagram from the UDP header on, and returns how many bytes of it are kept.
class Program {
 public:
  explicit Program(int count) {
    add(BPF_ALU64 | BPF_MOV | BPF_X, kContext, BPF_REG_1);
    // Of a train the first datagram, which may be forged, says nothing about the others.
    add(BPF_LDX | BPF_MEM | BPF_W, kValue, kContext, offsetof(__sk_buff, gso_size));
    jump(BPF_JNE, kValue, 0, toPass_);
    add(BPF_LDX | BPF_MEM | BPF_W, kLength, kContext, offsetof(__sk_buff, len));
    jump(BPF_JLT, kLength, kUdpHeader + sizeof(uint32_t), toDrop_);
    add(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, kUdpHeader);
    accept(kData, BPF_JGE, kDataOverhead);
    accept(kInitiation, BPF_JEQ, kInitiationSize);
    accept(kResponse, BPF_JEQ, kResponseSize);
    accept(kCookieReply, BPF_JEQ, kCookieReplySize);
    land(toDrop_);
    add(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_VALUE, 0, count);
    add(0);
    add(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 1);
    add(BPF_STX | BPF_ATOMIC | BPF_DW, BPF_REG_1, BPF_REG_2, 0, BPF_ADD);
    finish(0);
    land(toPass_);
    finish(-1);
  }

  int load() const {
    bpf_attr program{};
    program.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    program.insns = pointer(code_.data());
    program.insn_cnt = static_cast<uint32_t>(code_.size());
    program.license = pointer("Apache-2.0");
    return static_cast<int>(bpf(BPF_PROG_LOAD, program));
  }

 private:
  static constexpr uint8_t kValue = BPF_REG_0;
  static constexpr uint8_t kContext = BPF_REG_6;  // where BPF_ABS expects it
  static constexpr uint8_t kLength = BPF_REG_7;

  void add(uint8_t code, uint8_t to = 0, uint8_t from = 0, int16_t offset = 0, int32_t value = 0) {
    code_.push_back({code, static_cast<uint8_t>(to & 15), static_cast<uint8_t>(from & 15), offset, value});
  }
  void jump(uint8_t condition, uint8_t left, int32_t right, std::vector<size_t>& target) {
    target.push_back(code_.size());
    add(static_cast<uint8_t>(BPF_JMP32 | condition | BPF_K), left, 0, 0, right);
  }
  void land(const std::vector<size_t>& jumps) {
    for (const size_t from : jumps) code_[from].off = static_cast<int16_t>(code_.size() - from - 1);
  }
  // BPF_ABS loads big-endian: the type comes first, then three zeros.
  void accept(uint8_t type, uint8_t condition, size_t length) {
    std::vector<size_t> toNext;
    jump(BPF_JNE, kValue, type << 24, toNext);
    jump(condition, kLength, static_cast<int32_t>(kUdpHeader + length), toPass_);
    land(toNext);
  }
  void finish(int32_t kept) {
    add(BPF_ALU64 | BPF_MOV | BPF_K, kValue, 0, 0, kept);
    add(BPF_JMP | BPF_EXIT);
  }

  std::vector<bpf_insn> code_;
  std::vector<size_t> toPass_;
  std::vector<size_t> toDrop_;
};

}  // namespace

PortFilter::PortFilter() : count_(makeCount()) {
  if (count_ >= 0) program_ = Program(count_).load();
}

PortFilter::~PortFilter() {
  if (program_ >= 0) close(program_);
  if (count_ >= 0) close(count_);
}

void PortFilter::attach(int socket) const {
  if (socket < 0) return;
  if (program_ >= 0) setsockopt(socket, SOL_SOCKET, SO_ATTACH_BPF, &program_, sizeof program_);
  // One that another process left would count where nobody looks.
  else setsockopt(socket, SOL_SOCKET, SO_DETACH_BPF, &program_, sizeof program_);
}

uint64_t PortFilter::takeDropped() {
  const uint32_t first = 0;
  uint64_t dropped = 0;
  bpf_attr lookup{};
  lookup.map_fd = static_cast<uint32_t>(count_);
  lookup.key = pointer(&first);
  lookup.value = pointer(&dropped);
  if (count_ < 0 || bpf(BPF_MAP_LOOKUP_ELEM, lookup) != 0) return 0;
  const uint64_t more = dropped - taken_;
  taken_ = dropped;
  return more;
}

}  // namespace pellicle
