// What the process server has started: who runs, who ended and how, and what they left
// behind.
//
// One thread, the server's, which is a subreaper: it alone waits for all of them.
#pragma once

#include <signal.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "children.h"
#include "os.h"
#include "wire.h"

struct rusage;

namespace carrel::process {

class Family {
 public:
  struct Child {
    std::uint64_t run = 0;
    std::uint32_t client = 0;    // whose it is
    std::uint32_t drain_ms = 0;  // how long what it leaves behind may live on
    bool killed = false;
    bool signalled = false;
  };

  Family();

  // Both lead sessions of their own.
  void adopt(pid_t pid, const Child& child);
  // A process that makes sandboxes, and ends when its host is gone. What it leaves behind
  // cleans up after it, and is left alone for as long as that takes.
  void adopt_room(pid_t pid);

  // kSignal; false: no such run is here. Of one that has ended it is for what it left
  // behind: that is killed, whatever the signal.
  bool signal(const RequestHead& head);
  void kill_those_of(std::uint32_t client);  // with their groups, and what they left

  int signals() const noexcept { return signals_.get(); }  // readable: reap()
  struct End {
    pid_t leader = 0;
    Child child;
    Reply reply;
  };
  // Waits for all that have ended and kills what they left behind. Those of them that
  // were adopted by adopt(), with what was done to them; until the next call.
  std::span<const End> reap();
  // Kills what was left behind, unless it may live on; see isolation/README.md for what
  // is left alone. To be called again after linger_ms(), where that is not -1.
  void survey();
  int linger_ms() const;

  // Ends all of them, and returns when none is left. The rooms, and what cleans up after
  // them, have kTidyRooms and kTidyGroups for it.
  void end();
  static constexpr auto kTidyRooms = std::chrono::seconds(2);
  static constexpr auto kTidyGroups = std::chrono::seconds(1);

 private:
  using Clock = std::chrono::steady_clock;
  struct Linger {
    Clock::time_point until;
    Child child;
  };
  using Lingering = std::unordered_map<pid_t, Linger>;  // by session

  void ended(pid_t pid, int status, const rusage& used);
  void note_leftover(pid_t session, pid_t group);
  static bool before_its_time(Lingering& lingering, pid_t session);
  template <class Of>
  bool end_linger(Of of);

  UniqueFd signals_;
  ChildList list_;
  std::unordered_map<pid_t, Child> children_;         // by leader, which is its session
  std::unordered_map<std::uint64_t, pid_t> leaders_;  // by run
  std::unordered_set<pid_t> rooms_;
  Lingering linger_;   // of ended children
  Lingering tidying_;  // of ended rooms
  std::vector<End> ends_;
  std::vector<pid_t> listed_;
};

}  // namespace carrel::process
