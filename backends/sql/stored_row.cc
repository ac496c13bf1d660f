#include "stored_row.h"

#include <carrel/kept.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>

namespace carrel::sql {

std::vector<JobId> startable(std::span<const JobId> ids, const StoredRows& rows,
                             std::span<const std::string> paused, Time at) {
  std::unordered_set<JobId> seen;
  std::vector<JobId> found;
  for (const JobId id : ids) {
    const auto row = rows.find(id);
    if (row == rows.end() || !seen.insert(id).second) continue;
    rules::Row tried = row->second.rule;
    const bool refused = rules::claim(tried, {}, 0, Duration{1}, at).has_value();
    if (refused || std::ranges::count(paused, row->second.queue) > 0) continue;
    found.push_back(id);
  }
  return found;
}

Time end_of_lease(Duration lease, Time at) {
  rules::Row row;
  row.state = State::kRunning;
  rules::beat(row, row.fence, true, lease, at);
  return row.wake_at;
}

Time kept_until(const Retention& keep, Time at) {
  rules::Row row;
  row.state = State::kRunning;
  rules::finish(row, row.fence, Verdict::kCompleted, {}, false, keep, at);
  return row.wake_at;
}

std::string ending_column(const Attempt& attempt) {
  Json said;
  if (attempt.rung != Rung::kNone) said["rung"] = static_cast<int>(attempt.rung);
  if (attempt.leftover_killed) said["leftover"] = true;
  if (!attempt.enforced.empty()) said["enforced"] = attempt.enforced;
  if (said.is_null()) return {};
  // An isolation of somebody else's may call what it enforces by any bytes.
  return said.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void read_ending(std::string_view column, Attempt& attempt) {
  if (column.empty()) return;
  const Json said = Json::parse(column, nullptr, false);
  if (!said.is_object()) return;
  const auto rung = said.find("rung");
  if (rung != said.end() && rung->is_number_integer()) {
    const auto number = rung->get<std::int64_t>();
    if (number >= 0 && number <= static_cast<int>(Rung::kKill)) {
      attempt.rung = static_cast<Rung>(number);
    }
  }
  const auto leftover = said.find("leftover");
  attempt.leftover_killed = leftover != said.end() && *leftover == true;
  const auto enforced = said.find("enforced");
  if (enforced == said.end() || !enforced->is_array()) return;
  for (const Json& feature : *enforced) {
    if (feature.is_string()) attempt.enforced.push_back(feature.get<std::string>());
  }
}

bool is_plain(const Attempt& a) {
  return a.klass == OutcomeClass::kOk && a.message.empty() && a.code == Code::kFailed &&
         a.native == 0 && a.exit_code == 0 && a.signal == 0 && a.usage.cpu.count() == 0 &&
         a.usage.max_rss_bytes == 0 && a.stderr_tail.empty() && a.rung == Rung::kNone &&
         !a.leftover_killed && a.enforced.empty();
}

std::string json_array(std::span<const JobId> ids) {
  std::string text = "[";
  char digits[24];
  for (const JobId id : ids) {
    const auto end = std::to_chars(digits, digits + sizeof digits, value(id));
    text.append(digits, end.ptr).push_back(',');
  }
  if (text.size() > 1) text.pop_back();
  text.push_back(']');
  return text;
}

bool add_news(Notes& notes, const std::optional<Progress>& progress,
              const std::optional<std::string>& checkpoint, std::string_view log) {
  if (!is_news(progress, checkpoint, log)) return false;
  if (progress) {
    notes.progress = {progress->fraction,
                      std::string(rules::bounded_message(progress->message))};
  }
  if (checkpoint) notes.checkpoint = *checkpoint;
  rules::append_log(notes.log, log);
  return true;
}

}  // namespace carrel::sql
