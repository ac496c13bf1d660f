// One job, two workers, a queue of tickets, and what is on the way between them.
//
// A World is a whole state of the protocol between two atomic steps. What a step can do
// wrong (lose a message, double a ticket, kill a worker) draws on a budget, and so does a
// run that ends in a snooze or a release: so the worlds are finite in number, and every
// one of them can be looked at.
//
// Time has one unit, a tick: leases, delays and back-offs are one tick long. Only what is
// due and what is not matters, so a World holds times relative to its now.
#pragma once

#include <carrel/rules.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "rule_set.h"

namespace carrel::model {

struct Budget {
  std::uint8_t faults = 2;   // messages and tickets lost or doubled, workers killed
  std::uint8_t detours = 1;  // snoozes and releases
  std::uint8_t cancels = 1;
};

// A claim on its way to the store, or its answer on the way back.
struct ClaimMessage {
  enum class Place : std::uint8_t { kNone, kRequest, kAnswer };
  Place place = Place::kNone;
  std::uint8_t life = 0;  // of the worker that sent it
  std::uint8_t number = 0;
  std::uint8_t fence = 0;  // of the answer; 0: refused
  std::uint8_t run = 0;
};

struct BeatMessage {
  bool sent = false;
  std::uint8_t life = 0;
  std::uint8_t settled = 0;
  std::uint8_t fence = 0;  // the lease that it names; 0: none
  std::uint8_t run = 0;
};

struct Worker {
  enum class Phase : std::uint8_t { kIdle, kClaiming, kRunning, kFinishing };
  Phase phase = Phase::kIdle;
  std::uint8_t life = 0;     // a killed worker comes back under another name
  std::uint8_t number = 0;   // of its last claim
  std::uint8_t settled = 0;  // the last claim answered or given up
  std::uint8_t fence = 0;    // of its run
  std::uint8_t run = 0;
  Verdict verdict = Verdict::kCompleted;  // while kFinishing
  bool told_to_cancel = false;
  ClaimMessage claim;
  ClaimMessage late;  // a request that it has given up, which may yet arrive
  BeatMessage beat;
};

// What tells worlds apart: equal for those that behave alike.
class Key {
 public:
  void put(std::uint64_t v) { bytes_.at(size_++) = static_cast<unsigned char>(v); }
  bool operator==(const Key&) const = default;
  bool operator<(const Key& other) const { return bytes_ < other.bytes_; }
  struct Hash {
    std::size_t operator()(const Key& key) const noexcept;
  };

 private:
  std::array<unsigned char, 63> bytes_{};
  std::uint8_t size_ = 0;
};

struct World {
  rules::Row row;
  std::array<Worker, 2> workers;
  std::uint8_t tickets = 1;
  Budget left;
  // What really happened, kept beside the row so that no rule can hide it. Runs are
  // numbered in the order of their claims.
  std::uint8_t runs = 0;
  std::uint8_t holder = 0;         // the run that the row is claimed for; 0: none
  std::uint16_t ended_leases = 0;  // a bit a run: the sweep ended it
  std::uint16_t finished = 0;      // a bit a run: its finish was applied
  bool cancelled = false;          // a cancel was asked for

  Key key() const;
};

// One way on from a world.
struct Step {
  const char* name;
  World after;
  bool fair;                     // no fault: will happen if nothing goes wrong any more
  const char* broken = nullptr;  // the invariant that it broke (broken.h)
};

// A job as it is inserted.
World first_world(const Budget& budget, Duration delay, Duration start_within);

inline constexpr Duration kTick{1'000'000};

std::vector<Step> steps_from(const World& world, const RuleSet& rules);

}  // namespace carrel::model
