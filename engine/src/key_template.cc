#include "key_template.h"

namespace carrel {
namespace {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> parts;
  while (true) {
    const auto dot = path.find('.');
    parts.emplace_back(path.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    path.remove_prefix(dot + 1);
  }
}

std::string joined(const std::vector<std::string>& path) {
  std::string text;
  for (const auto& part : path) text += (text.empty() ? "" : ".") + part;
  return text;
}

}  // namespace

Result<KeyTemplate> KeyTemplate::literal(std::string text) {
  KeyTemplate result;
  result.literals_.push_back(std::move(text));
  return result;
}

Result<KeyTemplate> KeyTemplate::parse(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return fail(Code::kInvalid, "key \"" + std::string(text) + "\": " + std::string(why));
  };
  KeyTemplate result;
  std::string literal;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c == '{' || c == '}') && i + 1 < text.size() && text[i + 1] == c) {
      literal += c;
      ++i;
    } else if (c == '}') {
      return bad("a '}' without its '{'");
    } else if (c == '{') {
      const auto end = text.find('}', i);
      if (end == std::string_view::npos) return bad("a '{' without its '}'");
      auto path = split(text.substr(i + 1, end - i - 1));
      for (const auto& part : path) {
        if (part.empty()) return bad("an empty field name");
      }
      result.literals_.push_back(std::move(literal));
      literal.clear();
      result.fields_.push_back(std::move(path));
      i = end;
    } else {
      literal += c;
    }
  }
  result.literals_.push_back(std::move(literal));
  return result;
}

Result<std::string> KeyTemplate::render(const Json& args) const {
  std::string key = literals_.front();
  for (std::size_t i = 0; i < fields_.size(); ++i) {
    const Json* at = &args;
    for (const auto& part : fields_[i]) {
      const auto it = at->is_object() ? at->find(part) : at->end();
      if (!at->is_object() || it == at->end()) {
        return fail(Code::kInvalid, "the key needs the argument \"" + joined(fields_[i]) +
                                        "\", which is not there");
      }
      at = &*it;
    }
    if (at->is_string()) {
      key += at->get_ref<const std::string&>();
    } else if (at->is_number() || at->is_boolean()) {
      key += at->dump();
    } else {
      return fail(Code::kInvalid, "the key's argument \"" + joined(fields_[i]) +
                                      "\" is neither text, number nor boolean");
    }
    key += literals_[i + 1];
  }
  return key;
}

}  // namespace carrel
