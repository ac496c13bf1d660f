#include <algorithm>
#include <stdexcept>
#include <unordered_set>

#include "server/writer_tables.h"

namespace carrel::sql::server {

void Writer::write_rows(std::span<const NewRow> rows) {
  if (rows.empty()) return;
  auto& t = *tables_;
  const NewRow::Common& first = rows.front().common;
  const bool alike = std::all_of(rows.begin(), rows.end(), [&](const NewRow& row) {
    return !row.id && row.common == first;
  });
  if (alike) {
    t.state = first.state;
    t.queue = first.queue;
    t.kind = first.kind;
    t.priority = first.priority;
    t.max_attempts = first.max_attempts;
    t.wake_at.set(first.wake_at);
    t.expires_at.set(first.expires_at);
    t.run_at = first.run_at;
    t.timeout = first.timeout;
  }
  Statement& insert = alike ? t.insert_alike : t.insert_jobs;
  JsonRows columns(driver_.statements().inserted);
  std::vector<Inserted*> nameless;  // their ids come from the statement
  std::unordered_set<JobId> named;
  std::size_t count = 0;
  const auto flush = [&] {
    if (count == 0) return;
    t.rows = columns.take();
    count = 0;
    std::vector<JobId> made;
    insert.rows([&] { made.push_back(to_id(t.id)); });
    // In the order of their numbers, in which they were handed out. Those that had one
    // are not among the new.
    std::sort(made.begin(), made.end());
    std::erase_if(made, [&](JobId id) { return named.contains(id); });
    if (made.size() != nameless.size()) throw std::runtime_error("rows without ids");
    for (std::size_t n = 0; n < made.size(); ++n) nameless[n]->id = made[n];
    nameless.clear();
  };
  long long number = 0;
  for (const NewRow& row : rows) {
    columns.row().add("n", ++number);
    if (!alike) {
      columns.add("state", row.common.state)
          .add_text("queue", row.common.queue)
          .add_text("kind", row.common.kind)
          .add("priority", row.common.priority)
          .add("max_attempts", row.common.max_attempts)
          .add("wake_at", row.common.wake_at)
          .add("expires_at", row.common.expires_at)
          .add("run_at", row.common.run_at)
          .add("timeout_us", row.common.timeout);
    }
    const bool inlined = row.job.payload.size() <= kInlinePayload;
    columns.add_bytes("payload", inlined ? &row.job.payload : nullptr);
    if (row.id) {
      columns.add("id", to_column(*row.id)).add_bytes("request_id", row.job.request_id);
      row.answer.id = *row.id;
      named.insert(*row.id);
    } else {
      nameless.push_back(&row.answer);
    }
    if (++count == kRowsAStatement || columns.full()) flush();
  }
  flush();
}

}  // namespace carrel::sql::server
