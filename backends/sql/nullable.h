// A whole number that may be NULL, for soci::use and soci::into.
#pragma once

#include <soci/soci.h>

#include <optional>

namespace carrel::sql {

struct Nullable {
  long long value = 0;
  soci::indicator indicator = soci::i_null;

  void set(std::optional<long long> v) {
    indicator = soci::i_null;
    if (!v) return;
    value = *v;
    indicator = soci::i_ok;
  }
  std::optional<long long> get() const {
    return indicator == soci::i_null ? std::nullopt : std::optional(value);
  }
};

}  // namespace carrel::sql
