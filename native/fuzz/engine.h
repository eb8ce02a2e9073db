// The packet loops without threads, device and sockets: a target calls what the threads would.
#pragma once

#include <deque>

#include "../engine/esploop.h"
#include "../engine/loop.h"

namespace pellicle::fuzz {

// What was sent by udp.h's sendTrain, which the targets have a version of their own of.
struct SentTrain {
  Endpoint to;
  size_t segment = 0;
  std::vector<uint8_t> bytes;
};
std::vector<SentTrain>& sentTrains();

// In place of a device.
Tun nothing();

// What waits for udp.h's receiveTrain.
struct WaitingTrain {
  Endpoint from;
  size_t segment = 0;
  std::vector<uint8_t> bytes;
};
std::deque<WaitingTrain>& waitingTrains();

// They live as long as the program.
Loop& quietLoop(LoopOptions options);
EspLoop& quietEspLoop();

}  // namespace pellicle::fuzz
