// The links of this network namespace, as far as the shim asks.
#pragma once

#include <functional>
#include <string_view>

namespace links {

// True when an alias fits, and when the kernel does not tell.
bool any_alias(const std::function<bool(std::string_view)>& fits);

}  // namespace links
