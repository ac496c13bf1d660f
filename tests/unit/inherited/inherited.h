// Handlers that open what they need themselves, whatever their host had open.
#pragma once

#include <carrel/context.h>

#include <cstdint>
#include <string>

namespace carrel::test {

// Each is a connection of the caller's own, closed again. Throws std::runtime_error.
std::int64_t sqlite_rows(const std::string& file);
std::string sqlite_insert(const std::string& file);  // "", or what refused it
std::int64_t postgres_rows(const std::string& url);
std::string zmq_exchange();  // over a context of its own; "heard"

// As a host with a server of its own, born when the host is where it is now: what `job`
// of that server answers. For a process that has none yet, as in fork_to().
std::string born_now(const std::string& job, const std::string& argument);

void add_inherited_handlers(Handlers& handlers);  // "sqlite" "postgres" "zmq"

}  // namespace carrel::test
