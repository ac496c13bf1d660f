// What people ask of a remote store, and what they do to its jobs.
#include <algorithm>
#include <optional>

#include "pieces.h"
#include "remote_answers.h"
#include "remote_store.h"

namespace carrel::zmq {
namespace {

// Records of one LIST: what each holds is up to a few MiB.
constexpr std::size_t kPage = 50;

}  // namespace

Result<std::vector<Cancelled>> RemoteStore::cancel(std::span<const JobId> ids) {
  Result<std::vector<Cancelled>> all;
  id_pieces(ids, room(), [&](std::span<const JobId> piece) {
    if (!all) return;
    CancelAsk cancel;
    cancel.ids.assign(piece.begin(), piece.end());
    auto told = value_of(client_->ask(cancel, Repeat::kYes));
    if (told && told->size() != piece.size()) told = miscounted();
    if (told) {
      all->insert(all->end(), told->begin(), told->end());
    } else {
      all = tl::unexpected<Error>(std::move(told.error()));
    }
  });
  return all;
}

std::vector<Result<Ticket>> RemoteStore::retry(std::span<const JobId> ids) {
  std::vector<Result<Ticket>> answers;
  std::optional<Error> away;
  id_pieces(ids, room(), [&](std::span<const JobId> piece) {
    if (away) return refuse(answers, piece.size(), *away);
    RetryAsk retry;
    retry.ids.assign(piece.begin(), piece.end());
    auto told = client_->ask(retry, Repeat::kNo);
    if (!told && is_away(told.error())) away = told.error();
    append(answers, piece.size(), std::move(told));
  });
  return answers;
}

Result<std::vector<Ticket>> RemoteStore::peek(const Demand& demand) {
  PeekAsk peek;
  peek.set(demand, demand.max);
  return value_of(client_->ask(peek, Repeat::kYes));
}

Result<Swept> RemoteStore::sweep(std::size_t max) {
  SweepAsk sweep;
  sweep.max = bounded(max);
  return value_of(client_->ask(sweep, Repeat::kYes));
}

Result<std::vector<Ticket>> RemoteStore::set_paused(std::string_view queue, bool paused) {
  PauseAsk pause;
  pause.queue = queue;
  pause.paused = paused;
  return value_of(client_->ask(pause, Repeat::kYes));
}

Result<JobRecord> RemoteStore::job(JobId id) {
  JobAsk job;
  job.id = id;
  return value_of(client_->ask(job, Repeat::kYes));
}

Result<std::vector<JobRecord>> RemoteStore::list(const Filter& filter, JobId before,
                                                 std::size_t limit) {
  std::vector<JobRecord> all;
  ListAsk list;
  list.filter = filter;
  list.before = before;
  std::size_t bytes = 0;
  while (all.size() < limit && bytes < kMaxListBytes) {
    list.limit = bounded(std::min(kPage, limit - all.size()));
    auto page = value_of(client_->ask(list, Repeat::kYes));
    if (!page) return page;
    if (page->empty()) break;  // a short one only means that they are long
    for (JobRecord& job : *page) bytes += listed_bytes(all.emplace_back(std::move(job)));
    list.before = all.back().id;
  }
  return all;
}

Result<Counts> RemoteStore::counts() {
  return value_of(client_->ask(CountsAsk{}, Repeat::kYes));
}

Result<std::vector<std::string>> RemoteStore::paused() {
  return value_of(client_->ask(PausedAsk{}, Repeat::kYes));
}

}  // namespace carrel::zmq
