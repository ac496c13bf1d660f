// The web site: engine, desk, mail and server in one process.
#pragma once

#include <carrel/context.h>

#include <cstdint>
#include <string>
#include <vector>

namespace convert_web {

struct ServeOptions {
  std::string address = "127.0.0.1";
  unsigned short port = 8080;
  std::string folder = "convert_web_data";
  std::string store;  // a URL; empty: SQLite in the folder
  std::size_t at_once = 2;
  std::size_t most_mib = 32;  // of an upload
  std::int64_t timeout_s = 60;
  std::vector<std::string> names;  // by which browsers may call it, beside its address
  std::string smtp, mail_to;
  std::string mail_from = "convert-web@localhost";
  std::int64_t slow_ms = 0;
  std::string hold;
};

// For carrel::main_hook(): what forks the conversions knows them.
void add_conversions(carrel::Handlers& handlers);

// Until SIGINT or SIGTERM; the exit code: 2 where it cannot begin, and says why.
int serve(const ServeOptions& options);

}  // namespace convert_web
