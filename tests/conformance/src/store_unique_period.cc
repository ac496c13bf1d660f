// Unique keys with a period: how long they hold, whatever becomes of the job.
#include "unique_case.h"

namespace carrel::conformance {

void add_unique_period_cases(UniqueCases& cases) {
  cases.add("Unique_APeriodCountsFromTheEnqueueOfTheHolder", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    t.advance(30min);
    expect_met(t, within(1h), run.lease.id, "completed half an hour ago");
    t.advance(31min);
    const Inserted next = insert(t, within(1h));
    EXPECT_FALSE(next.existed);
    expect_met(t, within(1h), next.id, "the period began anew");
  });

  cases.add("Unique_APeriodEndsAlsoForAJobThatWaits", [](StoreCase& t) {
    const JobId first = t.insert(within(1h));
    expect_met(t, within(1h), first, "it waits");
    t.advance(61min);
    expect_new(t, within(1h), "it waits still, but is out of the period");
  });

  cases.add("Unique_WithoutAPeriodAsLongAsTheJobIsKept", [](StoreCase& t) {
    t.options().retention.completed = 1h;
    t.create_again();
    NewJob job = keyed("k");
    job.unique->states = and_completed();
    const Claimed run = t.insert_and_claim(job);
    t.finish(run);
    t.advance(30min);
    expect_met(t, job, run.lease.id, "it is kept");
    t.advance(31min);
    t.sweep_all();
    ASSERT_TRUE(t.gone(run.lease.id));
    expect_new(t, job, "it is purged");
  });

  cases.add("Unique_AFinalJobThatIsToBePurgedIsMetAndNotReplaced", [](StoreCase& t) {
    t.options().retention.completed = 10min;
    t.create_again();
    for (const OnConflict how :
         {OnConflict::kReplace, OnConflict::kReplaceKeepTime, OnConflict::kSkip}) {
      NewJob job = within(1h);
      job.unique->key = to_string(how);
      job.unique->on_conflict = how;
      const Claimed run = t.insert_and_claim(job);
      t.finish(run);
      t.advance(11min);  // and nobody has swept
      const Inserted met = must(std::move(t.store().insert({&job, 1}, kPatience)[0]));
      EXPECT_EQ(met.id, run.lease.id);
      EXPECT_TRUE(met.existed);
      EXPECT_FALSE(met.replaced);
    }
  });

  cases.add("Unique_APeriodHoldsWhenTheJobIsPurgedBefore", [](StoreCase& t) {
    t.options().retention.completed = 10min;
    t.create_again();
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    t.advance(20min);
    t.sweep_all();
    ASSERT_TRUE(t.gone(run.lease.id));
    expect_met(t, within(1h), run.lease.id, "purged, and the period is not over");
    expect_new(t, within(1h, kNotFinal), "of those that are not final there is none");
  });

  cases.add("Unique_APeriodHoldsWhereJobsAreNotKeptAtAll", [](StoreCase& t) {
    t.options().retention.completed = 0s;
    t.options().retention.cancelled = 0s;
    t.create_again();
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    ASSERT_TRUE(t.gone(run.lease.id));
    expect_met(t, within(1h), run.lease.id, "completed a moment ago");
    t.advance(61min);
    const JobId second = t.insert(within(1h));
    EXPECT_NE(second, run.lease.id);
    t.cancel(second);
    ASSERT_TRUE(t.gone(second));
    expect_new(t, within(1h), "a cancelled one does not count");
  });

  cases.add("Unique_APeriodHoldsAlsoWhereTheNumberOfJobsIsBounded", [](StoreCase& t) {
    t.options().retention.max_rows = 1;
    t.create_again();
    const Claimed run = t.insert_and_claim(within(1h));
    t.finish(run);
    for (int i = 0; i < 40; ++i) t.finish(t.insert_and_claim());
    t.sweep_all();
    ASSERT_TRUE(t.gone(run.lease.id));
    expect_met(t, within(1h), run.lease.id, "trimmed away");
  });

  cases.add("Unique_TheSweepForgetsKeysThatWereLeftBehind", [](StoreCase& t) {
    t.options().retention.completed = 0s;
    t.create_again();
    t.finish(t.insert_and_claim(within(1h)));
    const Duration next = t.sweep_all().next;
    EXPECT_LE(next, 1h);
    EXPECT_GE(next, 1h - t.slack() - 1s) << "the sweep is told when to come";
    t.advance(61min);
    EXPECT_EQ(t.sweep_all().next, Duration::max()) << "nothing is left";
    expect_new(t, within(1h), "and it is free");
  });
}

}  // namespace carrel::conformance
