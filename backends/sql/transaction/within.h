// An operation of a store's writer within a host's transaction.
#pragma once

#include <chrono>
#include <optional>
#include <random>
#include <thread>
#include <vector>

#include "group_commit.h"
#include "transaction/client.h"
#include "transaction/join.h"

namespace carrel::sql::transaction {

// `Writer`: a store's, over a session that begins with a savepoint and commits by
// releasing it.
template <class Writer>
class JoinedBy : public Joined {
 public:
  Result<std::vector<Inserted>> insert(std::span<const NewJob> jobs) override {
    std::vector<const NewJob*> rows;
    rows.reserve(jobs.size());
    for (const NewJob& job : jobs) rows.push_back(&job);
    return within([&] { return writer().insert(rows); });
  }
  Result<Finished> finish(const Finish& run) override {
    const Finish* const one = &run;
    auto answers = within([&] { return writer().finish({&one, 1}); });
    if (!answers) return tl::unexpected(std::move(answers.error()));
    return std::move(answers->front());
  }

 private:
  virtual Writer& writer() = 0;

  // The transaction may hold whatever another waits for, so it waits for no key, but asks
  // a few times: workers hold one for a moment, a host that has it until its commit.
  template <class Work>
  auto within(Work work) -> Result<decltype(work())> {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds kPatience{1000};
    std::minstd_rand random{std::random_device{}()};
    // Of two that wait for each other one gives up first.
    const auto until = Clock::now() + kPatience * jitter(random);
    for (;;) {
      auto answer = once(work);
      if (answer) return std::move(*answer);
      if (Clock::now() >= until) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(10) * jitter(random));
    }
    return fail(Code::kUnavailable,
                "another transaction holds the key of a limit: roll back, and try again",
                kOrigin);
  }

  static double jitter(std::minstd_rand& random) {
    return std::uniform_real_distribution<double>(0.5, 1)(random);
  }

  // Nothing: another transaction holds a key.
  template <class Work>
  auto once(Work& work) -> std::optional<Result<decltype(work())>> {
    Transactor& savepoint = writer();
    using Answer = Result<decltype(work())>;
    if (auto ok = savepoint.begin(); !ok) {
      return Answer(tl::unexpected(std::move(ok.error())));
    }
    try {
      auto answer = work();
      savepoint.commit();
      savepoint.committed();
      savepoint.end();
      return Answer(std::move(answer));
    } catch (const NextTransaction&) {  // there is none but the host's
      savepoint.rollback();
      savepoint.end();
      return std::nullopt;
    } catch (...) {
      Error error = savepoint.current_error();
      savepoint.rollback();
      savepoint.end();
      return Answer(tl::unexpected(std::move(error)));
    }
  }
};

}  // namespace carrel::sql::transaction
