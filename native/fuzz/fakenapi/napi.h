// As much of node-addon-api as native/linux uses, without Node: values are plain, workers run at once.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace Napi {

class Value;

struct Env {
  Value Undefined() const;
};

struct Contents {
  bool isNumber = false;
  double number = 0;
  std::string string;
  bool isString = false;
  uint8_t* bytes = nullptr;
  size_t length = 0;
  std::vector<uint8_t> own;
  bool isBytes = false;
  std::vector<Value> entries;
};

class Value {
 public:
  Value() : contents(std::make_shared<Contents>()) {}
  template <class T>
  T As() const {
    T result;
    result.contents = contents;
    return result;
  }
  bool IsString() const { return contents->isString; }
  bool IsTypedArray() const { return contents->isBytes; }
  class Number ToNumber() const;

  std::shared_ptr<Contents> contents;
};

inline Value Env::Undefined() const { return {}; }

class Number : public Value {
 public:
  static Number New(Env, double value) {
    Number result;
    result.contents->isNumber = true;
    result.contents->number = value;
    return result;
  }
  int32_t Int32Value() const { return static_cast<int32_t>(static_cast<int64_t>(contents->number)); }
  uint32_t Uint32Value() const { return static_cast<uint32_t>(static_cast<int64_t>(contents->number)); }
};

inline Number Value::ToNumber() const { return As<Number>(); }

class String : public Value {
 public:
  static String New(Env, const std::string& text) {
    String result;
    result.contents->isString = true;
    result.contents->string = text;
    return result;
  }
  std::string Utf8Value() const { return contents->string; }
};

class Uint8Array : public Value {
 public:
  uint8_t* Data() const { return contents->bytes; }
  size_t ByteLength() const { return contents->length; }
};

template <class T>
class Buffer : public Uint8Array {
 public:
  static Buffer Copy(Env, const uint8_t* bytes, size_t length) {
    Buffer result;
    result.contents->own.assign(bytes, bytes + length);
    result.contents->bytes = result.contents->own.data();
    result.contents->length = length;
    result.contents->isBytes = true;
    return result;
  }
};

class Array : public Value {
 public:
  static Array New(Env, size_t = 0) { return {}; }
  uint32_t Length() const { return static_cast<uint32_t>(contents->entries.size()); }
  Value operator[](uint32_t index) const { return contents->entries.at(index); }
  Value Get(uint32_t index) const { return contents->entries.at(index); }
  void Set(uint32_t index, const Value& value) {
    if (contents->entries.size() <= index) contents->entries.resize(index + 1);
    contents->entries[index] = value;
  }
};

class CallbackInfo {
 public:
  explicit CallbackInfo(std::vector<Value> given) : arguments(std::move(given)) {}
  Napi::Env Env() const { return {}; }
  size_t Length() const { return arguments.size(); }
  Value operator[](size_t index) const { return index < arguments.size() ? arguments[index] : Value(); }

  std::vector<Value> arguments;
};

using Callback = std::function<Value(const CallbackInfo&)>;

struct Function {
  static Function New(Env, Callback callback, const char*) { return {std::move(callback)}; }
  Callback callback;
};

class Object : public Value {
 public:
  Napi::Env Env() const { return {}; }
  void Set(const char* name, Function function) { (*functions)[name] = std::move(function.callback); }
  std::shared_ptr<std::map<std::string, Callback>> functions = std::make_shared<std::map<std::string, Callback>>();
};

struct TypeError {
  static TypeError New(Env, const char*) { return {}; }
  void ThrowAsJavaScriptException() const {}
};

class Promise : public Value {
 public:
  class Deferred {
   public:
    static Deferred New(Env) { return {}; }
    Napi::Promise Promise() const;
    void Resolve(const Value& value) const {
      Contents& result = *result_.contents;
      result = *value.contents;
      if (!result.own.empty()) result.bytes = result.own.data();
    }

   private:
    Value result_;
  };
};

inline Promise Promise::Deferred::Promise() const { return result_.As<Napi::Promise>(); }

class AsyncWorker {
 public:
  explicit AsyncWorker(Napi::Env) {}
  virtual ~AsyncWorker() = default;
  void Queue() {
    Execute();
    OnOK();
    delete this;
  }

 protected:
  virtual void Execute() = 0;
  virtual void OnOK() {}
  Napi::Env Env() const { return {}; }
};

}  // namespace Napi
