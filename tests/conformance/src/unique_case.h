// What the cases about unique keys share.
#pragma once

#include <utility>

#include "store_case.h"

namespace carrel::conformance {

inline const std::vector<State> kNotFinal = {State::kPending, State::kScheduled,
                                             State::kAvailable, State::kRunning,
                                             State::kRetryable};
std::vector<State> and_completed();

// Among the jobs that are not final, however old.
NewJob keyed(std::string key, OnConflict on_conflict = OnConflict::kSkip,
             std::string payload = "{}");
// With a period, under the key "k".
NewJob within(Duration period, std::vector<State> states = and_completed());

Inserted insert(StoreCase& t, const NewJob& job);
void expect_new(StoreCase& t, const NewJob& job, const char* what);
// It met job `id`, and left it as it was.
void expect_met(StoreCase& t, const NewJob& job, JobId id, const char* what);

// The cases of a store that has unique keys. Each says of itself that the store has none,
// rather than being left out.
class UniqueCases {
 public:
  explicit UniqueCases(StoreCases& cases) : cases_(cases) {}
  void add(const char* name, StoreCases::Body body, const char* file = __builtin_FILE(),
           int line = __builtin_LINE());

 private:
  StoreCases& cases_;
};

// One a topic, each in a file of its own name.
void add_unique_period_cases(UniqueCases& cases);
void add_unique_replace_cases(UniqueCases& cases);
void add_unique_race_cases(UniqueCases& cases);

}  // namespace carrel::conformance
