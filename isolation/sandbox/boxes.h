// The boxes of one room: some are made ahead, each is handed out once, and what it had is
// taken down when it has ended.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "blueprint.h"
#include "groups.h"
#include "os.h"
#include "wire.h"

namespace carrel::sandbox {

struct RoomBox {
  pid_t pid = -1;
  process::UniqueFd socket;
  std::uint64_t run = 0;  // 0: none yet
  bool told = false;      // its end was heard of
  bool clearing = false;  // it said so
  std::string folder;     // among the host's; empty: it has a /tmp of its own
  std::string group;      // empty: none
};

// One thread, the room's. A box is known by its pid until forget().
class Boxes {
 public:
  // `epoll`: is told of each box's socket, as readable, under its pid; borrowed.
  Boxes(Blueprint blueprint, Groups groups, int epoll)
      : groups_(std::move(groups)), blueprint_(std::move(blueprint)), epoll_(epoll) {}

  const Blueprint& blueprint() const noexcept { return blueprint_; }
  // Fewer wait than the plan wants, and making the last one did not fail. While programs
  // run it wants half: one takes a processor for as long as a short program does.
  bool is_short(bool some_run) const {
    const std::size_t warm = blueprint_.plan.warm;
    return idle_.size() < (some_run ? (warm + 1) / 2 : warm) && !spoilt_;
  }
  void spoil() { spoilt_ = true; }  // none is made ahead until a job asks again

  // A new one, idle; nullptr, with errno: there is no process or namespace to be had.
  RoomBox* make();
  // One for a job: an idle one, or a new one.
  RoomBox* take();
  RoomBox* find(pid_t pid);
  // What its group knows better than the box does; before forget().
  void add_account(const RoomBox& box, process::Reply& reply) const;
  // Of one that was killed: what it had is for clear_up() to end and remove, as it would
  // have itself.
  void clear_after(const RoomBox& box);
  // Ends what killed boxes left, and when none of that lives, has their folders removed.
  // Blocks for neither: to be called again whenever a child that is no box has ended.
  void clear_up();
  void ended(pid_t other);  // a child that is no box
  void forget(pid_t pid);   // it was waited for
  void end_all();           // returns when none is left

 private:
  RoomBox* fail();
  [[noreturn]] void begin(process::UniqueFd socket, const std::string& folder) const;

  const Groups groups_;
  const Blueprint blueprint_;
  const int epoll_;
  std::unordered_map<pid_t, RoomBox> boxes_;
  std::deque<pid_t> idle_;
  bool spoilt_ = false;
  std::vector<std::string> left_;  // folders of boxes that were killed
  std::set<pid_t> cleaners_;       // processes that remove some
};

}  // namespace carrel::sandbox
