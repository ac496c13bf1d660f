// Runs reads on a connection: once more where an idle connection turns out to be dead.
#pragma once

#include <mutex>

#include "server/connection.h"

namespace carrel::sql::server {

// Threads: safe, one call at a time.
template <class Tables>
class Reading {
 public:
  explicit Reading(Driver& driver) : connection_(driver) {}

  // `read`: called with a Tables&; may be called twice, as a read changes nothing.
  template <class Read>
  auto run(Read read) -> Result<decltype(read(std::declval<Tables&>()))> {
    const std::lock_guard lock(mutex_);
    for (bool fresh = false;;) {
      fresh = !connection_.is_open();
      try {
        return read(connection_.tables());
      } catch (...) {
        Failure failure = connection_.failure();
        const bool again = failure.lost ? !fresh : failure.conflict;
        if (!again) {
          // Whatever it left open ends with it.
          if (!failure.lost) connection_.close();
          return tl::unexpected(std::move(failure.error));
        }
      }
    }
  }

  Session& session() { return connection_.session(); }  // within run()

 private:
  std::mutex mutex_;
  Connection<Tables> connection_;
};

}  // namespace carrel::sql::server
