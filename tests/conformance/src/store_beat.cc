#include <gmock/gmock.h>

#include "store_case.h"

namespace carrel::conformance {
namespace {

using testing::ElementsAre;
using testing::SizeIs;

Result<std::vector<Pulse>> beat_naming(StoreCase& t, std::uint64_t settled,
                                       const std::vector<Lease>& leases,
                                       std::string_view worker = kWorker) {
  std::vector<Beat> beats(leases.size());
  for (std::size_t i = 0; i < leases.size(); ++i) beats[i].lease = leases[i];
  return t.store().beat(worker, settled, beats, false, kLease);
}

void add_lease_cases(StoreCases& cases) {
  cases.add("Beat_RenewsTheLeaseFromNow", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.advance(kLease - 1s);
    EXPECT_EQ(t.beat(run.lease, true), Pulse::kAlive);
    t.advance(kLease - 1s);
    EXPECT_EQ(t.sweep().rescued, 0U) << "the renewed lease still holds";
    EXPECT_EQ(t.state(run.lease.id), State::kRunning);
    t.advance(2s);
    EXPECT_EQ(t.sweep().rescued, 1U) << "and ends a lease after its renewal";
  });

  cases.add("Beat_WithoutRenewLeavesTheLease", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.advance(kLease - 1s);
    EXPECT_EQ(t.beat(run.lease, false), Pulse::kAlive);
    t.advance(2s);
    EXPECT_EQ(t.sweep().rescued, 1U);
  });

  cases.add("Beat_StoresProgressCheckpointAndLog", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    Beat beat;
    beat.lease = run.lease;
    beat.progress = Progress{0.25F, "résumé"};
    beat.checkpoint = std::string("c\0p\xff", 4);
    beat.log = "one\n";
    must(t.store().beat(kWorker, 0, {&beat, 1}, false, kLease));
    Beat more;
    more.lease = run.lease;
    more.log = "two\nthree\n";
    must(t.store().beat(kWorker, 0, {&more, 1}, false, kLease));
    const JobRecord r = t.record(run.lease.id);
    ASSERT_TRUE(r.progress.has_value());
    EXPECT_FLOAT_EQ(r.progress->fraction, 0.25F) << "a beat without progress keeps it";
    EXPECT_EQ(r.progress->message, "résumé");
    EXPECT_EQ(r.checkpoint, *beat.checkpoint);
    EXPECT_EQ(r.log, "one\ntwo\nthree\n");
  });

  cases.add("Beat_TheLogKeepsItsLast16KiB", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    for (int i = 0; i < 40; ++i) {
      Beat beat;
      beat.lease = run.lease;
      beat.log = std::string(1'000, static_cast<char>('a' + i % 26)) + "\n";
      must(t.store().beat(kWorker, 0, {&beat, 1}, false, kLease));
    }
    const std::string log = t.record(run.lease.id).log;
    EXPECT_LE(log.size(), 16U * 1024U);
    EXPECT_GE(log.size(), 14U * 1024U);
    const std::string last = std::string(1'000, static_cast<char>('a' + 39 % 26)) + "\n";
    EXPECT_TRUE(log.ends_with(last));
  });

  cases.add("Beat_OfALogThatIsTooLongAtOnceWholeLinesAreKept", [](StoreCase& t) {
    Beat beat;
    beat.lease = t.insert_and_claim().lease;
    for (int i = 0; i < 40; ++i) beat.log += std::string(1'000, 'x') + "\n";
    must(t.store().beat(kWorker, 0, {&beat, 1}, false, kLease));
    EXPECT_EQ(t.record(beat.lease.id).log, beat.log.substr(0, 16 * 1'001));
  });

  cases.add("Beat_TellsOfACancelEveryTime", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    EXPECT_EQ(t.cancel(run.lease.id), Cancelled::kRequested);
    EXPECT_EQ(t.beat(run.lease, true), Pulse::kCancel);
    EXPECT_EQ(t.beat(run.lease, true), Pulse::kCancel) << "the first answer may be lost";
  });
}

void add_stale_cases(StoreCases& cases) {
  cases.add("Invariant3_ABeatAfterTheLeaseIsStale", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.advance(kLease + 1s);
    t.sweep();
    const Claimed second = t.claim(run.lease.id, "worker-2");
    Beat late;
    late.lease = run.lease;
    late.progress = Progress{0.9F, "zombie"};
    late.checkpoint = "zombie";
    late.log = "zombie\n";
    EXPECT_THAT(must(t.store().beat(kWorker, 0, {&late, 1}, true, 1h)),
                ElementsAre(Pulse::kStale));
    const JobRecord r = t.record(run.lease.id);
    EXPECT_FALSE(r.progress.has_value());
    EXPECT_EQ(r.checkpoint, "");
    EXPECT_EQ(r.log.find("zombie"), std::string::npos);
    EXPECT_EQ(r.fence, second.lease.fence);
    t.advance(kLease + 1s);
    EXPECT_EQ(t.sweep().rescued, 1U) << "a stale beat must not renew anybody's lease";
  });

  cases.add("Beat_AFinishedOrUnknownRunIsStale", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.finish(run);
    EXPECT_EQ(t.beat(run.lease, true), Pulse::kStale);
    EXPECT_EQ(t.state(run.lease.id), State::kCompleted);
    EXPECT_EQ(t.beat({JobId{77'777}, Fence{1}}, true), Pulse::kStale);
    EXPECT_EQ(t.beat({t.insert(t.job()), Fence{0}}, true), Pulse::kStale)
        << "an available job has no run, also not under fence 0";
  });

  cases.add("Beat_AnswersAlign", [](StoreCase& t) {
    const Claimed a = t.insert_and_claim();
    const Claimed b = t.insert_and_claim();
    const Claimed c = t.insert_and_claim();
    t.finish(a);
    t.cancel(c.lease.id);
    EXPECT_THAT(must(beat_naming(t, 0, {c.lease, a.lease, b.lease})),
                ElementsAre(Pulse::kCancel, Pulse::kStale, Pulse::kAlive));
  });
}

void add_settled_cases(StoreCases& cases) {
  cases.add("Beat_FreesWhatItDoesNotNameOnlyUpToTheSettledClaim", [](StoreCase& t) {
    const JobId first = t.insert(t.job());
    t.claim(first);
    const std::uint64_t settled = t.last_claim_number();
    const JobId second = t.insert(t.job());
    t.claim(second);  // in flight beside the beat
    EXPECT_THAT(must(beat_naming(t, settled, {})), SizeIs(0));
    EXPECT_EQ(t.state(first), State::kAvailable);
    EXPECT_EQ(t.record(first).attempt, 0) << "nothing ran: the attempt is refunded";
    EXPECT_EQ(t.state(second), State::kRunning);
    EXPECT_EQ(t.record(second).attempt, 1);
  });

  cases.add("Beat_WhatItFreesStillExpires", [](StoreCase& t) {
    NewJob brief = t.job();
    brief.start_within = 10s;
    const JobId id = t.insert_and_claim(brief).lease.id;
    must(beat_naming(t, t.last_claim_number(), {}));
    EXPECT_EQ(t.state(id), State::kAvailable);
    t.advance(10s);
    EXPECT_EQ(t.sweep_all().discarded, 1U)
        << "its claim's answer was lost: none began it";
  });

  cases.add("Beat_KeepsWhatItNames", [](StoreCase& t) {
    const Claimed a = t.insert_and_claim();
    const Claimed b = t.insert_and_claim();
    EXPECT_THAT(must(beat_naming(t, t.last_claim_number(), {b.lease})),
                ElementsAre(Pulse::kAlive));
    EXPECT_EQ(t.state(a.lease.id), State::kAvailable);
    EXPECT_EQ(t.state(b.lease.id), State::kRunning);
  });

  cases.add("Beat_FreesNothingOfAnotherWorker", [](StoreCase& t) {
    const Claimed mine = t.insert_and_claim();
    const JobId id = t.insert(t.job());
    const Claimed theirs = t.claim(id, "worker-2");
    must(beat_naming(t, t.last_claim_number(), {mine.lease}));
    EXPECT_EQ(t.state(theirs.lease.id), State::kRunning);
    must(beat_naming(t, t.last_claim_number(), {}, "worker-3"));
    EXPECT_EQ(t.state(mine.lease.id), State::kRunning);
    EXPECT_EQ(t.state(theirs.lease.id), State::kRunning);
  });

  cases.add("Beat_AFreedRunIsFencedOff", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    must(beat_naming(t, t.last_claim_number(), {}));
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kStale);
    const Claimed again = t.claim(run.lease.id);
    EXPECT_GT(value(again.lease.fence), value(run.lease.fence));
    EXPECT_EQ(again.attempt, 1);
    EXPECT_EQ(t.finish(run).kind, Finished::Kind::kStale);
    EXPECT_EQ(t.finish(again).kind, Finished::Kind::kApplied);
  });

  cases.add("Beat_ACancelledRunThatItDoesNotNameIsCancelled", [](StoreCase& t) {
    const Claimed run = t.insert_and_claim();
    t.cancel(run.lease.id);
    must(beat_naming(t, t.last_claim_number(), {}));
    EXPECT_EQ(t.state(run.lease.id), State::kCancelled);
  });
}

}  // namespace

void add_beat_cases(StoreCases& cases) {
  add_lease_cases(cases);
  add_stale_cases(cases);
  add_settled_cases(cases);
}

}  // namespace carrel::conformance
