// The handlers that the tests' process server knows, by kind.
#pragma once

#include <carrel/context.h>

#include <mutex>

namespace carrel::test {

void add_handlers(Handlers& handlers);
void add_hooks(Handlers& handlers);  // that the kind "hooks" asks for

// Before the server is forked: a socket that the server must not keep. Its port.
void open_early_listener();
int early_listener_port();
void close_early_listener();

// Held by the host, after the server was forked; the handler "lock" takes it.
std::mutex& shared_mutex();

}  // namespace carrel::test
