// The jobs of a SQLite store that share rates, by key, and when attempts of them began.
//
//   carrel_rates       a row a job that has a rate: which, and how it stands to it
//   carrel_starts      a row an attempt that began. It outlives its job, until the
//                      longest period that the key's jobs have named is over
//   carrel_rate_keys   that period, and when the sweep must look at the key
//
// As with limits a key's jobs stand in lanes, and in each only as many are available as
// could begin, were they alone. Time lets the next ones go: a key has one time to wake,
// however many of its jobs wait. What is done to rows of jobs is Limits' to do.
//
// For the writer's thread, within its transaction. Throws soci::soci_error.
#pragma once

#include <carrel/job.h>

#include <cstddef>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "rows.h"
#include "statement.h"

namespace carrel::sql::sqlite {

// How a job stands to its rate.
enum class Standing : std::uint8_t {
  kWaits = 0,      // for its window
  kAvailable = 2,  // as its state
};

class Rates {
 public:
  explicit Rates(soci::session& session);

  // A queue, kind and priority as one text.
  static std::string lane(const std::string& queue, const std::string& kind,
                          int priority);

  void add(JobId id, const Rate& rate, const std::string& lane,
           std::optional<Standing> standing, long long run_at, Time at);
  void drop(JobId id);
  std::optional<Rate> find(JobId id);  // nothing: it has none
  std::unordered_map<JobId, Rate> find_available(std::span<const JobId> ids);
  void set(JobId id, std::optional<Standing> standing, Time run_at);

  // Beside those that began within the period, and `more`, none may begin.
  bool full(const Rate& rate, Time at, long long more = 0);
  // Likewise, also beside those that are available in the lane.
  bool crowded(const Rate& rate, const std::string& lane, Time at);
  bool others_wait(const std::string& key, const std::string& lane);
  void start(const Lease& lease, const Rate& rate, Time at);
  // It has not begun. `started`: as its row says, which its claim wrote with the start.
  void take_back(const Lease& lease, const std::string& key, Time started);

  // The lanes of a key in which jobs wait for their window, and the best of each.
  std::vector<std::string> lanes(const std::string& key);
  struct Waiting {
    JobId id{};
    Rate rate;
  };
  std::vector<Waiting> waiting(const std::string& key, const std::string& lane,
                               std::size_t most);

  // The key is looked at when one of those that wait may begin, or earlier.
  void wake_in_time(const std::string& key);
  // The keys for which it is time.
  std::vector<std::string> due(Time at, std::size_t most);
  // One of those has been looked at: forgets what counts no more, and when to look again.
  void looked_at(const std::string& key, Time at);
  Time next();  // when one is due; kNever: none will be

 private:
  Time opens(const std::string& key);
  long long available(const std::string& key, const std::string& lane);

  long long id_ = 0;
  long long fence_ = 0;
  std::string ids_;
  std::string key_;
  std::string lane_;
  long long starts_ = 0;
  long long period_ = 0;
  Nullable state_;
  long long run_at_ = 0;
  long long at_ = 0;
  long long number_ = 0;
  long long most_ = 0;
  Statement add_;
  Statement drop_;
  Statement find_;
  Statement find_available_;
  Statement set_;
  Statement counted_;
  Statement available_;
  Statement newest_;
  Statement start_;
  Statement take_back_;
  Statement next_lane_;
  Statement waiting_;
  Statement wake_;
  Statement due_;
  Statement period_of_;
  Statement forget_;
  Statement any_start_;
  Statement any_job_;
  Statement set_wake_;
  Statement drop_key_;
  Statement next_;
};

}  // namespace carrel::sql::sqlite
