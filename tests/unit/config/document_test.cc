// CONFIG.md says what the key list says.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "config_schema.h"

namespace carrel::config {
namespace {

std::string document() {
  std::ifstream file(CONFIG_DOCUMENT);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

template <class Root>
void expect_documented(std::span<const Key<Root>> keys, const std::string& text,
                       std::set<std::string>& lines) {
  for (const auto& key : keys) {
    const std::string line = documentation(key);
    EXPECT_NE(text.find(line + "\n"), std::string::npos) << "CONFIG.md lacks the line\n"
                                                         << line;
    EXPECT_TRUE(lines.insert(line).second) << key.name << " is listed twice";
  }
}

TEST(Document, HasEveryKeyWithItsTypeDefaultAndMeaning) {
  std::set<std::string> lines;
  const std::string text = document();
  ASSERT_FALSE(text.empty());
  expect_documented(engine_keys(), text, lines);
  expect_documented(kind_keys(), text, lines);
  expect_documented(queue_keys(), text, lines);
  expect_documented(sandbox_keys(), text, lines);

  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with("| `")) {
      EXPECT_TRUE(lines.contains(line)) << "CONFIG.md has a key that is none\n" << line;
    }
  }
}

// What the document prints as a default is what an empty file gives, and reads back.
template <class Root>
void expect_defaults_read_back(std::span<const Key<Root>> keys, const char* table) {
  for (const auto& key : keys) {
    std::string toml;
    const std::string name(key.name);
    const std::size_t dot = name.rfind('.');
    std::string parent = table;
    if (dot != std::string::npos) {
      parent += (parent.empty() ? "" : ".") + name.substr(0, dot);
    }
    if (!parent.empty()) toml = "[" + parent + "]\n";
    toml += name.substr(dot + 1) + " = " + shown(key, Root{}) + "\n";
    const auto config = Config::parse(toml, "default.toml");
    EXPECT_TRUE(config) << config.error().message;
    if (!config) continue;
    if constexpr (std::is_same_v<Root, Config>) {
      EXPECT_EQ(shown(key, *config), shown(key, Root{}));
    } else if constexpr (std::is_same_v<Root, QueueConfig>) {
      EXPECT_EQ(shown(key, config->queues.at("x")), shown(key, Root{}));
    } else if constexpr (std::is_same_v<Root, SandboxProfile>) {
      EXPECT_EQ(shown(key, config->sandboxes.at("x")), shown(key, Root{}));
    } else {
      EXPECT_EQ(shown(key, config->defaults), shown(key, Root{}));
    }
  }
}

TEST(Document, DefaultsReadBack) {
  expect_defaults_read_back(engine_keys(), "");
  expect_defaults_read_back(kind_keys(), "defaults");
  expect_defaults_read_back(queue_keys(), "queues.x");
  expect_defaults_read_back(sandbox_keys(), "sandbox.x");
}

}  // namespace
}  // namespace carrel::config
