// Terminals and /dev/net/tun: the few ioctls that have no other way.
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "linux.h"

namespace pellicle {
namespace {

// setWindowSize(fd, columns, rows) -> 0 | -errno
Napi::Value SetWindowSize(const Napi::CallbackInfo& info) {
  winsize size{};
  size.ws_col = static_cast<unsigned short>(int_arg(info, 1));
  size.ws_row = static_cast<unsigned short>(int_arg(info, 2));
  return Napi::Number::New(info.Env(), ioctl(int_arg(info, 0), TIOCSWINSZ, &size) < 0 ? -errno : 0);
}

// tunFeatures() -> flags (IFF_TUN, IFF_VNET_HDR, …) | -errno
Napi::Value TunFeatures(const Napi::CallbackInfo& info) {
  Fd fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  unsigned features = 0;
  int result = fd.get() < 0 || ioctl(fd.get(), TUNGETFEATURES, &features) < 0 ? -errno : static_cast<int>(features);
  return Napi::Number::New(info.Env(), result);
}

}  // namespace

void export_device(Napi::Env, Napi::Object exports) {
  export_function(exports, "setWindowSize", SetWindowSize);
  export_function(exports, "tunFeatures", TunFeatures);
}

}  // namespace pellicle
