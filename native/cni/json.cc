#include "json.h"

#include <stdio.h>

namespace json {
namespace {

constexpr int kMaxDepth = 100;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  std::optional<std::map<std::string, std::string>> Document() {
    std::map<std::string, std::string> members;
    Space();
    if (Peek() != '{' || !Object(0, &members)) return std::nullopt;
    Space();
    if (at_ != text_.size()) return std::nullopt;
    return members;
  }

 private:
  int Peek() const { return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : -1; }

  bool Take(char c) {
    if (Peek() != c) return false;
    at_++;
    return true;
  }

  void Space() {
    while (Peek() == ' ' || Peek() == '\t' || Peek() == '\n' || Peek() == '\r') at_++;
  }

  bool Word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  bool Value(int depth, std::string* string) {
    if (depth > kMaxDepth) return false;
    switch (Peek()) {
      case '{':
        return Object(depth, nullptr);
      case '[':
        return Array(depth);
      case '"':
        return String(string);
      case 't':
        return Word("true");
      case 'f':
        return Word("false");
      case 'n':
        return Word("null");
      default:
        return Number();
    }
  }

  bool Object(int depth, std::map<std::string, std::string>* members) {
    if (!Take('{')) return false;
    Space();
    if (Take('}')) return true;
    do {
      std::string key, value;
      Space();
      if (!String(&key)) return false;
      Space();
      if (!Take(':')) return false;
      Space();
      bool is_string = Peek() == '"';
      if (!Value(depth + 1, &value)) return false;
      if (members) {
        members->erase(key);
        if (is_string) members->emplace(std::move(key), std::move(value));
      }
      Space();
    } while (Take(','));
    return Take('}');
  }

  bool Array(int depth) {
    if (!Take('[')) return false;
    Space();
    if (Take(']')) return true;
    do {
      Space();
      if (!Value(depth + 1, nullptr)) return false;
      Space();
    } while (Take(','));
    return Take(']');
  }

  bool String(std::string* out) {
    if (!Take('"')) return false;
    for (;;) {
      int c = Peek();
      if (c < 0x20) return false;  // the end, or a control character
      at_++;
      if (c == '"') return true;
      if (c == '\\') {
        if (!Escape(out)) return false;
      } else if (out) {
        out->push_back(static_cast<char>(c));
      }
    }
  }

  bool Escape(std::string* out) {
    static constexpr std::string_view kFrom = "\"\\/bfnrt", kTo = "\"\\/\b\f\n\r\t";
    int c = Peek();
    if (c < 0) return false;
    at_++;
    if (c != 'u') {
      size_t index = kFrom.find(static_cast<char>(c));
      if (index == std::string_view::npos) return false;
      if (out) out->push_back(kTo[index]);
      return true;
    }
    unsigned unit = 0;
    for (int i = 0; i < 4; i++) {
      int digit = Peek();
      unsigned value;
      if (digit >= '0' && digit <= '9') value = static_cast<unsigned>(digit - '0');
      else if (digit >= 'a' && digit <= 'f') value = static_cast<unsigned>(digit - 'a' + 10);
      else if (digit >= 'A' && digit <= 'F') value = static_cast<unsigned>(digit - 'A' + 10);
      else return false;
      unit = unit * 16 + value;
      at_++;
    }
    // Beyond ASCII there is nothing that the shim looks at.
    if (out) out->push_back(unit > 0 && unit < 0x80 ? static_cast<char>(unit) : '?');
    return true;
  }

  bool Digits() {
    size_t start = at_;
    while (Peek() >= '0' && Peek() <= '9') at_++;
    return at_ > start;
  }

  bool Number() {
    Take('-');
    if (!Take('0') && !Digits()) return false;
    if (Take('.') && !Digits()) return false;
    if (Take('e') || Take('E')) {
      if (!Take('+')) Take('-');
      if (!Digits()) return false;
    }
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::optional<std::map<std::string, std::string>> top_level_strings(std::string_view text) {
  return Parser(text).Document();
}

std::string quote(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    unsigned char byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      char buffer[8];
      snprintf(buffer, sizeof buffer, "\\u%04x", byte);
      out += buffer;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

}  // namespace json
