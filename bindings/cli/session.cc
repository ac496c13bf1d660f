#include "session.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "absolute_url.h"
#include "text.h"

namespace carrel::cli {
namespace {

constexpr const char* kDefaultFile = "carrel.toml";

Result<Config> defaults() {
  Config config;
  if (auto ok = config.apply_environment(); !ok) {
    return tl::unexpected<Error>(ok.error());
  }
  return config;
}

// Of SQLite, whose stores make theirs.
Result<void> require_file(const Config& config) {
  const auto url = Url::parse(config.store);
  if (!url || url->scheme != "sqlite" || url->rest.empty()) return {};
  std::error_code unknown;
  const auto file = config.directory / url->rest;
  if (std::filesystem::exists(file, unknown) ||
      !std::filesystem::is_directory(file.parent_path(), unknown)) {
    return {};  // where there is no folder either, its store says so
  }
  return fail(Code::kUnavailable, config.where("store") + "\"" + config.store +
                                      "\": there is no such file; "
                                      "\"carrel enqueue\" or \"carrel run\" makes it");
}

}  // namespace

std::string typed_url(const std::string& store) {
  std::error_code ignored;
  return absolute_url(std::filesystem::current_path(ignored), store);
}

std::string as_it_is(const std::string& store) {
  constexpr std::array<std::string_view, 5> kTables{"sqlite", "postgresql", "postgres",
                                                    "mysql", "mariadb"};
  const auto url = Url::parse(store);
  if (!url || url->query.contains("migrate") || url->rest.empty() ||
      std::find(kTables.begin(), kTables.end(), url->scheme) == kTables.end()) {
    return store;
  }
  const bool begun = store.ends_with('?') || store.ends_with('&');
  const char* const next = store.find('?') == store.npos ? "?" : "&";
  return store + (begun ? "" : next) + "migrate=off";
}

std::string config_file(const Global& global) {
  if (!global.config.empty()) return global.config;
  const char* const variable = std::getenv("CARREL_CONFIG");
  if (variable != nullptr && *variable != '\0') return variable;
  std::error_code ignored;
  return std::filesystem::exists(kDefaultFile, ignored) ? kDefaultFile : "";
}

Result<Config> load_config(const Global& global) {
  if (config_file(global).empty() && global.store.empty() &&
      std::getenv("CARREL_STORE") == nullptr) {
    return fail(Code::kInvalid,
                "there is no ./carrel.toml: name a configuration with --config FILE or "
                "CARREL_CONFIG, or a store with --store URL or CARREL_STORE");
  }
  return load_or_defaults(global);
}

Result<Config> load_or_defaults(const Global& global) {
  const std::string file = config_file(global);
  auto config = file.empty() ? defaults() : Config::load_with_environment(file);
  if (!config) {
    Error error = config.error();
    error.code = Code::kInvalid;  // a missing file too is wrong usage, not a missing job
    return tl::unexpected<Error>(std::move(error));
  }
  if (!global.store.empty()) {
    // The queue of another store would hand out tickets for jobs that are not there.
    if (config->queue == config->store) config->queue.clear();
    config->store = global.store;
    config->places["store"] = "--store";
    config->store = typed_url(global.store);
    if (auto ok = config->validate(); !ok) return tl::unexpected<Error>(ok.error());
  }
  return config;
}

Result<Registry> registry_of(const Config& config) {
  Registry registry = Registry::with_builtins();
  for (const std::string& plugin : config.plugins) {
    if (auto ok = registry.load(config.directory / plugin); !ok) {
      ok.error().code = Code::kInvalid;  // the configuration's, not a missing job
      return tl::unexpected<Error>(ok.error());
    }
  }
  return registry;
}

Result<void> ignite(Engine& engine) {
  auto ok = engine.ignite();
  if (!ok && ok.error().code == Code::kNotFound) ok.error().code = Code::kUnavailable;
  return ok;
}

Result<Engine> connect(const Global& global, bool makes) {
  auto config = load_config(global);
  if (!config) return tl::unexpected<Error>(config.error());
  if (!makes) {
    auto registry = registry_of(*config);  // what is wrong with that comes first
    if (!registry) return tl::unexpected<Error>(registry.error());
    if (auto ok = require_file(*config); !ok) return tl::unexpected<Error>(ok.error());
    if (config->queue == config->store) config->queue.clear();
    config->store = as_it_is(config->store);
  }
  config->role = Role::kProducer;
  config->mode = Mode::kNormal;
  config->worker = WorkerConfig{};
  if (!config->places.contains("log.level")) config->log.level = LogLevel::kWarn;
  auto engine = Engine::open(std::move(*config));
  if (!engine) return engine;
  if (auto ok = ignite(*engine); !ok) return tl::unexpected<Error>(ok.error());
  if (engine->store().traits().reach == Reach::kProcess) {
    return fail(Code::kInvalid,
                engine->config().where("store") + "\"" + engine->config().store +
                    "\" lives within one process, and ends with this command: use one "
                    "such as \"sqlite:jobs.db\"");
  }
  return engine;
}

std::string unhandled(const Health& health) {
  std::uint64_t jobs = 0;
  std::string kinds;
  for (const std::string& kind : health.unhandled) {
    jobs += health.counts.available_by_kind.at(kind);
    kinds += (kinds.empty() ? ": " : ", ") + printable(kind);
  }
  if (jobs == 0) return {};
  return grouped(jobs) +
         (jobs == 1 ? " job waits for a worker that knows its kind"
                    : " jobs wait for a worker that knows their kind") +
         kinds;
}

int exit_code(const Error& error) noexcept {
  constexpr std::array<std::string_view, 4> kStores{"sqlite", "postgresql", "mysql",
                                                    "zmq"};
  const bool of_store = std::ranges::count(kStores, error.origin) > 0;
  switch (error.code) {
    case Code::kInvalid:
      // What the system does not let it do is no wrong usage.
      return of_store && error.native != 0 ? kStoreAway : kUsage;
    case Code::kExists:
    case Code::kTooLarge:
      return kUsage;
    case Code::kUnsupported:
      // Of a store's tables, or of its server: not of what was asked for.
      return of_store ? kStoreAway : kUsage;
    case Code::kNotFound:
      return kNotFound;
    case Code::kTimeout:
      return kTimedOut;
    case Code::kFailed:
    case Code::kCancelled:
    case Code::kSnoozed:
    case Code::kDiscarded:
      return kJobFailed;
    case Code::kUnavailable:
    case Code::kStale:
    case Code::kCorrupt:
    case Code::kInternal:
      return kStoreAway;
  }
  return kStoreAway;
}

int failed(const Error& error) {
  complain(error.message);
  return exit_code(error);
}

void print_json(const Json& document) {
  const std::string text = document.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::printf("%s\n", escaped_controls(text).c_str());
}

}  // namespace carrel::cli
