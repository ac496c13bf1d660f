#include "remote_store.h"

#include <algorithm>

#include "pieces.h"
#include "remote_answers.h"

namespace carrel::zmq {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

// Of everything in a request but its rows.
constexpr std::size_t kEnvelope = 4096;

template <class T>
Error too_large(const T& row, const Room& room) {
  const std::size_t payload = payload_of(row);
  if (payload > room.payload) {
    return {Code::kTooLarge,
            "a payload, result or checkpoint of " + std::to_string(payload) +
                " bytes; the broker takes " + std::to_string(room.payload),
            "zmq"};
  }
  return {Code::kTooLarge,
          "a row of " + std::to_string(encoded_size(row)) + " bytes; the broker takes " +
              std::to_string(room.bytes),
          "zmq"};
}

// What there is room for of a Beat or Finish that is too long: no checkpoint, and of its
// log the newest lines, which are those that a store keeps.
template <class Row>
Row shortened(Row row, std::size_t most) {
  row.checkpoint.reset();
  const std::size_t size = encoded_size(row);
  if (size <= most) return row;
  const std::size_t over = size - most;
  constexpr auto kAll = std::string::npos;
  const auto end = row.log.size() > over ? row.log.find('\n', over - 1) : kAll;
  row.log.erase(0, end == kAll ? kAll : end + 1);
  return row;
}

Clock::time_point until_after(Duration wait) {
  return Clock::now() + std::clamp<Duration>(wait, Duration{0}, std::chrono::hours(8760));
}

// Asks in slices until there is something, or `wait` is over. An interrupt is an empty
// answer.
template <class Ask>
auto in_slices(Duration wait, const Interrupter& interrupter, Ask ask)
    -> decltype(ask(wait)) {
  using Answer = decltype(ask(wait));
  const auto until = until_after(wait);
  for (;;) {
    const auto left = std::chrono::ceil<Duration>(until - Clock::now());
    if (interrupter.on()) return Answer{};
    Answer answer = ask(std::clamp(left, Duration{0}, kSlice));
    if (!answer && answer.error().code == Code::kCancelled) return Answer{};
    if (!answer || !answer->empty() || left <= kSlice) return answer;
  }
}

}  // namespace

class RemoteStore::Source final : public ClaimSource {
 public:
  explicit Source(RemoteStore& store) : store_(store) { store_.add(interrupter_); }
  ~Source() override { store_.remove(interrupter_); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  Result<std::vector<Claimed>> claim(const Demand& demand, std::string_view worker,
                                     std::uint64_t claim_number, Duration lease,
                                     Duration wait) override {
    Take take;
    take.set(demand, store_.traits().max_batch);
    take.worker = worker;
    take.claim_number = claim_number;
    take.lease = lease;
    if (take.max == 0 || take.kinds.empty()) return std::vector<Claimed>{};
    return in_slices(
        wait, interrupter_, [&](Duration slice) -> Result<std::vector<Claimed>> {
          take.wait = slice;
          // It came there after it was asked for, and was granted so much later.
          const Duration asked = boot_time();
          auto answer = store_.client_->ask(take, Repeat::kNo, slice, &interrupter_);
          if (!answer) return tl::unexpected<Error>(std::move(answer.error()));
          const Duration waited =
              std::clamp(answer->waited, Duration{0}, boot_time() - asked);
          for (Claimed& job : answer->value) job.granted = asked + waited;
          return std::move(answer->value);
        });
  }

  void interrupt() noexcept override { store_.client_->interrupt(interrupter_); }

 private:
  RemoteStore& store_;
  Interrupter interrupter_;
};

RemoteStore::RemoteStore(std::unique_ptr<Client> client, LogFn log)
    : log_(std::move(log)), client_(std::move(client)) {}

StoreTraits RemoteStore::traits() const noexcept {
  const Welcome broker = client_->welcome();
  StoreTraits traits;
  traits.reach = client_->address().reach;
  traits.durable = broker.durable;
  traits.limits = broker.limits;
  traits.unique = broker.unique;
  traits.rates = broker.rates;
  traits.max_batch = broker.max_batch;
  traits.max_payload = broker.max_payload;
  return traits;
}

std::unique_ptr<ClaimSource> RemoteStore::claim_source() {
  return std::make_unique<Source>(*this);
}

Room RemoteStore::room() const {
  const Welcome broker = client_->welcome();
  return {broker.max_frame - std::min<std::size_t>(kEnvelope, broker.max_frame),
          broker.max_batch, broker.max_payload};
}

std::vector<Result<Inserted>> RemoteStore::insert(std::span<const NewJob> jobs,
                                                  Duration deadline) {
  // With a name of its own for each job, asking again adds nothing.
  const bool named = std::all_of(jobs.begin(), jobs.end(),
                                 [](const NewJob& j) { return !j.request_id.empty(); });
  std::vector<Result<Inserted>> answers;
  answers.reserve(jobs.size());
  const auto until = until_after(deadline);
  std::optional<Error> away;
  in_pieces(
      jobs, room(),
      [&](std::span<const NewJob> piece) {
        if (away) return refuse(answers, piece.size(), *away);
        EnqueueOf<std::span<const NewJob>> enqueue;
        enqueue.jobs = piece;
        enqueue.deadline =
            std::max(std::chrono::ceil<Duration>(until - Clock::now()), Duration{0});
        auto told = client_->ask(enqueue, named ? Repeat::kYes : Repeat::kNo, Duration{0},
                                 nullptr, enqueue.deadline);
        if (!told && is_away(told.error())) away = told.error();
        append(answers, piece.size(), std::move(told));
      },
      [&](const NewJob& job) {
        answers.emplace_back(tl::unexpect, too_large(job, room()));
      });
  return answers;
}

Result<std::vector<ClaimAnswer>> RemoteStore::claim(std::span<const Ticket> tickets,
                                                    std::string_view worker,
                                                    std::uint64_t claim_number,
                                                    Duration lease) {
  Result<std::vector<ClaimAnswer>> all;
  in_pieces(
      tickets, room(),
      [&](std::span<const Ticket> piece) {
        ClaimOf<std::span<const Ticket>> claim;
        claim.worker = worker;
        claim.claim_number = claim_number;
        claim.lease = lease;
        while (all && !piece.empty()) {  // an answer is short where its jobs are long
          claim.tickets = piece;
          auto answer = client_->ask(claim, Repeat::kNo);
          const std::size_t rows = answer ? answer->value.size() : 0;
          if (answer && (rows == 0 || rows > piece.size())) answer = miscounted();
          if (!answer) {
            all = tl::unexpected<Error>(std::move(answer.error()));
            return;
          }
          std::move(answer->value.begin(), answer->value.end(), std::back_inserter(*all));
          piece = piece.subspan(rows);
        }
      },
      [&](const Ticket& ticket) {
        all = tl::unexpected<Error>(too_large(ticket, room()));
      });
  return all;
}

Result<std::vector<Pulse>> RemoteStore::beat_once(std::string_view worker,
                                                  std::uint64_t settled,
                                                  std::span<const Beat> beats, bool renew,
                                                  Duration lease) {
  BeatOf<std::span<const Beat>> beat;
  beat.worker = worker;
  beat.settled_claim = settled;
  beat.beats = beats;
  beat.renew = renew;
  beat.lease = lease;
  auto answer = client_->ask(beat, Repeat::kYes);
  if (answer && answer->value.size() != beats.size()) return miscounted();
  return value_of(std::move(answer));
}

// Each row is in one piece, whose answer is the row's. So where a piece fails after
// others were stored, only its rows and those that follow are to be said again: they are
// told as held, and a store that is away fails the next beat as a whole.
Result<std::vector<Pulse>> RemoteStore::beat_in_pieces(std::string_view worker,
                                                       std::span<const Beat> beats,
                                                       bool renew, Duration lease) {
  std::vector<Pulse> all;
  all.reserve(beats.size());
  bool told = false;
  std::optional<Error> failed;
  const auto tell = [&](std::span<const Beat> piece) {
    if (!failed) {
      const auto pulses = beat_once(worker, 0, piece, renew, lease);
      if (pulses) {
        told = true;
        all.insert(all.end(), pulses->begin(), pulses->end());
        return;
      }
      failed = pulses.error();
    }
    all.insert(all.end(), piece.size(), Pulse::kHeld);
  };
  const Room room = this->room();
  in_pieces(beats, room, tell, [&](const Beat& beat) {
    if (beat.checkpoint) say_dropped(beat.lease.id);
    const Beat rest =
        shortened(Beat{beat.lease, beat.progress, std::nullopt, beat.log}, room.bytes);
    tell({&rest, 1});
  });
  if (!failed) return all;
  if (!told) return tl::unexpected<Error>(std::move(*failed));
  log_(LogLevel::kWarn, "a part of a beat: " + failed->message);
  return all;
}

// A beat that settles claims names every lease of its worker, so that it cannot be cut.
// Where its news are too long for one request, a beat without them goes ahead that only
// settles: what it finds decides nothing about a row, which may be held, or free, by the
// time that its news come. Where the leases alone are too long, no beat settles: what an
// answer that was lost has claimed is free when its lease ends.
Result<std::vector<Pulse>> RemoteStore::beat(std::string_view worker,
                                             std::uint64_t settled_claim,
                                             std::span<const Beat> beats, bool renew,
                                             Duration lease) {
  const std::size_t most = room().bytes;
  const auto fits = [&](std::span<const Beat> all) { return encoded_size(all) <= most; };
  if (fits(beats)) return beat_once(worker, settled_claim, beats, renew, lease);
  std::vector<Beat> bare(beats.size());
  for (std::size_t i = 0; i < beats.size(); ++i) bare[i].lease = beats[i].lease;
  if (settled_claim != 0 && fits(bare)) {
    auto settled = beat_once(worker, settled_claim, bare, false, lease);
    if (!settled) return settled;
  }
  return beat_in_pieces(worker, beats, renew, lease);
}

std::vector<Result<Finished>> RemoteStore::finish(std::span<const Finish> runs) {
  const auto is_too_long = [room = room()](const Finish& run) {
    return encoded_size(run) > room.bytes ||
           (run.checkpoint && run.checkpoint->size() > room.payload);
  };
  if (std::none_of(runs.begin(), runs.end(), is_too_long)) return finish_in_pieces(runs);
  // The end of a run matters more, and most that end need no checkpoint any more.
  std::vector<Finish> shorter(runs.begin(), runs.end());
  for (Finish& run : shorter) {
    if (!is_too_long(run)) continue;
    if (run.checkpoint) say_dropped(run.lease.id);
    run = shortened(std::move(run), room().bytes);
  }
  return finish_in_pieces(shorter);
}

void RemoteStore::say_dropped(JobId job) const {
  log_(LogLevel::kError,
       "job " + std::to_string(value(job)) +
           ": its checkpoint is too long for the broker and is dropped");
}

std::vector<Result<Finished>> RemoteStore::finish_in_pieces(
    std::span<const Finish> runs) {
  std::vector<Result<Finished>> answers;
  answers.reserve(runs.size());
  std::optional<Error> away;
  in_pieces(
      runs, room(),
      [&](std::span<const Finish> piece) {
        if (away) return refuse(answers, piece.size(), *away);
        FinishOf<std::span<const Finish>> finish;
        finish.runs = piece;
        auto told = client_->ask(finish, Repeat::kYes);
        // The broker refuses this client, as where its key is gone for a moment, and not
        // these ends: they may be stored yet.
        if (!told && told.error().code == Code::kInvalid) {
          told.error().code = Code::kUnavailable;
        }
        if (!told && is_away(told.error())) away = told.error();
        append(answers, piece.size(), std::move(told));
      },
      [&](const Finish& run) {
        answers.emplace_back(tl::unexpect, too_large(run, room()));
      });
  return answers;
}

Result<std::vector<JobId>> RemoteStore::await_final(std::span<const JobId> ids,
                                                    Duration wait) {
  if (ids.empty()) return std::vector<JobId>{};
  AwaitAsk await;
  await.ids.assign(ids.begin(), ids.end());
  return in_slices(wait, interrupter_, [&](Duration slice) {
    await.wait = slice;
    return value_of(client_->ask(await, Repeat::kYes, slice, &interrupter_));
  });
}

void RemoteStore::add(Interrupter& source) {
  const std::lock_guard lock(mutex_);
  sources_.insert(&source);
  if (interrupter_.on()) client_->interrupt(source);
}

void RemoteStore::remove(Interrupter& source) {
  const std::lock_guard lock(mutex_);
  sources_.erase(&source);
}

void RemoteStore::interrupt() noexcept {
  const std::lock_guard lock(mutex_);
  client_->interrupt(interrupter_);
  for (Interrupter* source : sources_) client_->interrupt(*source);
}

}  // namespace carrel::zmq
