// Readiness of a descriptor on Node's own event loop.
#include <uv.h>

#include "linux.h"

namespace pellicle {
namespace {

// new Poll(fd, (events, error) => …); start(UV_READABLE = 1 | UV_WRITABLE = 2); stop(); close(); ref(); unref()
class Poll : public Napi::ObjectWrap<Poll> {
 public:
  static Napi::Function Define(Napi::Env env) {
    return DefineClass(env, "Poll",
                       {
                           InstanceMethod<&Poll::Start>("start"),
                           InstanceMethod<&Poll::Stop>("stop"),
                           InstanceMethod<&Poll::Close>("close"),
                           InstanceMethod<&Poll::Ref>("ref"),
                           InstanceMethod<&Poll::Unref>("unref"),
                       });
  }

  explicit Poll(const Napi::CallbackInfo& info)
      : Napi::ObjectWrap<Poll>(info), context_(info.Env(), "pellicle.Poll") {
    uv_loop_t* loop = nullptr;
    napi_get_uv_event_loop(info.Env(), &loop);
    handle_ = new uv_poll_t;
    int error = uv_poll_init(loop, handle_, int_arg(info, 0));
    if (error < 0) {
      delete handle_;
      handle_ = nullptr;
      Napi::Error::New(info.Env(), std::string("uv_poll_init: ") + uv_strerror(error)).ThrowAsJavaScriptException();
      return;
    }
    handle_->data = this;
    callback_ = Napi::Persistent(info[1].As<Napi::Function>());
    Napi::ObjectWrap<Poll>::Ref();  // alive until close()
    napi_add_env_cleanup_hook(info.Env(), &Poll::CleanUp, this);
  }

 private:
  Napi::Value Start(const Napi::CallbackInfo& info) {
    int error = handle_ ? uv_poll_start(handle_, int_arg(info, 0), &Poll::OnEvent) : UV_EBADF;
    return Napi::Number::New(info.Env(), error);
  }

  Napi::Value Stop(const Napi::CallbackInfo& info) {
    if (handle_) uv_poll_stop(handle_);
    return info.Env().Undefined();
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    if (handle_) {
      napi_remove_env_cleanup_hook(info.Env(), &Poll::CleanUp, this);
      Drop();
      callback_.Reset();
      Napi::ObjectWrap<Poll>::Unref();
    }
    return info.Env().Undefined();
  }

  Napi::Value Ref(const Napi::CallbackInfo& info) {
    if (handle_) uv_ref(reinterpret_cast<uv_handle_t*>(handle_));
    return info.Env().Undefined();
  }

  Napi::Value Unref(const Napi::CallbackInfo& info) {
    if (handle_) uv_unref(reinterpret_cast<uv_handle_t*>(handle_));
    return info.Env().Undefined();
  }

  // After uv_close the descriptor is out of the loop's epoll set: the caller may close it at once.
  void Drop() {
    handle_->data = nullptr;
    uv_close(reinterpret_cast<uv_handle_t*>(handle_),
             [](uv_handle_t* handle) { delete reinterpret_cast<uv_poll_t*>(handle); });
    handle_ = nullptr;
  }

  static void CleanUp(void* self) {
    auto* poll = static_cast<Poll*>(self);
    if (poll->handle_) poll->Drop();
  }

  static void OnEvent(uv_poll_t* handle, int status, int events) {
    auto* poll = static_cast<Poll*>(handle->data);
    if (!poll) return;
    Napi::Env env = poll->Env();
    Napi::HandleScope scope(env);
    try {
      poll->callback_.MakeCallback(
          env.Global(), {Napi::Number::New(env, status < 0 ? 0 : events), Napi::Number::New(env, status)},
          poll->context_);
    } catch (const Napi::Error& error) {
      napi_fatal_exception(env, error.Value());  // as any other uncaught exception of a callback
    }
  }

  uv_poll_t* handle_ = nullptr;
  Napi::FunctionReference callback_;
  Napi::AsyncContext context_;
};

}  // namespace

void export_poll(Napi::Env env, Napi::Object exports) { exports.Set("Poll", Poll::Define(env)); }

}  // namespace pellicle
