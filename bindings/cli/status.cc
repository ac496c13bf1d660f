#include <algorithm>
#include <array>
#include <cctype>

#include "commands.h"
#include "session.h"
#include "table.h"

namespace carrel::cli {
namespace {

using Row = std::array<std::uint64_t, kStateCount>;

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

}  // namespace

int status(const Global& global) {
  auto engine = connect(global);
  if (!engine) return failed(engine.error());
  const auto health = engine->health();
  if (!health) return failed(health.error());
  if (global.json) {
    // Only what is about the store: this process runs nothing.
    Json all = *health;
    Json document = Json::object();
    for (const char* key :
         {"jobs", "queues", "paused", "oldest_available_s", "store_round_trip_us"}) {
      document[key] = all.at(key);
    }
    print_json(document);
    return kOk;
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
  Table table(columns);
  auto queues = health->counts.by_queue;
  for (const std::string& name : health->paused) queues.try_emplace(name);
  for (const auto& [name, counts] : queues) {
    const auto& paused = health->paused;
    table.add(
        row(name, counts, std::find(paused.begin(), paused.end(), name) != paused.end()));
  }
  if (queues.size() != 1) table.add(row("all", health->counts.total, false));
  table.print();
  if (health->counts.oldest_available) {
    std::printf("\nThe oldest job that may run has waited for %s.\n",
                rough(*health->counts.oldest_available).c_str());
  }
  return kOk;
}

}  // namespace carrel::cli
