#include "migrate.h"

namespace carrel::sql {

Result<Migrate> parse_migrate(std::string_view text) {
  if (text == "new") return Migrate::kNew;
  if (text == "on") return Migrate::kOn;
  if (text == "off") return Migrate::kOff;
  return fail(Code::kInvalid,
              "migrate: expected new, on or off, got \"" + std::string(text) + "\"");
}

bool needs_steps(const SchemaVersion& found, int known, Migrate migrate) {
  const std::string has = "its schema has version " + std::to_string(found.version);
  if (found.version > known && found.usable_from > known) {
    throw SchemaProblem{Code::kUnsupported,
                        has + ", which needs a carrel that knows version " +
                            std::to_string(found.usable_from) + "; this one knows " +
                            std::to_string(known) + ": use a newer carrel"};
  }
  if (found.version >= known) return false;
  if (migrate == Migrate::kOn || (migrate == Migrate::kNew && found.version == 0)) {
    return true;
  }
  throw SchemaProblem{Code::kUnsupported,
                      (found.version == 0 ? std::string("it has no tables of carrel's")
                                          : has + ", this program needs version " +
                                                std::to_string(known)) +
                          ": run \"carrel migrate\""};
}

}  // namespace carrel::sql
