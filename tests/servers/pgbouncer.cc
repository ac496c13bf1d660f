#include "pgbouncer.h"

#include <libpq-fe.h>

#include <chrono>
#include <fstream>
#include <stdexcept>
#include <thread>

namespace carrel::test {
namespace {

constexpr const char* kProgram = "/usr/sbin/pgbouncer";

}  // namespace

std::string PgBouncer::missing() {
  std::error_code error;
  return std::filesystem::exists(kProgram, error) ? "" : "pgbouncer is not installed";
}

PgBouncer::PgBouncer(int to_port) {
  const auto folder = make_server_folder("pgb");
  port_ = free_port();
  const std::string file = (folder / "pgbouncer.ini").string();
  std::ofstream(file) << "[databases]\n"
                      << "carrel = host=127.0.0.1 port=" << to_port << " user=carrel\n"
                      << "[pgbouncer]\n"
                      << "listen_addr = 127.0.0.1\nlisten_port = " << port_ << "\n"
                      << "unix_socket_dir =\n"
                      << "auth_type = any\n"
                      << "pool_mode = transaction\ndefault_pool_size = 2\n"
                      << "ignore_startup_parameters = extra_float_digits\n";
  server_ = std::make_unique<Guarded>(folder, "INT",
                                      std::vector<std::string>{kProgram, "-q", file});
  const std::string connect =
      "host=127.0.0.1 dbname=carrel user=carrel port=" + std::to_string(port_);
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (PQping(connect.c_str()) != PQPING_OK) {
    if (std::chrono::steady_clock::now() > until || !server_->running()) {
      throw std::runtime_error("PgBouncer did not start: " + server_->log());
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace carrel::test
