// The handlers that the tests' process server knows, by kind.
#pragma once

#include <carrel/context.h>

#include <atomic>
#include <mutex>

namespace carrel::test {

void add_handlers(Handlers& handlers);
void add_hooks(Handlers& handlers);  // that the kind "hooks" asks for

// Before the server is forked: a socket that the server must not keep. Its port.
void open_early_listener();
int early_listener_port();
void close_early_listener();

// Likewise: a lock of the host's on a file.
void take_early_lock();
// Lets go of it, and takes it anew. False: somebody else still holds it.
bool retake_early_lock();

// Likewise: exit functions of the host, for exit() and quick_exit(). How often any ran,
// in whatever process.
void count_exits();
std::atomic<int>& counted_exits();

// Held by the host, after the server was forked; the handler "lock" takes it.
std::mutex& shared_mutex();

}  // namespace carrel::test
