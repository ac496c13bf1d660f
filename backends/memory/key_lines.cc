#include "key_lines.h"

#include <algorithm>
#include <utility>

namespace carrel::memory {
namespace {

bool waits(const Row& row) {
  return row.rule.state == State::kPending && !row.waits_for_window();
}

}  // namespace

KeyLine::Lane& KeyLine::lane(const Row& row) {
  for (const auto& lane : lanes_) {
    if (lane->bucket == row.bucket) return *lane;
  }
  // A bucket without rows may be dropped, and another come to stand in its place.
  std::erase_if(lanes_, [](const auto& lane) {
    return lane->available == 0 && lane->pending.empty();
  });
  return *lanes_.emplace_back(std::make_unique<Lane>(row.bucket));
}

bool KeyLine::crowded_for(const Row& row) const {
  for (const auto& lane : lanes_) {
    if (lane->bucket == row.bucket) return running_ + lane->available >= row.limit;
  }
  return full_for(row);
}

void KeyLine::enter(Row& row) {
  if (row.rule.state == State::kRunning) ++running_;
  if (row.rule.state == State::kAvailable) ++lane(row).available;
  if (waits(row)) lane(row).pending.insert(row);
}

void KeyLine::leave(Row& row) {
  if (row.rule.state == State::kRunning) --running_;
  if (row.rule.state == State::kAvailable) --lane(row).available;
  if (waits(row)) lane(row).pending.erase(row);
}

Row* KeyLine::next() const {
  for (const auto& lane : lanes_) {
    Row* row = lane->pending.front();
    if (row != nullptr && running_ + lane->available < row->limit) return row;
  }
  return nullptr;
}

void KeyLines::join(Row& row, const std::string& key) {
  auto& line = lines_[key];
  if (!line) line = std::make_unique<KeyLine>(key);
  row.line = line.get();
  ++line->rows_;
}

KeyLine* KeyLines::part(Row& row) {
  KeyLine* line = std::exchange(row.line, nullptr);
  if (line == nullptr || --line->rows_ > 0) return line;
  lines_.erase(line->key());
  return nullptr;
}

}  // namespace carrel::memory
