// Why a packet of ESP was let go. src/engine/esp-native.ts has the same names; src/proto/esp/drops.ts tells what those of
// the protocol mean.
#pragma once

#include "drops.h"

namespace pellicle {

enum class EspDrop : size_t {
  // inbound
  kInHeader,
  kInNoState,
  kInStateProtocol,
  kInStateMode,
  kInStateSequence,
  kInTemplateMismatched,
  // outbound
  kOutNoState,
  kOutStateMode,
  kOutStateSequence,
  kOutStateExpired,
  // of this machine
  kBadOffload,
  kMulticast,
  kOwnDatagram,
  kSendFailed,
  kNoSocket,
  kTunWriteFailed,
  kCount,
  kNone = kCount,
};

constexpr const char* kEspDropNames[] = {
    "XfrmInHdrError",     "XfrmInNoStates",      "XfrmInStateProtoError", "XfrmInStateModeError",
    "XfrmInStateSeqError", "XfrmInTmplMismatch",  "XfrmOutNoStates",       "XfrmOutStateModeError",
    "XfrmOutStateSeqError", "XfrmOutStateExpired", "badOffload",            "multicast",
    "ownDatagram",        "sendFailed",         "noSocket",            "tunWriteFailed",
};
static_assert(sizeof(kEspDropNames) / sizeof(kEspDropNames[0]) == static_cast<size_t>(EspDrop::kCount));

using EspDrops = DropCounts<EspDrop>;

}  // namespace pellicle
