// An operation of a store's writer within a host's transaction.
#pragma once

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

  template <class Work>
  auto within(Work work) -> Result<decltype(work())> {
    Transactor& savepoint = writer();
    if (auto ok = savepoint.begin(); !ok) return tl::unexpected(std::move(ok.error()));
    try {
      auto answer = work();
      savepoint.commit();
      savepoint.committed();
      savepoint.end();
      return answer;
    } catch (const NextTransaction&) {  // there is none but the host's
      savepoint.rollback();
      savepoint.end();
      return fail(
          Code::kUnavailable,
          "another transaction holds the key of a limit: roll back, and try again",
          kOrigin);
    } catch (...) {
      Error error = savepoint.current_error();
      savepoint.rollback();
      savepoint.end();
      return tl::unexpected(std::move(error));
    }
  }
};

}  // namespace carrel::sql::transaction
