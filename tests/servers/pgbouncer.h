// A PgBouncer of a test's own, in transaction mode.
#pragma once

#include <memory>
#include <string>

#include "process.h"

namespace carrel::test {

class PgBouncer {
 public:
  // What must be installed and is not; empty: nothing.
  static std::string missing();

  // In front of the server on that port, with two connections to it.
  explicit PgBouncer(int to_port);
  int port() const { return port_; }

 private:
  int port_ = 0;
  std::unique_ptr<Guarded> server_;
};

}  // namespace carrel::test
