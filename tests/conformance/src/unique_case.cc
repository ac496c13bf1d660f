#include "unique_case.h"

namespace carrel::conformance {

std::vector<State> and_completed() {
  std::vector<State> states = kNotFinal;
  states.push_back(State::kCompleted);
  return states;
}

NewJob keyed(std::string key, OnConflict on_conflict, std::string payload) {
  NewJob job = StoreCase::job(std::move(payload));
  job.unique = Unique{std::move(key), Duration{0}, kNotFinal, on_conflict};
  return job;
}

NewJob within(Duration period, std::vector<State> states) {
  NewJob job = keyed("k");
  job.unique->period = period;
  job.unique->states = std::move(states);
  return job;
}

Inserted insert(StoreCase& t, const NewJob& job) {
  return must(t.store().insert({&job, 1}, kPatience).at(0));
}

void expect_new(StoreCase& t, const NewJob& job, const char* what) {
  EXPECT_FALSE(insert(t, job).existed) << what;
}
void expect_met(StoreCase& t, const NewJob& job, JobId id, const char* what) {
  const Inserted met = insert(t, job);
  EXPECT_TRUE(met.existed) << what;
  EXPECT_EQ(met.id, id) << what;
  EXPECT_FALSE(met.replaced) << what;
}

void UniqueCases::add(const char* name, StoreCases::Body body, const char* file,
                      int line) {
  cases_.add(
      name,
      [body = std::move(body)](StoreCase& t) {
        if (!t.traits().unique) GTEST_SKIP() << "the store has no unique keys";
        body(t);
      },
      file, line);
}

}  // namespace carrel::conformance
