// Which backends and isolations there are, by name; how plugins add theirs.
#pragma once

#include <carrel/isolation.h>
#include <carrel/queue.h>
#include <carrel/store.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace carrel {

// A backend's address: "sqlite:jobs.db?synchronous=NORMAL", "memory:",
// "postgresql://host/db".
struct Url {
  std::string text;                          // as given
  std::string scheme;                        // up to the first ':'; lower case
  std::string rest;                          // between scheme and '?', not decoded
  std::map<std::string, std::string> query;  // percent-decoded

  static Result<Url> parse(std::string_view text);
  // `text` with any password replaced by "***": for logs and messages.
  std::string redacted() const;
};

using StoreFactory =
    std::function<Result<std::unique_ptr<Store>>(const Url&, const BackendOptions&)>;
using QueueFactory =
    std::function<Result<std::unique_ptr<Queue>>(const Url&, const BackendOptions&)>;
// What brings a store's tables from the version that is there to the one that this
// library writes; from == to: nothing.
struct SchemaChange {
  int from = 0;  // 0: there are no tables
  int to = 0;
  std::string sql;
};
// `apply`: does it, too. For stores whose tables a person may want to change when they
// say so; whether opening one changes them is said by its URL (`migrate`).
using SchemaFactory = std::function<Result<SchemaChange>(const Url&, bool apply)>;
// Rebuilds the tables that claims read, or their indexes, where much has died in them;
// answers with what they took before and take now, and how it was done, in a sentence.
struct Reindexed {
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
  std::string how;
};
using ReindexFactory = std::function<Result<Reindexed>(const Url&)>;
// Called once an engine and name, with all kinds that named it.
using IsolationFactory =
    std::function<Result<std::unique_ptr<Isolation>>(const IsolationSetup&)>;

struct IsolationEntry {
  IsolationFactory make;
  // Runs in the process server, which must be up before this process has threads.
  bool needs_server = false;
  bool runs_programs = false;  // a kind needs `command`, and no handler
};

// Threads: not safe; filled before an engine opens with it, then only read, but for what
// a module adds when an engine loads it.
class Registry {
 public:
  // memory; thread, mutex, fork, exec.
  static Registry with_builtins();

  void add_store(std::string scheme, StoreFactory make);
  void add_queue(std::string scheme, QueueFactory make);
  void add_schema(std::string scheme, SchemaFactory change);     // beside its add_store
  void add_reindex(std::string scheme, ReindexFactory reindex);  // likewise
  void add_isolation(std::string name, IsolationEntry entry);

  // A scheme nobody added is looked for in the module that ships it (libcarrel_sql.so for
  // sqlite, postgresql, mysql), in: CARREL_MODULE_PATH; the folder of the running
  // program, and lib/carrel in it and beside it; the program's RUNPATH; and the installed
  // module folder. kUnsupported names what was tried.
  Result<const StoreFactory*> store(std::string_view scheme);
  // kUnsupported also where the scheme is known but has no queue apart from its store.
  Result<const QueueFactory*> queue(std::string_view scheme);
  // nullptr: opening the store sees to its tables.
  Result<const SchemaFactory*> schema(std::string_view scheme);
  // nullptr: the store has nothing to rebuild.
  Result<const ReindexFactory*> reindex(std::string_view scheme);
  Result<const IsolationEntry*> isolation(std::string_view name) const;

  // Loads a shared library and calls its carrel_plugin (carrel/plugin.h).
  Result<void> load(const std::filesystem::path& library);

  std::vector<std::string> store_schemes() const;  // loaded so far, sorted
  std::vector<std::string> isolation_names() const;

 private:
  Result<void> load_module_for(std::string_view scheme);
  std::map<std::string, StoreFactory, std::less<>> stores_;
  std::map<std::string, QueueFactory, std::less<>> queues_;
  std::map<std::string, SchemaFactory, std::less<>> schemas_;
  std::map<std::string, ReindexFactory, std::less<>> reindexes_;
  std::map<std::string, IsolationEntry, std::less<>> isolations_;
};

}  // namespace carrel
