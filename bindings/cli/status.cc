#include <algorithm>
#include <array>
#include <cctype>

#include "commands.h"
#include "session.h"
#include "table.h"

namespace carrel::cli {
namespace {

using Row = std::array<std::uint64_t, kStateCount>;

// "2 of 3", of those that run; empty: there is no bound.
Cell bound(std::uint64_t running, std::uint32_t most) {
  if (most == 0) return {};
  return {grouped(running) + " of " + grouped(most),
          running >= most ? Colour::kBusy : Colour::kNone};
}

std::vector<Cell> row(const std::string& name, const Row& counts, bool paused) {
  std::vector<Cell> cells{{name, Colour::kNone}};
  for (std::size_t i = 0; i < kStateCount; ++i) {
    const auto state = static_cast<State>(i);
    cells.push_back({counts[i] == 0 ? "·" : grouped(counts[i]),
                     counts[i] == 0 ? Colour::kFaint : colour_of(state)});
  }
  cells.push_back({paused ? "paused" : "", Colour::kBad});
  return cells;
}

// Only what somebody might have to do something about.
void tell(const Footprint& footprint) {
  std::printf("\nWhat claims read takes %s bytes", grouped(footprint.jobs_bytes).c_str());
  if (footprint.dead_rows) {
    std::printf(", with %s changes not cleared away yet",
                grouped(*footprint.dead_rows).c_str());
  }
  if (footprint.oldest_transaction >= std::chrono::minutes(1)) {
    std::printf("; a transaction is open for %s, so that none can be cleared away",
                rough(*footprint.oldest_transaction).c_str());
  }
  std::printf(".\n");
}

// Of an answer without the queue's part.
int end_of(const Health& health, const std::string& queue) {
  if (!health.queue_error) return kOk;
  complain("the queue \"" + Url::parse(queue)->redacted() +
           "\" is away, jobs are looked for in the store: " + *health.queue_error);
  return kStoreAway;
}

}  // namespace

int status(const Global& global) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  const auto health = engine->health();
  if (!health) return failed(health.error());
  const bool names_kinds = !engine->config().jobs.empty();
  if (global.json) {
    // Only what is about the store: this process runs nothing.
    Json all = *health;
    Json document = Json::object();
    for (const char* key :
         {"jobs", "queues", "paused", "unhandled_kinds", "oldest_available_s",
          "store_round_trip_us", "footprint", "queue_error"}) {
      document[key] = all.at(key);
    }
    // A configuration that names no kind says nothing of who knows which.
    if (!names_kinds) document["unhandled_kinds"] = nullptr;
    for (const auto& [name, bounds] : all.at("queue_bounds").items()) {
      for (const char* key : {"weight", "concurrency", "limit", "running"}) {
        document["queue_bounds"][name][key] = bounds.at(key);
      }
    }
    if (!document.contains("queue_bounds")) document["queue_bounds"] = Json::object();
    print_json(document);
    return end_of(*health, engine->config().queue);
  }
  std::vector<Table::Column> columns{{"QUEUE"}};
  for (std::size_t i = 0; i < kStateCount; ++i) {
    const auto state = static_cast<State>(i);
    std::string head(to_string(state));
    std::transform(head.begin(), head.end(), head.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    columns.push_back({head, Table::Align::kRight});
  }
  columns.push_back({""});
  const bool limited = !health->queues.empty();
  if (limited) {
    columns.push_back({"LIMIT", Table::Align::kRight});
    columns.push_back({"IN A PROCESS", Table::Align::kRight});
  }
  Table table(columns);
  auto queues = health->counts.by_queue;
  for (const std::string& name : health->paused) queues.try_emplace(name);
  for (const auto& [name, bounds] : health->queues) queues.try_emplace(name);
  for (const auto& [name, counts] : queues) {
    const auto& paused = health->paused;
    auto cells =
        row(name, counts, std::find(paused.begin(), paused.end(), name) != paused.end());
    if (limited) {
      const auto found = health->queues.find(name);
      const QueueHealth q = found == health->queues.end() ? QueueHealth{} : found->second;
      cells.push_back(bound(q.running, q.limit));
      cells.push_back({q.concurrency == 0 ? "" : grouped(q.concurrency)});
    }
    table.add(std::move(cells));
  }
  if (queues.size() != 1) {
    auto cells = row("all", health->counts.total, false);
    if (limited) cells.insert(cells.end(), 2, {});
    table.add(std::move(cells));
  }
  table.print();
  if (health->counts.oldest_available) {
    std::printf("\nThe oldest available job has waited for %s.\n",
                rough(*health->counts.oldest_available).c_str());
  }
  if (const auto line = unhandled(*health); !line.empty() && names_kinds) {
    std::printf("%s.\n", line.c_str());
  }
  if (health->footprint) tell(*health->footprint);
  return end_of(*health, engine->config().queue);
}

}  // namespace carrel::cli
