#include "server/finisher.h"

#include <random>
#include <thread>
#include <utility>

namespace carrel::sql::server {

std::vector<Result<Finished>> Finisher::finish(std::span<const Finish* const> runs) {
  constexpr std::chrono::seconds kLongest{3};
  Asked asked{runs, Answers(runs.size()), Clock::now() + kLongest};
  std::vector<std::size_t> others;
  std::vector<std::size_t> held;
  const bool patient = split(runs, others, held);
  if (!others.empty()) together(asked, others, patient);
  for (const std::size_t place : held) alone(asked, place, true);
  return std::move(asked.answers);
}

bool Finisher::split(std::span<const Finish* const> runs,
                     std::vector<std::size_t>& others, std::vector<std::size_t>& held) {
  // Whoever is not asked for any more was ended by somebody else.
  constexpr std::chrono::minutes kForgotten{1};
  const std::lock_guard lock(mutex_);
  if (!held_.empty()) {
    const auto old = Clock::now() - kForgotten;
    std::erase_if(held_, [&](const auto& one) { return one.second < old; });
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    (held_.contains(runs[i]->lease.id) ? held : others).push_back(i);
  }
  return held_.empty() && !hurried_;
}

Finisher::Try Finisher::attempt(const Asked& asked, Places places, bool patient) {
  if (places.size() == asked.runs.size()) return attempt_(asked.runs, patient);
  std::vector<const Finish*> runs;
  runs.reserve(places.size());
  for (const std::size_t place : places) runs.push_back(asked.runs[place]);
  return attempt_(runs, patient);
}

void Finisher::answer(Asked& asked, Places places, Try&& done) {
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (done.finished) {
      asked.answers[places[i]] = std::move((*done.finished)[i]);
    } else {
      asked.answers[places[i]] = tl::unexpected(done.finished.error());
    }
  }
}

void Finisher::together(Asked& asked, Places places, bool patient) {
  if (places.size() == 1 && !patient) return alone(asked, places[0], false);
  Try done = attempt(asked, places, patient);
  asked.waited = asked.waited || (done.held && patient);
  if (!done.held) return answer(asked, places, std::move(done));
  if (places.size() == 1) return alone(asked, places[0], true);
  together(asked, places.first(places.size() / 2), false);
  together(asked, places.subspan(places.size() / 2), false);
}

// Where it was not waited for it is asked for a few times: who works on rows and keys
// holds them for a moment. That alone does not make it one that all others are hurried
// for.
void Finisher::alone(Asked& asked, std::size_t place, bool waited) {
  const Places places{&place, 1};
  const JobId id = asked.runs[place]->lease.id;
  thread_local std::minstd_rand random{std::random_device{}()};
  for (int left = waited ? 0 : 3;; --left) {
    Try done = attempt(asked, places, false);
    if (!done.held || left == 0 || Clock::now() > asked.until) {
      const std::lock_guard lock(mutex_);
      if (done.held && (waited || asked.waited)) {
        held_.insert_or_assign(id, Clock::now());
      } else if (!done.held && done.finished) {
        held_.erase(id);
      }
      return answer(asked, places, std::move(done));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5 + random() % 10));
  }
}

}  // namespace carrel::sql::server
