// Trying what this machine can do, by doing it.
#pragma once

#include <carrel/registry.h>

#include <optional>
#include <string>

namespace carrel::cli {

struct StoreProbe {
  StoreTraits traits;
  Duration cycle{0};  // insert, claim and finish of one job
};

// Opens the store and takes one job through it. For a store of its own only.
Result<StoreProbe> probe_store(Registry& registry, const std::string& url);

// Opens the store and reads from it; changes nothing, but for what opening does.
Result<StoreProbe> look_at_store(Registry& registry, const std::string& url);

struct QueueProbe {
  QueueTraits traits;
  Duration connect{0};
};

// Opens the queue, and asks it for nothing.
Result<QueueProbe> look_at_queue(Registry& registry, const std::string& url);

struct IsolationProbe {
  Duration round_trip{0};       // from enqueue to the result, in memory
  Duration cancel{0};           // from cancel to the end
  std::size_t descriptors = 0;  // of this process, for one running job
};

// Runs one job to its result, and cancels another while it runs.
Result<IsolationProbe> probe_isolation(const Registry& registry, const std::string& name);

// Forks the process server that probe_isolation() needs. Call before any thread is
// started, once.
Result<void> prepare_probes();

}  // namespace carrel::cli
