// The conversions that were asked for: their files, their jobs, and how far they are.
//
// What is asked often is answered from memory, which the engine's hooks keep up to date:
// no page loads the store. What memory does not know, after a restart, comes from the
// folder and the store. The hooks tell of what this engine does: a job that it gave up
// for lost, that another site runs, or that an operator cancels, may end unheard. So a
// conversion that is not over, and of which nothing was heard for a while, is looked up
// in the store. Each conversion has a folder of its own, named by a token that nobody can
// guess: who has the link, has the result.
#pragma once

#include <carrel/engine.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "web/standing.h"

namespace convert_web {

struct Conversion {
  std::string name;  // of the file, for people; see display_name
  std::string from, to;
  int width = 1920, height = 1080, shift = 0;
  std::uint64_t job = 0;
};

struct DeskOptions {
  std::filesystem::path folder;
  std::string mail_to;  // empty: nobody is told
  std::int64_t timeout_s = 60;
  std::size_t most =
      1000;  // conversions that are kept; the oldest finished ones go first
  std::chrono::seconds keep{24 * 3600};
  std::int64_t slow_ms = 0;
  std::string hold;
  std::chrono::milliseconds unheard{
      10'000};  // so long memory is believed; a lease at least
};

// Threads: any, but for the constructor, which adds hooks to the engine before it
// ignites.
class Desk {
 public:
  Desk(DeskOptions options, carrel::Engine& engine);
  ~Desk();

  // After the engine has started: takes up what an earlier process left, and removes what
  // is older than options.keep. Call it again, now and then.
  void tidy();

  // The token. Where there are options.most already, the oldest that is finished is
  // removed. kUnavailable: none of them is finished, or the disk or the store is away.
  carrel::Result<std::string> add(Conversion conversion, std::string_view content);

  struct Found {
    Conversion conversion;
    Standing standing;
  };
  std::optional<Found> find(const std::string& token);
  // Of one that is done; the path of its output.
  std::filesystem::path output(const std::string& token) const;
  void cancel(const std::string& token);

  // `ring` is called after each change, on any thread, until what is returned is gone.
  std::shared_ptr<void> watch(const std::string& token, std::function<void()> ring);

 private:
  using Rings = std::list<std::function<void()>>;
  struct Entry {
    Conversion conversion;
    Standing standing;
    Rings rings;
    // When a hook, or the store, said how it stands.
    std::chrono::steady_clock::time_point heard = std::chrono::steady_clock::now();
  };

  static bool is_token(const std::string& token);
  std::filesystem::path folder(const std::string& token) const;
  bool make_room();                       // REQUIRES: mutex_ is held
  void forget(const std::string& token);  // likewise
  carrel::Result<void> enqueue(const std::string& token, Conversion& conversion);
  std::optional<Found> recall(const std::string& token);
  std::optional<Found> remembered(const std::string& token);
  void ask_again(const std::string& token, const Found& seen);
  void change(const std::string& token, const std::function<void(Standing&)>& how);
  void progressed(const carrel::Claimed& job, const carrel::Progress& progress);
  void finished(const carrel::Event& event);
  void tell_operator(const std::string& token);

  const DeskOptions options_;
  carrel::Engine& engine_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;  // by token
  class Errands;
  std::unique_ptr<Errands> errands_;  // what a hook may not wait for
};

}  // namespace convert_web
