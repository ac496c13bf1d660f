#include "trial/program.h"

#include <carrel/engine.h>
#include <carrel/registry.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "trial/scratch.h"

namespace trial {
namespace {

namespace fs = std::filesystem;

carrel::Result<void> check_file(const std::string& file) {
  std::error_code error;
  const bool there = fs::exists(file, error);
  if (!std::ofstream(file, std::ios::app)) {
    return carrel::fail(carrel::Code::kInvalid,
                        "cannot write " + file + ": " + std::strerror(errno));
  }
  if (!there) fs::remove(file, error);
  return {};
}

// A file of SQLite is made in a folder that goes again, as in a trial.
carrel::Result<void> check_store(const std::string& url) {
  const Folder folder("carrel-check");
  carrel::Config config;
  config.store = url;
  config.directory = folder.path();
  config.log.level = carrel::LogLevel::kOff;
  auto engine = carrel::Engine::open(std::move(config));
  if (!engine) return tl::unexpected(engine.error());
  return engine->ignite();
}

// As a shell takes it for one word.
std::string quoted(const std::string& word) {
  if (!word.empty() &&
      word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "0123456789-_=+./:,@%") == std::string::npos) {
    return word;
  }
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string without_password(const std::string& value) {
  if (value.find(':') == std::string::npos) return value;
  const auto url = carrel::Url::parse(value);
  return url ? url->redacted() : value;
}

}  // namespace

std::optional<int> parse(CLI::App& app, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  return {};
}

carrel::Result<void> check(const std::vector<std::string>& files,
                           const std::vector<std::string>& stores) {
  for (const std::string& file : files) {
    if (file.empty()) continue;
    if (auto ok = check_file(file); !ok) return ok;
  }
  for (const std::string& url : stores) {
    if (auto ok = check_store(url); !ok) return ok;
  }
  return {};
}

std::string same_run(const std::string& example, int argc, const char* const* argv) {
  std::string out = "examples/run " + example;
  bool secret = false;  // the word before named one
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const std::size_t equals =
        word.starts_with("--") ? word.find('=') : std::string::npos;
    const std::string option =
        equals == std::string::npos ? "" : word.substr(0, equals + 1);
    std::string value = word.substr(option.size());
    if (secret || option.starts_with("--secret")) {
      value = "***";
    } else {
      value = without_password(value);
    }
    secret = option.empty() && word.starts_with("--secret");
    out += " " + quoted(option + value);
  }
  return out;
}

}  // namespace trial
