#include "service.h"

#include <algorithm>
#include <iterator>

namespace carrel::zmq {
namespace {

// Rows that share one commit, at most.
constexpr std::size_t kMaxRows = 2'000;
// Of one claim: what it brings is in memory before it is known how much of that fits into
// an answer.
constexpr std::size_t kMaxTake = 64;
// In one answer, whatever is asked for.
constexpr std::uint32_t kMaxRecords = 100;
constexpr std::uint32_t kMaxTickets = 10'000;
constexpr std::size_t kLongPage = std::size_t{4} << 20;

bool is_trouble(const Error& error) {
  return error.code == Code::kUnavailable || error.code == Code::kCorrupt ||
         error.code == Code::kInternal;
}

template <class T>
void note_trouble(Done& it, const Result<T>& result) {
  if (!result && is_trouble(result.error())) it.trouble = result.error();
}

template <class Answer, class T>
std::string frame_of(Result<T> result) {
  if (!result) return error_frame(std::move(result.error()));
  Answer answer;
  answer.value = std::move(*result);
  return encode(answer);
}

std::size_t rows_of(const Call& call) {
  if (const auto* m = std::get_if<Enqueue>(&call.request)) return m->jobs.size();
  if (const auto* m = std::get_if<FinishAsk>(&call.request)) return m->runs.size();
  return 1;
}

// How many of the first fit into an answer; one does always.
template <class T>
std::size_t fitting(std::span<const T> rows, std::size_t limit) {
  std::size_t bytes = 64;
  std::size_t fit = 0;
  while (fit < rows.size() && (fit == 0 || bytes + encoded_size(rows[fit]) <= limit)) {
    bytes += encoded_size(rows[fit++]);
  }
  return fit;
}

const Lease* lease_of(const Claimed& job) { return &job.lease; }
const Lease* lease_of(const ClaimAnswer& answer) {
  return answer ? &answer->lease : nullptr;
}

bool shares(Type type) {
  return type == Type::kEnqueue || type == Type::kFinish || type == Type::kSweep;
}

void note(News& news, const NewJob& job) {
  if (job.delay > Duration::zero()) news.due = std::min(news.due, job.delay);
  if (job.start_within > Duration::zero()) {
    news.due = std::min(news.due, job.delay + job.start_within);
  }
}

void note(News& news, const Finish& run, const Finished& finished) {
  news.available.insert(news.available.end(), finished.freed.begin(),
                        finished.freed.end());
  if (finished.kind != Finished::Kind::kApplied) return;
  if (is_final(finished.state)) news.ended.push_back(run.lease.id);
  if (finished.state == State::kAvailable) news.maybe_available = true;
  if (finished.state == State::kRetryable || finished.state == State::kScheduled) {
    news.due = std::min(news.due, run.retry_in);
  }
}

}  // namespace

std::string error_frame(Error error) {
  Failed failed;
  failed.error = std::move(error);
  return encode(failed);
}

Service::Service(Store& store)
    : store_(store), source_(store.claim_source()), most_(kMaxTake) {}

void Service::run(std::span<const CallPtr> calls, const std::function<void(Done)>& done) {
  for (std::size_t i = 0; i < calls.size();) {
    const Type type = calls[i]->type;
    std::size_t end = i + 1;
    if (shares(type)) {
      std::size_t rows = rows_of(*calls[i]);
      while (end < calls.size() && calls[end]->type == type &&
             (rows += rows_of(*calls[end])) <= kMaxRows) {
        ++end;
      }
    }
    const auto group = calls.subspan(i, end - i);
    switch (type) {
      case Type::kEnqueue:
        enqueue(group, done);
        break;
      case Type::kFinish:
        finish(group, done);
        break;
      case Type::kSweep:
        sweep(group, done);
        break;
      default:
        done(one(calls[i]));
    }
    i = end;
  }
}

void Service::enqueue(std::span<const CallPtr> calls,
                      const std::function<void(Done)>& done) {
  std::vector<NewJob> jobs;
  Duration deadline{0};
  for (const CallPtr& call : calls) {
    auto& m = std::get<Enqueue>(call->request);
    deadline = std::max(deadline, m.deadline);
    std::move(m.jobs.begin(), m.jobs.end(), std::back_inserter(jobs));
  }
  auto answers = store_.insert(jobs, deadline);
  std::size_t row = 0;
  for (const CallPtr& call : calls) {
    Done it;
    it.call = call;
    Enqueue::Answer answer;
    const std::size_t rows = std::get<Enqueue>(call->request).jobs.size();
    for (std::size_t i = 0; i < rows; ++i, ++row) {
      note_trouble(it, answers[row]);
      if (answers[row]) {
        note(it.news, jobs[row]);
        if (answers[row]->ticket) it.news.available.push_back(*answers[row]->ticket);
      }
      answer.value.push_back(std::move(answers[row]));
    }
    it.frame = encode(answer);
    done(std::move(it));
  }
}

void Service::finish(std::span<const CallPtr> calls,
                     const std::function<void(Done)>& done) {
  std::vector<Finish> runs;
  for (const CallPtr& call : calls) {
    auto& m = std::get<FinishAsk>(call->request);
    std::move(m.runs.begin(), m.runs.end(), std::back_inserter(runs));
  }
  auto answers = store_.finish(runs);
  std::size_t row = 0;
  for (const CallPtr& call : calls) {
    Done it;
    it.call = call;
    FinishAsk::Answer answer;
    const std::size_t rows = std::get<FinishAsk>(call->request).runs.size();
    for (std::size_t i = 0; i < rows; ++i, ++row) {
      note_trouble(it, answers[row]);
      if (answers[row]) note(it.news, runs[row], *answers[row]);
      answer.value.push_back(std::move(answers[row]));
    }
    it.frame = encode(answer);
    done(std::move(it));
  }
}

// Many workers sweep, each by its own clock: one sweep serves all that wait for one.
void Service::sweep(std::span<const CallPtr> calls,
                    const std::function<void(Done)>& done) {
  std::uint32_t most = 0;
  for (const CallPtr& call : calls) {
    most = std::max(most, std::get<SweepAsk>(call->request).max);
  }
  auto swept = store_.sweep(std::min(most, kMaxTickets));
  for (const CallPtr& call : calls) {
    Done it;
    it.call = call;
    note_trouble(it, swept);
    if (swept) {
      it.news.available = swept->due;
      it.news.maybe_ended = swept->discarded + swept->purged > 0;
      it.news.due = swept->next;
    }
    it.frame = frame_of<SweepAsk::Answer>(swept);
    done(std::move(it));
    if (swept) {
      const Duration next = swept->next;
      swept = Swept{};
      swept->next = next;
    }
  }
}

Done Service::take(const CallPtr& call) {
  const Take& m = std::get<Take>(call->request);
  Done it;
  it.call = call;
  it.empty = true;
  if (call->over) return it;
  Demand demand = m.demand();
  demand.max = std::min(demand.max, most_);
  auto jobs = source_->claim(demand, m.worker, m.claim_number, m.lease, Duration{0});
  note_trouble(it, jobs);
  if (!jobs) {
    it.frame = error_frame(std::move(jobs.error()));
    return it;
  }
  it.empty = jobs->empty();
  cut(*jobs, it);
  // As many as were asked for: there may be more for the next.
  if (!it.empty && jobs->size() == demand.max) it.news.maybe_available = true;
  Take::Answer answer;
  if (!jobs->empty()) answer.waited = jobs->front().granted - call->arrived;
  answer.value = std::move(*jobs);
  it.frame = encode(answer);
  return it;
}

Done Service::claim(const CallPtr& call) {
  const auto& m = std::get<ClaimAsk>(call->request);
  Done it;
  it.call = call;
  const auto tickets = std::span(m.tickets).first(std::min(m.tickets.size(), most_));
  auto answers = store_.claim(tickets, m.worker, m.claim_number, m.lease);
  note_trouble(it, answers);
  if (answers) cut(*answers, it);
  it.frame = frame_of<ClaimAsk::Answer>(std::move(answers));
  return it;
}

// What does not fit into an answer goes back at once; nor does the next call claim many
// only to give them back.
template <class Row>
void Service::cut(std::vector<Row>& rows, Done& it) {
  const std::size_t fit = fitting<Row>(rows, it.call->answer_limit);
  if (fit < rows.size()) {
    most_ = fit;
  } else if (fit == most_) {
    most_ = std::min(2 * most_, kMaxTake);
  }
  std::vector<Finish> back;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Lease* const lease = lease_of(rows[i]);
    if (lease == nullptr) continue;
    if (i < fit) {
      it.granted.push_back(*lease);
    } else {
      Finish& finish = back.emplace_back();
      finish.lease = *lease;
      finish.verdict = Verdict::kReleased;
    }
  }
  rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(fit), rows.end());
  if (back.empty()) return;
  for (const auto& answer : store_.finish(back)) static_cast<void>(answer);
  it.news.maybe_available = true;
}

Done Service::one(const CallPtr& call) {
  if (call->type == Type::kTake) return take(call);
  if (call->type == Type::kClaim) return claim(call);
  Done it;
  it.call = call;
  Request& request = call->request;
  Monitor& monitor = store_.monitor();
  switch (call->type) {
    case Type::kBeat: {
      const auto& m = std::get<BeatAsk>(request);
      auto pulses = store_.beat(m.worker, m.settled_claim, m.beats, m.renew, m.lease);
      note_trouble(it, pulses);
      it.frame = frame_of<BeatAsk::Answer>(std::move(pulses));
      break;
    }
    case Type::kCancel: {
      const auto& m = std::get<CancelAsk>(request);
      auto answers = store_.cancel(m.ids);
      for (std::size_t i = 0; answers && i < answers->size(); ++i) {
        if ((*answers)[i] == Cancelled::kCancelled) it.news.ended.push_back(m.ids[i]);
      }
      it.frame = frame_of<CancelAsk::Answer>(std::move(answers));
      break;
    }
    case Type::kRetry: {
      RetryAsk::Answer answer;
      answer.value = store_.retry(std::get<RetryAsk>(request).ids);
      for (const auto& ticket : answer.value) {
        if (ticket) it.news.available.push_back(*ticket);
      }
      it.frame = encode(answer);
      break;
    }
    case Type::kPeek: {
      Demand demand = std::get<PeekAsk>(request).demand();
      demand.max = std::min<std::size_t>(demand.max, kMaxTickets);
      auto tickets = store_.peek(demand);
      if (tickets) tickets->resize(fitting<Ticket>(*tickets, call->answer_limit));
      it.frame = frame_of<PeekAsk::Answer>(std::move(tickets));
      break;
    }
    case Type::kPause: {
      const auto& m = std::get<PauseAsk>(request);
      auto tickets = store_.set_paused(m.queue, m.paused);
      if (tickets && !m.paused) it.news.maybe_available = true;
      it.frame = frame_of<PauseAsk::Answer>(std::move(tickets));
      break;
    }
    case Type::kAwait: {
      if (call->over) break;
      auto ids = store_.await_final(std::get<AwaitAsk>(request).ids, Duration{0});
      it.empty = ids && ids->empty();
      if (ids && call->session == nullptr) it.news.ended = *ids;
      it.frame = frame_of<AwaitAsk::Answer>(std::move(ids));
      break;
    }
    case Type::kJob:
      it.frame = frame_of<JobAsk::Answer>(monitor.job(std::get<JobAsk>(request).id));
      break;
    case Type::kList: {
      const auto& m = std::get<ListAsk>(request);
      auto records = monitor.list(m.filter, m.before, std::min(m.limit, kMaxRecords));
      if (records) {
        records->resize(
            fitting<JobRecord>(*records, std::min(call->answer_limit, kLongPage)));
      }
      it.frame = frame_of<ListAsk::Answer>(std::move(records));
      break;
    }
    case Type::kCounts:
      it.frame = frame_of<CountsAsk::Answer>(monitor.counts());
      break;
    case Type::kPaused:
      it.frame = frame_of<PausedAsk::Answer>(monitor.paused());
      break;
    default:
      it.frame = error_frame({Code::kUnsupported, "no such request to a store", "zmq"});
  }
  return it;
}

}  // namespace carrel::zmq
