#include <carrel/registry.h>

#include <algorithm>

#include "modules.h"
#include "wording.h"

namespace carrel {
namespace {

template <class Map>
std::vector<std::string> names_of(const Map& map) {
  std::vector<std::string> names;
  for (const auto& entry : map) names.push_back(entry.first);
  return names;
}

tl::unexpected<Error> built_without(std::string_view scheme) {
  return fail(Code::kUnsupported,
              std::string(module_for(scheme)) + " was built without " + quote(scheme),
              "registry");
}

}  // namespace

void Registry::add_store(std::string scheme, StoreFactory make) {
  stores_.insert_or_assign(std::move(scheme), std::move(make));
}

void Registry::add_queue(std::string scheme, QueueFactory make) {
  queues_.insert_or_assign(std::move(scheme), std::move(make));
}

void Registry::add_schema(std::string scheme, SchemaFactory change) {
  schemas_.insert_or_assign(std::move(scheme), std::move(change));
}

void Registry::add_reindex(std::string scheme, ReindexFactory reindex) {
  reindexes_.insert_or_assign(std::move(scheme), std::move(reindex));
}

void Registry::add_isolation(std::string name, IsolationEntry entry) {
  isolations_.insert_or_assign(std::move(name), std::move(entry));
}

Result<const StoreFactory*> Registry::store(std::string_view scheme) {
  if (auto it = stores_.find(scheme); it != stores_.end()) return &it->second;
  if (auto loaded = load_module_for(scheme); !loaded) {
    return tl::unexpected<Error>(loaded.error());
  }
  if (auto it = stores_.find(scheme); it != stores_.end()) return &it->second;
  if (queues_.contains(scheme)) {
    return fail(Code::kUnsupported,
                quote(scheme) + " is a queue and keeps no jobs: it cannot be the store",
                "registry");
  }
  return built_without(scheme);
}

Result<const QueueFactory*> Registry::queue(std::string_view scheme) {
  if (auto it = queues_.find(scheme); it != queues_.end()) return &it->second;
  if (!stores_.contains(scheme)) {
    if (auto loaded = load_module_for(scheme); !loaded) {
      return tl::unexpected<Error>(loaded.error());
    }
    if (auto it = queues_.find(scheme); it != queues_.end()) return &it->second;
    if (!stores_.contains(scheme)) return built_without(scheme);
  }
  return fail(Code::kUnsupported,
              quote(scheme) +
                  " has no queue of its own: there, the queue is part of the "
                  "store. Leave `queue` out, or give it the same URL as `store`",
              "registry");
}

Result<const SchemaFactory*> Registry::schema(std::string_view scheme) {
  if (auto known = store(scheme); !known) return tl::unexpected<Error>(known.error());
  const auto it = schemas_.find(scheme);
  return it == schemas_.end() ? nullptr : &it->second;
}

Result<const ReindexFactory*> Registry::reindex(std::string_view scheme) {
  if (auto known = store(scheme); !known) return tl::unexpected<Error>(known.error());
  const auto it = reindexes_.find(scheme);
  return it == reindexes_.end() ? nullptr : &it->second;
}

Result<const IsolationEntry*> Registry::isolation(std::string_view name) const {
  if (auto it = isolations_.find(name); it != isolations_.end()) return &it->second;
  const auto known = isolation_names();
  std::string message = "there is no isolation " + quote(name) + "; known: ";
  message += joined(known);
  if (auto guess = nearest(name, known))
    message += "; did you mean " + quote(*guess) + "?";
  return fail(Code::kUnsupported, std::move(message), "registry");
}

Result<void> Registry::load(const std::filesystem::path& library) {
  return load_plugin(library, *this);
}

std::vector<std::string> Registry::store_schemes() const { return names_of(stores_); }

std::vector<std::string> Registry::isolation_names() const {
  return names_of(isolations_);
}

Result<void> Registry::load_module_for(std::string_view scheme) {
  const std::string_view file = module_for(scheme);
  if (file.empty()) {
    auto known = module_schemes();
    for (const auto& names : {names_of(stores_), names_of(queues_)}) {
      known.insert(known.end(), names.begin(), names.end());
    }
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    return fail(Code::kUnsupported,
                "no backend knows " + quote(scheme) + "; known: " + joined(known) +
                    did_you_mean(scheme, known),
                "registry");
  }
  const auto path = find_module(file, scheme);
  if (!path) return tl::unexpected<Error>(path.error());
  return load(*path);
}

}  // namespace carrel
