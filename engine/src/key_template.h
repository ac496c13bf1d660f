// "user:{user}" over a job's arguments: how a configuration names what jobs must not
// share.
#pragma once

#include <carrel/types.h>

#include <string>
#include <string_view>
#include <vector>

namespace carrel {

class KeyTemplate {
 public:
  // "{name}" is a top-level member of the arguments, "{a.b}" a nested one; "{{" and "}}"
  // stand for the braces themselves. kInvalid: braces that do not match, an empty name.
  static Result<KeyTemplate> parse(std::string_view text);

  static Result<KeyTemplate> literal(std::string text);  // no braces are looked for

  bool constant() const noexcept { return fields_.empty(); }
  // kInvalid names the field that the arguments lack, or that is neither text, number nor
  // boolean.
  Result<std::string> render(const Json& args) const;

 private:
  // literals_[0] fields_[0] literals_[1] … literals_[n]
  std::vector<std::string> literals_;
  std::vector<std::vector<std::string>> fields_;
};

}  // namespace carrel
