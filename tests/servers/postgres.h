// A PostgreSQL server of a test's own.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "process.h"
#include "stepped_clock.h"

namespace carrel::test {

class PostgresServer {
 public:
  // What must be installed and is not; empty: nothing.
  static std::string missing();

  enum class Disk {
    kCareless,  // fast: survives whatever tests do, but no power cut
    kDurable,   // as a server is run
  };
  explicit PostgresServer(Disk disk = Disk::kCareless, const ServerOptions& options = {});
  ~PostgresServer();

  // "postgresql://carrel@…/carrel" through the socket in its folder, or through TCP.
  std::string url() const;
  std::string tcp_url() const { return tcp_url(port_); }
  static std::string tcp_url(int port);
  int port() const { return port_; }

  pid_t pid() const { return server_->pid(); }
  void stop(const std::string& signal) { server_->stop(signal); }
  void start();  // returns when it takes connections
  // When it starts next it follows a primary that is not there, until it is promoted.
  void make_standby() const;
  // Only with a clock of its own: how far it is off.
  void set_clock(std::chrono::seconds to) { clock_->set(to); }

  // Runs SQL as another program would; the rows' first columns. Throws
  // std::runtime_error.
  std::vector<std::string> run(const std::string& sql) const;

 private:
  void wait_until_ready();

  std::filesystem::path folder_;
  int port_ = 0;
  std::optional<SteppedClock> clock_;
  std::unique_ptr<Guarded> server_;
};

}  // namespace carrel::test
