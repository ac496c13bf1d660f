// The rows of a memory store with everything that finds them: what the store guards with
// its lock.
//
// Every change of a row goes through move(), which takes the row out of the orders that
// it is in, lets a rule of carrel/rules.h change it, and puts it where it then belongs.
// The counts are a cache of the rows that nothing else changes.
//
// Not thread-safe.
#pragma once

#include <carrel/store.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "buckets.h"
#include "key_lines.h"
#include "rate_lines.h"
#include "row.h"
#include "row_order.h"
#include "row_table.h"
#include "unique_keys.h"

namespace carrel::memory {

class Jobs {
 public:
  // max_rows 0 becomes kDefaultMaxRows.
  Jobs(const Retention& keep, const std::map<std::string, std::uint32_t>& queue_limits);

  static constexpr std::size_t kDefaultMaxRows = 10'000;
  static constexpr std::size_t kAtOnce = 256;  // rows looked at for the sake of one

  const Retention& keep() const { return keep_; }
  Buckets& buckets() { return buckets_; }
  const Buckets& buckets() const { return buckets_; }
  const RowTable& rows() const { return table_; }
  RowOrder<ByWake>& timers(State s) { return timers_[static_cast<std::size_t>(s)]; }

  Row* find(JobId id) const { return table_.find(id); }
  Row* find_request(const std::string& request_id) const;

  // A job that passed the checks of check(), and whose request_id is not known.
  Row& insert(const NewJob& job, Time now);

  // rule(Row&) changes the row, or answers false and leaves it as it is. Else the row may
  // be gone afterwards: retention 0, or too many. If it makes room for others of its
  // keys, they become available.
  template <class Rule>
  void move(Row& row, Time now, Rule rule) {
    unindex(row);
    if (!rule(row)) return index(row, now);
    if (row.line != nullptr || row.rate_line() != nullptr) {
      move_keyed(row, now);
      return;
    }
    index(row, now);
    if (is_final(row.rule.state)) retire(row, now);
  }
  // The same for a rule that makes the row run or leaves it as it is, and so makes no
  // room.
  template <class Rule>
  void start(Row& row, Time now, Rule rule) {
    unindex(row);
    rule(row);
    index(row, now);
    if (RateLine* rate = row.rate_line()) rates_.schedule(*rate, now);
  }
  // Gives a job that waits the arguments of `job`, as its NewJob::unique says. False: the
  // row does not wait, and is unchanged.
  bool replace(Row& row, const NewJob& job, Time now);
  // A purge.
  void remove(Row& row, Time now);

  // Its limit or its rate lets this available row not run now.
  static bool full_for(const Row& row, Time now);
  void hold_back(Row& row, Time now);  // one for which it is
  RateLines& rates() { return rates_; }
  // The time of a line that was due has come: lets go those that may, at most `max`;
  // says how many it looked at.
  std::size_t window_opened(RateLine& line, Time now, std::size_t max);

  UniqueKeys& uniques() { return uniques_; }

  // The buckets in which rows became available since the caller cleared this; their
  // `fresh` says how many, and is the caller's to clear too.
  std::vector<Bucket*>& fresh() { return fresh_; }
  // The jobs that others of their key no longer hold back, since the caller cleared this.
  std::vector<Ticket>& freed() { return freed_; }
  // The watched jobs that became final since the caller cleared this.
  std::vector<JobId>& ended() { return ended_; }

 private:
  void index(Row& row, Time now);
  void unindex(Row& row);
  void retire(Row& row, Time now);
  void place(Row& row, Time now);
  void move_keyed(Row& row, Time now);
  void let_go(Row& row, Time now);
  void free_pending(KeyLine& line, Time now);
  std::size_t free_rated(RateLine& line, Time now, std::size_t max = kAtOnce);
  Row* oldest_final() const;

  Retention keep_;
  RowTable table_;
  Buckets buckets_;
  // By state: the rows that the sweep must visit, and every final one.
  std::array<RowOrder<ByWake>, kStateCount> timers_;
  std::size_t final_rows_ = 0;
  // The keys are views of their row's own string.
  std::unordered_map<std::string_view, Row*> requests_;
  std::vector<Bucket*> fresh_;
  std::vector<JobId> ended_;
  KeyLines lines_;
  RateLines rates_;
  UniqueKeys uniques_;
  std::vector<Ticket> freed_;
};

}  // namespace carrel::memory
