// Every step that can happen in a world, each atomic as its message or transaction is.
#include <algorithm>
#include <string>
#include <utility>

#include "broken.h"
#include "world.h"

namespace carrel::model {
namespace {

using Phase = Worker::Phase;
using Place = ClaimMessage::Place;

constexpr Time kNow{};        // worlds are relative to it
constexpr Retention kKeep{};  // longer than any search
constexpr std::uint8_t kMostTickets = 2;

std::uint16_t bit(std::uint8_t run) { return static_cast<std::uint16_t>(1U << run); }

std::string name_of(std::size_t worker, std::uint8_t life) {
  return {static_cast<char>('a' + worker), static_cast<char>('0' + life)};
}

bool unchanged(const World& a, const World& b) {
  World x = a;
  x.row = b.row;
  return x.key() == a.key();
}

class Steps {
 public:
  Steps(const World& world, const RuleSet& rules) : from_(world), rules_(rules) {}

  std::vector<Step> all() {
    of_the_world();
    for (std::size_t w = 0; w < from_.workers.size(); ++w) {
      of_claims(w);
      of_a_run(w);
      of_beats(w);
      killed(w);
    }
    for (Step& step : steps_) {
      if (step.broken == nullptr) step.broken = broken_in(step.after);
    }
    return std::move(steps_);
  }

 private:
  // A step that nothing forces; f changes the world and says what it broke, or null.
  template <class F>
  void add(const char* name, bool fair, F f) {
    Step& step = steps_.emplace_back(Step{name, from_, fair, nullptr});
    step.broken = f(step.after);
  }
  template <class F>
  void fault(const char* name, F f) {
    if (from_.left.faults == 0) return;
    add(name, false, [&](World& to) {
      --to.left.faults;
      return f(to);
    });
  }

  // What must hold of every world, however it came about.
  const char* broken_in(const World& to) const {
    const rules::Row& row = to.row;
    if (row.fence < from_.row.fence) return broken::kFence;
    if (row.attempt > row.max_attempts) return broken::kAttempt;
    if (row.state != State::kAvailable && !is_final(row.state) && row.wake_at == kNever) {
      return broken::kWake;
    }
    const auto live = [](const Worker& w) {
      return w.phase == Phase::kRunning || w.phase == Phase::kFinishing;
    };
    const Worker& a = to.workers[0];
    const Worker& b = to.workers[1];
    if (live(a) && live(b)) {
      const std::uint8_t first = std::min(a.run, b.run);
      if (((to.ended_leases | to.finished) & bit(first)) == 0) return broken::kOverlap;
    }
    return nullptr;
  }

  void of_the_world() {
    const rules::Row& row = from_.row;
    if (row.state == State::kAvailable && from_.tickets == 0) {
      add("peek finds the job", true, [](World& to) {
        ++to.tickets;
        return nullptr;
      });
    }
    if (from_.tickets > 0) {
      fault("a ticket is lost", [](World& to) {
        --to.tickets;
        return nullptr;
      });
      if (from_.tickets < kMostTickets) {
        fault("a ticket is doubled", [](World& to) {
          ++to.tickets;
          return nullptr;
        });
      }
    }
    if (!is_final(row.state) && (later(row.wake_at) || later(row.expires_at))) {
      add("time passes", true, [](World& to) {
        for (Time* t : {&to.row.wake_at, &to.row.expires_at}) {
          if (later(*t)) *t -= kTick;
        }
        return nullptr;
      });
    }
    if (!is_final(row.state)) {
      add("the sweep", true, [this](World& to) { return sweep(to); });
    }
    if (from_.left.cancels > 0) {
      add("a cancel", false, [this](World& to) {
        --to.left.cancels;
        to.cancelled = true;
        rules_.cancel(to.row, kKeep, kNow);
        return nullptr;
      });
    }
  }

  static bool later(Time t) { return t > kNow && t != kNever; }

  const char* sweep(World& to) {
    const rules::Row before = to.row;
    const rules::SweepAct act = rules_.sweep(to.row, kKeep, kNow);
    if (before.state == State::kRunning && to.row.state != State::kRunning) {
      if (before.wake_at <= kNow) to.ended_leases |= bit(to.holder);
      to.holder = 0;
    }
    if (act == rules::SweepAct::kDue || act == rules::SweepAct::kRescued) {
      to.tickets = std::min<std::uint8_t>(to.tickets + 1, kMostTickets);
    }
    return to.row.attempt == before.attempt ? nullptr : broken::kAttempt;
  }

  void of_claims(std::size_t w) {
    const Worker& worker = from_.workers[w];
    if (worker.phase == Phase::kIdle && from_.tickets > 0 &&
        worker.claim.place == Place::kNone) {
      add("a worker receives a ticket and sends a claim", true, [w](World& to) {
        Worker& me = to.workers[w];
        --to.tickets;
        me.phase = Phase::kClaiming;
        me.claim = {Place::kRequest, me.life, ++me.number, 0, 0};
        return nullptr;
      });
    }
    if (worker.claim.place == Place::kRequest) {
      add("the store claims", true,
          [this, w](World& to) { return claim(to, w, to.workers[w].claim); });
    }
    if (worker.late.place == Place::kRequest) {
      add("the store claims for a request that was given up", true, [this, w](World& to) {
        const char* broke = claim(to, w, to.workers[w].late);
        to.workers[w].late = {};  // nobody listens
        return broke;
      });
    }
    if (worker.phase != Phase::kClaiming) return;
    if (worker.claim.place == Place::kAnswer) {
      add("the answer of a claim arrives", true, [w](World& to) {
        Worker& me = to.workers[w];
        settle(me);
        if (me.claim.fence != 0) {
          me.phase = Phase::kRunning;
          me.fence = me.claim.fence;
          me.run = me.claim.run;
        }
        me.claim = {};
        return nullptr;
      });
    }
    fault("a claim or its answer is lost, and given up", [w](World& to) {
      settle(to.workers[w]);
      to.workers[w].claim = {};
      return nullptr;
    });
    if (worker.claim.place == Place::kRequest) {
      fault("a claim is given up before it arrives", [w](World& to) {
        settle(to.workers[w]);
        to.workers[w].late = to.workers[w].claim;
        to.workers[w].claim = {};
        return nullptr;
      });
    }
  }

  static void settle(Worker& worker) {
    worker.phase = Phase::kIdle;
    worker.settled = worker.number;
  }

  const char* claim(World& to, std::size_t w, ClaimMessage& message) {
    const rules::Row before = to.row;
    message.place = Place::kAnswer;
    if (rules_.claim(to.row, rules::WorkerId(name_of(w, message.life)), message.number,
                     kTick, kNow)) {
      return unchanged(to, from_) ? nullptr : broken::kStart;
    }
    to.holder = ++to.runs;
    message.fence = static_cast<std::uint8_t>(value(to.row.fence));
    message.run = to.runs;
    if (from_.cancelled) return broken::kCancelled;
    if (before.state != State::kAvailable) return broken::kStart;
    if (to.row.fence <= before.fence) return broken::kStart;
    if (to.row.attempt != before.attempt + 1) return broken::kAttempt;
    return nullptr;
  }

  void of_a_run(std::size_t w) {
    const Worker& worker = from_.workers[w];
    if (worker.phase == Phase::kRunning) {
      if (worker.told_to_cancel) {
        ends(w, "a run ends as it was cancelled", Verdict::kCancelled, true);
      }
      ends(w, "a run completes", Verdict::kCompleted, true);
      ends(w, "a run fails", Verdict::kRetry, false);
      if (from_.left.detours > 0) {
        ends(w, "a run snoozes", Verdict::kSnoozed, false);
        ends(w, "a run is released", Verdict::kReleased, false);
        ends(w, "a run is interrupted", Verdict::kInterrupted, false);
      }
    }
    if (worker.phase != Phase::kFinishing) return;
    add("the store finishes", true, [this, w](World& to) {
      const char* broke = finish(to, w);
      leave(to.workers[w]);
      return broke;
    });
    fault("the store finishes, and its answer is lost",
          [this, w](World& to) { return finish(to, w); });
  }

  void ends(std::size_t w, const char* name, Verdict verdict, bool fair) {
    add(name, fair, [w, verdict](World& to) {
      if (is_refunded(verdict)) {
        --to.left.detours;
      }
      to.workers[w].phase = Phase::kFinishing;
      to.workers[w].verdict = verdict;
      return nullptr;
    });
  }

  static bool is_refunded(Verdict verdict) {
    return verdict == Verdict::kSnoozed || verdict == Verdict::kReleased ||
           verdict == Verdict::kInterrupted;
  }

  static void leave(Worker& worker) {
    worker.phase = Phase::kIdle;
    worker.fence = 0;
    worker.run = 0;
    worker.verdict = Verdict::kCompleted;
    worker.told_to_cancel = false;
  }

  const char* finish(World& to, std::size_t w) {
    const Worker& me = to.workers[w];
    const rules::Row before = to.row;
    const auto kind =
        rules_.finish(to.row, Fence{me.fence}, me.verdict, kTick, false, kKeep, kNow);
    const bool repeated = (to.finished & bit(me.run)) != 0;
    if (kind != Finished::Kind::kApplied) {
      if (!unchanged(to, from_)) return broken::kStale;
      const bool known = kind == Finished::Kind::kAlready;
      return known == repeated || (repeated && to.runs > me.run) ? nullptr
                                                                 : broken::kAlready;
    }
    const std::uint8_t holder = std::exchange(to.holder, 0);
    to.finished |= bit(me.run);
    if (holder != 0 && holder != me.run) return broken::kStale;
    if (repeated || is_final(before.state)) return broken::kTwice;
    if (holder == 0) return broken::kStale;
    if (to.row.attempt != before.attempt - (is_refunded(me.verdict) ? 1 : 0))
      return broken::kRefund;
    return nullptr;
  }

  void of_beats(std::size_t w) {
    const auto send = [](Worker& me) {
      me.beat = {true, me.life, me.settled, me.fence, me.run};
    };
    if (!from_.workers[w].beat.sent) {
      add("a worker beats", true, [this, w, send](World& to) {
        send(to.workers[w]);
        return beat(to, w);
      });
      fault("a beat is held up on its way", [w, send](World& to) {
        send(to.workers[w]);
        return nullptr;
      });
      return;
    }
    add("a beat that was held up arrives", true,
        [this, w](World& to) { return beat(to, w); });
    add("a beat that was held up is lost", true, [w](World& to) {
      to.workers[w].beat = {};
      return nullptr;
    });
  }

  const char* beat(World& to, std::size_t w) {
    const BeatMessage message = to.workers[w].beat;
    to.workers[w].beat = {};
    Worker& me = to.workers[w];
    bool named = false;
    if (message.fence != 0) {
      const World before = to;
      const Pulse pulse = rules_.beat(to.row, Fence{message.fence}, true, kTick, kNow);
      named = pulse != Pulse::kStale;
      if (named != (to.holder == message.run)) return broken::kStale;
      if (!named && !unchanged(to, before)) return broken::kStale;
      const bool still = me.life == message.life && me.run == message.run;
      if (still && pulse == Pulse::kCancel) me.told_to_cancel = true;
      // What it runs is somebody else's now; its result is dropped.
      if (still && pulse == Pulse::kStale && me.phase == Phase::kRunning) leave(me);
    }
    return named ? nullptr : release(to, w, message);
  }

  const char* release(World& to, std::size_t w, const BeatMessage& message) {
    const rules::Row before = to.row;
    if (!rules_.release_unnamed(to.row, name_of(w, message.life), message.settled, kKeep,
                                kNow)) {
      return nullptr;
    }
    const std::uint8_t run = std::exchange(to.holder, 0);
    const Worker& me = to.workers[w];
    const bool held = me.run == run;
    const bool in_flight = me.claim.place == Place::kAnswer && me.claim.run == run;
    if (held || in_flight) return broken::kInFlight;
    if (to.row.attempt + 1 != before.attempt) return broken::kRefund;
    return nullptr;
  }

  void killed(std::size_t w) {
    const Worker& worker = from_.workers[w];
    if (worker.phase == Phase::kIdle) return;
    fault("a worker is killed", [w](World& to) {
      Worker& me = to.workers[w];
      if (me.claim.place == Place::kRequest) me.late = me.claim;
      me.claim = {};
      leave(me);
      ++me.life;
      me.number = 0;
      me.settled = 0;
      return nullptr;
    });
  }

  const World& from_;
  const RuleSet& rules_;
  std::vector<Step> steps_;
};

}  // namespace

std::vector<Step> steps_from(const World& world, const RuleSet& rules) {
  return Steps(world, rules).all();
}

}  // namespace carrel::model
