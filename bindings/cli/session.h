// What most commands begin with: the configuration, and an engine on its store.
#pragma once

#include <carrel/engine.h>

#include "arguments.h"

namespace carrel::cli {

inline constexpr std::size_t kBatch = 500;  // rows of one transaction

// --config, else $CARREL_CONFIG, else ./carrel.toml if that is there; empty: no file.
std::string config_file(const Global& global);

// The file, then the environment, then --store. Any error is one of the configuration:
// also that there is neither a file nor a store.
Result<Config> load_config(const Global& global);
// Likewise, but where there is neither the defaults hold.
Result<Config> load_or_defaults(const Global& global);

// With the plugins that the configuration names.
Result<Registry> registry_of(const Config& config);

// The URL of a store that a person has typed: its files begin where they stand.
std::string typed_url(const std::string& store);

// The URL of a store with what lets it change no tables, nor make any: one that is only
// looked at may be another program's. As it stands where it says something of that
// itself.
std::string as_it_is(const std::string& store);

// An engine that only looks, asks and enqueues; ignited. Refuses a store that lives in
// one process: this one would end before anybody saw what it did. `makes`: a file or
// tables that are not there yet are made; else that is refused (kUnavailable,
// kUnsupported), since who looks for jobs has mistyped a name.
Result<Engine> connect(const Global& global, bool makes = false);

// engine.ignite(). Where the store's place is not there, it is the store that is away,
// and no job that is not found.
Result<void> ignite(Engine& engine);

// "2 jobs wait for a worker that knows their kind: a, b"; empty: none does.
std::string unhandled(const Health& health);

// Complains, and answers with the exit code that the error means.
int failed(const Error& error);
int exit_code(const Error& error) noexcept;

// One JSON document on one line, whatever bytes are in it.
void print_json(const Json& document);

}  // namespace carrel::cli
