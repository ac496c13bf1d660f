// One job as the memory store keeps it.
#pragma once

#include <carrel/job.h>
#include <carrel/rules.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace carrel::memory {

struct Bucket;
class KeyLine;
class RateLine;
struct Slab;
struct UniqueKey;
struct Row;

// A row's place in one RowOrder (row_order.h).
struct Link {
  Row* prev = nullptr;  // a stray's is the row itself
  Row* next = nullptr;
};

// A row's place among those that share its rate.
struct RatePlace {
  RateLine* line = nullptr;
  std::uint32_t starts = 1;
  Duration period{0};
  bool held = false;  // while it is pending: for its window; else for its limit
};

// What few rows have, so that the others stay small.
struct Details {
  std::string request_id;
  std::string checkpoint;
  std::string log;
  std::optional<Progress> progress;
  std::vector<Attempt> attempts;
  UniqueKey* unique = nullptr;  // that it holds; null: none
  std::optional<RatePlace> rate;
};

struct Row {
  rules::Row rule;
  JobId id{};
  Bucket* bucket = nullptr;  // its queue, kind and priority
  KeyLine* line = nullptr;   // of those with its limit's key; null: no limit
  std::uint32_t limit = 0;
  bool watched = false;  // somebody waits for its end
  Link ready;  // in the order of its bucket or key: available or pending
  Link timer;  // in its state's order by wake_at
  Time enqueued{};
  Time run_at{};
  Time started = kNever;  // of the current or last run; kNever: none
  Time ended = kNever;    // kNever: not final
  Duration timeout{0};
  std::string payload;
  std::string result;
  std::unique_ptr<Details> details;  // null: all empty
  std::uint64_t named = 0;           // the last beat call that named its lease
  Slab* slab = nullptr;              // that it is a part of

  RateLine* rate_line() const {  // null: no rate
    return details && details->rate ? details->rate->line : nullptr;
  }
  bool waits_for_window() const {
    return rule.state == State::kPending && rate_line() != nullptr && details->rate->held;
  }

  Details& more() {
    if (!details) details = std::make_unique<Details>();
    return *details;
  }
};

}  // namespace carrel::memory
