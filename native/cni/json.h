// As much JSON (RFC 8259) as the shim needs: is it an object, and which strings stand at its top level.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace json {

// The string members of the object `text`; nothing when it is not one JSON object.
std::optional<std::map<std::string, std::string>> top_level_strings(std::string_view text);

// With quotes.
std::string quote(std::string_view text);

}  // namespace json
