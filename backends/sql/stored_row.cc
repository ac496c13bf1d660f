#include "stored_row.h"

#include <charconv>

#include "check.h"

namespace carrel::sql {

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
                      std::string(bounded_message(progress->message))};
  }
  if (checkpoint) notes.checkpoint = *checkpoint;
  append_log(notes.log, log);
  return true;
}

}  // namespace carrel::sql
